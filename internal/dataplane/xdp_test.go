package dataplane

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"naru/internal/hook"
	"naru/internal/model"
)

// The XDP verdicts.
const (
	xdpDrop     = 1
	xdpPass     = 2
	xdpTX       = 3
	xdpRedirect = 4
)

// TestAtXDP runs the packet tests again, at the XDP hook: the same frames, bytes and
// counters.
func TestAtXDP(t *testing.T) {
	underTest = Native
	defer func() { underTest = TC }()
	for _, test := range []func(*testing.T){
		TestForward, TestNATMapsPortsBothWays, TestUDPWithoutChecksum, TestIPOptions, TestFragments,
		TestTCPStates, TestSynAfterCloseIsScheduledAnew, TestRetiredRealDropsAndReattaches,
		TestFullTableTakesHalfOpenConns, TestFullTableKeepsEstablishedConns, TestFullTableAndNAT, TestNATCollision,
		TestRealOutOfReach, TestMisses, TestReset, TestICMPErrors, TestNoErrorInTheClientsName, TestRelatedErrors,
		TestTruncatedAndLyingPackets, TestUDPLengthLies, TestNotOurs,
		TestSchedulers, TestHashSchedulers, TestWeightZeroTakesNoNewConns,
	} {
		name := runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name()
		t.Run(name[strings.LastIndex(name, ".")+1:], test)
	}
}

// stubs are those that send made, by packet path.
var stubs = map[*Dataplane]*ebpf.Program{}

// stubOf is what an interface with the MAC of these tests would hold, with a port to
// send to.
func stubOf(t testing.TB, d *Dataplane) *ebpf.Program {
	t.Helper()
	if stubs[d] == nil {
		prog, err := d.newStub(stub{mac: ownMAC, slot: lbSlotXdpSLOT_XDP})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.objs.Ports.Put(uint32(sendIndex), uint32(sendIndex)); err != nil {
			t.Fatal(err)
		}
		stubs[d] = prog
		t.Cleanup(func() { prog.Close(); delete(stubs, d) })
	}
	return stubs[d]
}

// TestXDPSendsBackOrByPort: out of the interface that the frame came in by only where
// that is allowed, by a port if there is one, else through TC.
func TestXDPSendsBackOrByPort(t *testing.T) {
	d := open(t, Options{})
	set(t, d, service{protocol: model.TCP, weights: []uint32{1}}.want())
	data := build(t, frame{protocol: model.TCP, syn: true})
	run := func(slot lbSlotXdp) uint32 {
		t.Helper()
		prog, err := d.newStub(stub{mac: ownMAC, slot: slot})
		if err != nil {
			t.Fatal(err)
		}
		defer prog.Close()
		verdict, err := prog.Run(&ebpf.RunOptions{Data: data})
		if err != nil {
			t.Fatal(err)
		}
		return verdict
	}
	if got := run(lbSlotXdpSLOT_XDP_BACK); got != xdpTX {
		t.Errorf("back: verdict %d, want TX", got)
	}
	if got := run(lbSlotXdpSLOT_XDP); got != xdpPass {
		t.Errorf("without a port: verdict %d, want PASS, to the relay", got)
	}
	if err := d.objs.Ports.Put(uint32(sendIndex), uint32(sendIndex)); err != nil {
		t.Fatal(err)
	}
	if got := run(lbSlotXdpSLOT_XDP); got != xdpRedirect {
		t.Errorf("with a port: verdict %d, want REDIRECT", got)
	}
	if diff := cmp.Diff(map[string]uint64{"dr": 3, "conn_new": 1}, counted(t, d)); diff != "" {
		t.Errorf("exits (-want +got):\n%s", diff)
	}
}

func TestPlaceIsTheFastestWithoutHarm(t *testing.T) {
	for name, c := range map[string]struct {
		at     At
		device hook.Device
		native bool
		reason string
	}{
		"a wire":            {Auto, hook.Device{Kind: "device"}, true, "its frames come from a wire"},
		"a veth":            {Auto, hook.Device{Kind: "veth"}, false, "it is a veth, not a wire"},
		"a veth, asked":     {Native, hook.Device{Kind: "veth"}, true, "the file says native"},
		"a wire, not asked": {TC, hook.Device{Kind: "device"}, false, "the file says tc"},
		"VLANs on it":       {Auto, hook.Device{Kind: "device", VLANs: true}, false, "VLANs are on it"},
		"a foreign program": {Native, hook.Device{Kind: "device", XDP: "firewall"}, false, `the XDP program "firewall" is there already`},
		"our own program":   {Auto, hook.Device{Kind: "device", XDP: xdpName}, true, "its frames come from a wire"},
	} {
		native, reason := place(Want{At: c.at}, c.device)
		if native != c.native || reason != c.reason {
			t.Errorf("%s: native %v, %q; want %v, %q", name, native, reason, c.native, c.reason)
		}
	}
}
