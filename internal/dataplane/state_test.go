package dataplane

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"naru/internal/model"
)

// step is a packet and the state that it leaves a conn in.
type step struct {
	reply bool
	flags string // S, A, F, R in any order; "-" for none
	want  model.State
}

func (s step) frame() frame {
	f := frame{protocol: model.TCP}
	if s.reply {
		f.from, f.to, f.srcMAC = realAddr(1), client, realMAC(1)
	}
	for _, c := range s.flags {
		switch c {
		case 'S':
			f.syn = true
		case 'A':
			f.ack = true
		case 'F':
			f.fin = true
		case 'R':
			f.rst = true
		}
	}
	return f
}

// TestTCPStates follows conns through ip_vs's states (lvs: ip_vs_proto_tcp.c), seen
// from both sides by NAT and from the client's alone by the others, and checks that
// active and inactive stay exact at every step.
func TestTCPStates(t *testing.T) {
	const (
		es, sr, fw = model.StateEstablished, model.StateSynRecv, model.StateFinWait
		tw, cl, cw = model.StateTimeWait, model.StateClose, model.StateCloseWait
		la         = model.StateLastAck
	)
	for name, c := range map[string]struct {
		forward model.Forward
		steps   []step
	}{
		"one-sided close by the client":  {model.DR, []step{{false, "S", sr}, {false, "A", es}, {false, "FA", fw}, {false, "A", fw}}},
		"one-sided reset":                {model.TUN, []step{{false, "S", sr}, {false, "A", es}, {false, "R", cl}}},
		"one-sided SYN again":            {model.DR, []step{{false, "S", sr}, {false, "S", sr}, {false, "A", es}, {false, "S", es}}},
		"no flag at all changes nothing": {model.DR, []step{{false, "S", sr}, {false, "A", es}, {false, "-", es}}},
		"NAT, closed by the client": {model.NAT, []step{
			{false, "S", sr}, {true, "SA", sr}, {false, "A", es}, {false, "FA", cw}, {true, "A", cw}, {true, "FA", tw}, {false, "A", tw}}},
		"NAT, closed by the real": {model.NAT, []step{
			{false, "S", sr}, {true, "SA", sr}, {false, "A", es}, {true, "FA", fw}, {false, "A", fw}, {false, "FA", tw}}},
		"NAT, refused": {model.NAT, []step{{false, "S", sr}, {true, "RA", cl}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, Options{NAT: true})
			set(t, d, service{protocol: model.TCP, forward: c.forward, weights: []uint32{1}}.want())
			for i, s := range c.steps {
				send(t, d, build(t, s.frame()))
				if got := table(t, d)[client].State; got != s.want {
					t.Fatalf("packet %d (%s): state %s, want %s", i, s.flags, got, s.want)
				}
				exact(t, d)
			}
		})
	}
}

// exact compares each real's counts with a walk of the table.
func exact(t *testing.T, d *Dataplane) {
	t.Helper()
	active, inactive := map[netip.AddrPort]uint32{}, map[netip.AddrPort]uint32{}
	for _, c := range table(t, d) {
		switch c.State {
		case model.StateEstablished, model.StateSynSent, model.StateSynRecv, model.StateSynAck:
			active[c.Real]++
		default:
			inactive[c.Real]++
		}
	}
	stats, err := d.Stats()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := d.Read()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[netip.AddrPort][2]uint32{} // a real may serve several services
	for id, r := range tables.Reals {
		c := counted[r.Address]
		counted[r.Address] = [2]uint32{c[0] + stats.Reals[id].Active, c[1] + stats.Reals[id].Inactive}
	}
	for address, c := range counted {
		if c != [2]uint32{active[address], inactive[address]} {
			t.Errorf("real %s counts %d active, %d inactive; the table holds %d and %d",
				address, c[0], c[1], active[address], inactive[address])
		}
	}
}

// TestSynAfterCloseIsScheduledAnew is ip_vs's conn_reuse_mode 1.
func TestSynAfterCloseIsScheduledAnew(t *testing.T) {
	d := open(t, Options{})
	set(t, d, service{protocol: model.TCP, scheduler: model.RR, weights: []uint32{1, 1}}.want())
	for _, f := range []string{"S", "A", "R"} {
		send(t, d, build(t, step{flags: f}.frame()))
	}
	first := table(t, d)[client]
	send(t, d, build(t, step{flags: "S"}.frame()))
	second := table(t, d)[client]
	if second.State != model.StateSynRecv || second.Real == first.Real || len(table(t, d)) != 1 {
		t.Errorf("first %+v, then %+v, in all %d", first, second, len(table(t, d)))
	}
	exact(t, d)
	if used, _ := d.Used(); used != 1 {
		t.Errorf("%d records are in use, want 1", used)
	}
}

