package dataplane

import (
	"net/netip"
	"testing"

	"naru/internal/model"
)

func numbered(i int) netip.AddrPort {
	return netip.AddrPortFrom(client.Addr(), uint16(10000+i))
}

// fill makes n conns, established or half open.
func fill(t *testing.T, d *Dataplane, n int, established bool) {
	t.Helper()
	for i := range n {
		send(t, d, build(t, frame{protocol: model.TCP, syn: true, from: numbered(i)}))
		if established {
			send(t, d, build(t, frame{protocol: model.TCP, ack: true, from: numbered(i)}))
		}
	}
	if used, err := d.Used(); err != nil || used != uint32(n) {
		t.Fatalf("%d conns in the table, want %d (%v, %v)", used, n, err, counted(t, d))
	}
}

// TestFullTableTakesHalfOpenConns: above 90 % a new conn takes the place of a half-open
// one, and never more than that.
func TestFullTableTakesHalfOpenConns(t *testing.T) {
	d := open(t, Options{Conns: 100})
	set(t, d, service{protocol: model.TCP, weights: []uint32{1, 1}}.want())
	fill(t, d, 90, false)
	for i := range 50 {
		if verdict, _ := send(t, d, build(t, frame{protocol: model.TCP, syn: true, from: numbered(1000 + i)})); verdict != redirect {
			t.Fatalf("new conn %d: verdict %d", i, int32(verdict))
		}
	}
	if used, _ := d.Used(); used != 90 {
		t.Errorf("%d conns in the table, want 90", used)
	}
	if got := counted(t, d); got["conn_reclaimed"] != 50 || got["conn_new"] != 140 || got["stateless"] != 0 {
		t.Errorf("counted %v", got)
	}
	exact(t, d)
}

// TestFullTableKeepsEstablishedConns: with nothing to take, a new conn goes by hash
// without a record, its packets all to one real, and gets its record from the last
// tenth at its first ACK; when that is full too, it goes on without.
func TestFullTableKeepsEstablishedConns(t *testing.T) {
	d := open(t, Options{Conns: 100})
	set(t, d, service{protocol: model.TCP, weights: []uint32{1, 1, 1}}.want())
	fill(t, d, 90, true)
	for i := range 20 {
		from := numbered(1000 + i)
		_, syn := send(t, d, build(t, frame{protocol: model.TCP, syn: true, from: from}))
		if _, made := table(t, d)[from]; made {
			t.Fatalf("conn %d has a record before its handshake", i)
		}
		_, ack := send(t, d, build(t, frame{protocol: model.TCP, ack: true, from: from}))
		if [6]byte(syn[:6]) != [6]byte(ack[:6]) {
			t.Errorf("conn %d: SYN to %x, ACK to %x", i, syn[:6], ack[:6])
		}
		conn, made := table(t, d)[from]
		if made != (i < 10) || made && conn.State != model.StateEstablished {
			t.Errorf("conn %d after its ACK: %+v, %v", i, conn, made)
		}
	}
	for i := range 90 {
		if table(t, d)[numbered(i)].State != model.StateEstablished {
			t.Errorf("established conn %d was taken", i)
		}
	}
	if got := counted(t, d); got["stateless"] != 30 || got["promoted"] != 20 {
		t.Errorf("counted %v", got)
	}
	exact(t, d)
}

// TestFullTableAndNAT: NAT cannot do without a record.
func TestFullTableAndNAT(t *testing.T) {
	d := open(t, Options{Conns: 100, NAT: true})
	set(t, d, service{protocol: model.TCP, forward: model.NAT, weights: []uint32{1}}.want())
	fill(t, d, 90, true)
	verdict, _ := send(t, d, build(t, frame{protocol: model.TCP, syn: true, from: numbered(1000)}))
	if verdict != drop || counted(t, d)["drop_table_full"] != 1 {
		t.Errorf("verdict %d, %v", int32(verdict), counted(t, d))
	}
}

// TestNATCollision: two services share a real's port, and one client uses one port for
// both. The replies could not be told apart.
func TestNATCollision(t *testing.T) {
	d := open(t, Options{NAT: true})
	want := service{protocol: model.TCP, forward: model.NAT, weights: []uint32{1}}.want()
	second := want.Services[0]
	second.Port = 81
	want.Services = append(want.Services, second)
	set(t, d, want)
	send(t, d, build(t, frame{protocol: model.TCP, syn: true}))
	verdict, _ := send(t, d, build(t, frame{protocol: model.TCP, syn: true, to: netip.AddrPortFrom(vip, 81)}))
	if verdict != drop || counted(t, d)["drop_nat_collision"] != 1 {
		t.Errorf("verdict %d, %v", int32(verdict), counted(t, d))
	}
	exact(t, d)
	if used, _ := d.Used(); used != 1 {
		t.Errorf("%d records in use, want 1", used)
	}
}

// TestRealOutOfReach: the way to a real is not known (yet).
func TestRealOutOfReach(t *testing.T) {
	d := open(t, Options{})
	want := service{protocol: model.TCP, weights: []uint32{1}}.want()
	want.Services[0].Reals[0].Hop = model.Hop{}
	set(t, d, want)
	verdict, _ := send(t, d, build(t, frame{protocol: model.TCP, syn: true}))
	if verdict != drop || counted(t, d)["drop_no_neighbour"] != 1 {
		t.Errorf("verdict %d, %v", int32(verdict), counted(t, d))
	}
}