// TestSweepEndsIdleConns lets conns of each kind pass their timeout. The sweep runs
// by the kernel's timer alone.
func TestSweepEndsIdleConns(t *testing.T) {
	d := open(t, Options{NAT: true})
	want := service{protocol: model.TCP, forward: model.NAT, weights: []uint32{1}}.want()
	want.Services = append(want.Services, service{protocol: model.UDP, weights: []uint32{1}}.want().Services...)
	want.Timeouts = model.Timeouts{TCP: 2, TCPFin: 1, UDP: 1}
	set(t, d, want)
	send(t, d, build(t, frame{protocol: model.UDP}))
	for _, f := range []string{"S", "A"} {
		send(t, d, build(t, step{flags: f}.frame()))
	}
	if got := len(table(t, d)); got != 1 { // both are of one client address and port
		t.Fatalf("%d conns by client, want 1", got)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		used, err := d.Used()
		if err != nil {
			t.Fatal(err)
		}
		if used == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d conns outlived their timeout by far", used)
		}
		time.Sleep(50 * time.Millisecond)
	}
	exact(t, d)
	if got := counted(t, d)["conn_expired"]; got != 2 {
		t.Errorf("conn_expired counted %d, want 2", got)
	}
	var flow lbFlow4
	var ref lbConnRef
	if d.objs.Flows4.Iterate().Next(&flow, &ref) {
		t.Errorf("the flow %v still leads somewhere", flow)
	}
}

// TestRetiredRealDropsAndReattaches removes a real and puts it back: meanwhile its
// conns are dropped, afterwards they go on.
func TestRetiredRealDropsAndReattaches(t *testing.T) {
	d := open(t, Options{})
	with := service{protocol: model.TCP, scheduler: model.RR, weights: []uint32{1}}
	set(t, d, with.want())
	for _, f := range []string{"S", "A"} {
		send(t, d, build(t, step{flags: f}.frame()))
	}
	without := with
	without.weights = nil
	set(t, d, without.want())
	if verdict, _ := send(t, d, build(t, step{flags: "A"}.frame())); verdict != drop || counted(t, d)["drop_real_gone"] != 1 {
		t.Errorf("verdict %d, %v", int32(verdict), counted(t, d))
	}
	set(t, d, with.want())
	if verdict, _ := send(t, d, build(t, step{flags: "A"}.frame())); verdict != redirect {
		t.Errorf("verdict %d after the real came back", int32(verdict))
	}
	exact(t, d)
}

// TestTablesOutliveTheProcess opens pinned tables a second time and goes on.
func TestTablesOutliveTheProcess(t *testing.T) {
	privileged(t)
	place := filepath.Join(t.TempDir(), "bpf")
	dir, err := MountPins(place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := UnmountPins(place); err != nil {
			t.Error(err)
		}
	})
	first := open(t, Options{Dir: dir})
	set(t, first, service{protocol: model.TCP, scheduler: model.MH, weights: []uint32{1, 1}}.want())
	send(t, first, build(t, step{flags: "S"}.frame()))
	before, conns := first.Limits(), table(t, first)
	first.Close()

	second := open(t, Options{Dir: dir, Conns: 4096})
	if second.Capacity() != 1024 || second.Limits() != before {
		t.Errorf("capacity %d, limits %+v: want those of the tables that were there", second.Capacity(), second.Limits())
	}
	if got := table(t, second)[client]; got.Real != conns[client].Real {
		t.Errorf("conn %+v, want %+v", got, conns[client])
	}
	set(t, second, service{protocol: model.TCP, scheduler: model.MH, weights: []uint32{1, 1}}.want())
	send(t, second, build(t, step{flags: "A"}.frame()))
	if got := table(t, second)[client].State; got != model.StateEstablished {
		t.Errorf("state %s after the second opening", got)
	}
	tables, err := OpenTables(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	if got, _ := tables.Read(); len(got.Services) != 1 || len(got.Reals) != 2 {
		t.Errorf("OpenTables reads %d services and %d reals", len(got.Services), len(got.Reals))
	}
}

// TestStubJumpsToThePath runs what interfaces hold instead of the path itself.
func TestStubJumpsToThePath(t *testing.T) {
	d := open(t, Options{})
	set(t, d, service{protocol: model.TCP, weights: []uint32{1}}.want())
	opts := ebpf.RunOptions{Data: build(t, step{flags: "S"}.frame())}
	verdict, err := d.objs.NaruTc.Run(&opts)
	if err != nil || verdict != redirect {
		t.Errorf("verdict %d, error %v", int32(verdict), err)
	}
}

// TestSweepEndsManyAtOnce ends more conns than one slice may, over several slices.
func TestSweepEndsManyAtOnce(t *testing.T) {
	d := open(t, Options{Conns: 8192})
	want := service{protocol: model.UDP, weights: []uint32{1, 1}}.want()
	want.Timeouts.UDP = 1
	set(t, d, want)
	for i := range 1000 {
		send(t, d, build(t, frame{protocol: model.UDP, from: numbered(i)}))
	}
	deadline := time.Now().Add(30 * time.Second)
	for counted(t, d)["conn_expired"] != 1000 {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s: %v", counted(t, d))
		}
		time.Sleep(50 * time.Millisecond)
	}
	exact(t, d)
	if used, _ := d.Used(); used != 0 {
		t.Errorf("%d records in use", used)
	}
}
