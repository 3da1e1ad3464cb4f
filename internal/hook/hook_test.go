package hook

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// inside runs the rest of the test in a network namespace of its own that has two veth
// pairs, a0-a1 and b0-b1.
func inside(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root, and CI must have it")
		}
		t.Skip("needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread, and with it the namespace, ends with the test
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	for _, name := range []string{"a", "b"} {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name + "0"}, PeerName: name + "1"}
		if err := netlink.LinkAdd(veth); err != nil {
			t.Fatal(err)
		}
	}
}

func program(t *testing.T, name string) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func id(t *testing.T, p *ebpf.Program) ebpf.ProgramID {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	n, _ := info.ID()
	return n
}

// on returns the interfaces that hold p under the name.
func on(t *testing.T, p *ebpf.Program, name string) string {
	t.Helper()
	held, err := List(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, h := range held {
		if h.Program == id(t, p) {
			all = append(all, h.Interface)
		}
	}
	return strings.Join(all, " ")
}

func set(t *testing.T, p *ebpf.Program, name string, interfaces ...string) (qdiscs []string) {
	t.Helper()
	qdiscs, err := Set(p, name, interfaces)
	if err != nil {
		t.Fatal(err)
	}
	return qdiscs
}

func TestSetHoldsExactlyTheWanted(t *testing.T) {
	inside(t)
	first, second := program(t, "ours"), program(t, "ours")
	set(t, first, "ours", "a0", "b0")
	set(t, first, "ours", "a0", "b0")
	if got := on(t, first, "ours"); got != "a0 b0" {
		t.Errorf("held by %q, want a0 and b0", got)
	}
	set(t, second, "ours", "b0", "b1")
	if got := on(t, second, "ours"); got != "b0 b1" || on(t, first, "ours") != "" {
		t.Errorf("held by %q, the older one by %q", got, on(t, first, "ours"))
	}
	if err := Clear("ours"); err != nil || on(t, second, "ours") != "" {
		t.Errorf("after Clear: %v, held by %q", err, on(t, second, "ours"))
	}
}

func TestOthersAreLeftAlone(t *testing.T) {
	inside(t)
	theirs, ours := program(t, "theirs"), program(t, "ours")
	made := set(t, theirs, "theirs", "a0")
	if again := set(t, ours, "ours", "a0"); len(again) != 0 {
		t.Errorf("Set claims qdiscs %v that were there", again)
	}
	if err := Clear("ours"); err != nil {
		t.Fatal(err)
	}
	for _, i := range made {
		if err := Release(i); err != nil {
			t.Fatal(err)
		}
	}
	if got := on(t, theirs, "theirs"); got != "a0" {
		t.Errorf("the other program is held by %q, want a0", got)
	}
}

func TestReleaseTakesBackOnlyWhatIsEmpty(t *testing.T) {
	inside(t)
	made := set(t, program(t, "ours"), "ours", "a0")
	if err := Clear("ours"); err != nil {
		t.Fatal(err)
	}
	for _, i := range made {
		if err := Release(i); err != nil {
			t.Fatal(err)
		}
	}
	l, err := netlink.LinkByName("a0")
	if err != nil {
		t.Fatal(err)
	}
	qdiscs, err := netlink.QdiscList(l)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(qdiscs, func(q netlink.Qdisc) bool { return q.Type() == "clsact" }) {
		t.Errorf("the qdisc is still there: %v", qdiscs)
	}
}

func TestMissingInterfaceIsSaidAndTheOthersAreDone(t *testing.T) {
	inside(t)
	p := program(t, "ours")
	set(t, p, "ours", "b0")
	_, err := Set(p, "ours", []string{"a0", "none0", "lo"})
	if err == nil || !strings.Contains(err.Error(), `"none0" is not there`) || !strings.Contains(err.Error(), `"lo" is not Ethernet`) {
		t.Errorf("error %v", err)
	}
	if got := on(t, p, "ours"); got != "a0 b0" {
		t.Errorf("held by %q, want a0 and, because not all went well, still b0", got)
	}
}

// TestXDPHoldsOneProgramAndLeavesOthers attaches natively on veth, replaces, and meets a
// program of somebody else.
func TestXDPHoldsOneProgramAndLeavesOthers(t *testing.T) {
	inside(t)
	first, second, theirs := xdpProgram(t, "ours"), xdpProgram(t, "ours"), xdpProgram(t, "theirs")
	for _, p := range []*ebpf.Program{first, second} {
		if err := AttachXDP(device(t, "a0"), p, "ours"); err != nil {
			t.Fatal(err)
		}
		if d := device(t, "a0"); d.XDP != "ours" || d.XDPID != id(t, p) {
			t.Errorf("a0 holds %q, %d", d.XDP, d.XDPID)
		}
	}
	if err := AttachXDP(device(t, "b0"), theirs, "theirs"); err != nil {
		t.Fatal(err)
	}
	if err := AttachXDP(device(t, "b0"), first, "ours"); err == nil || !strings.Contains(err.Error(), `"theirs" is there`) {
		t.Errorf("attach where another program is: %v", err)
	}
	for _, name := range []string{"a0", "b0"} {
		if err := DetachXDP(device(t, name), "ours"); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := device(t, "a0"), device(t, "b0"); a.XDP != "" || b.XDP != "theirs" {
		t.Errorf("after detaching a0 holds %q, b0 %q", a.XDP, b.XDP)
	}
}

// TestDriverThatRefusesXDPIsSaid: a program for one buffer on a link whose peer has a
// larger MTU, and a bridge, which has no native XDP.
func TestDriverThatRefusesXDPIsSaid(t *testing.T) {
	inside(t)
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}); err != nil {
		t.Fatal(err)
	}
	if err := AttachXDP(device(t, "br0"), xdpProgram(t, "ours"), "ours"); err == nil || !strings.Contains(err.Error(), "no native XDP") {
		t.Errorf("attach to a bridge: %v", err)
	}
	for _, name := range []string{"a0", "a1"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetMTU(l, 9000); err != nil {
			t.Fatal(err)
		}
	}
	if err := AttachXDP(device(t, "a0"), xdpProgram(t, "ours"), "ours"); err == nil || !strings.Contains(err.Error(), "MTU of 9000") {
		t.Errorf("attach with a long MTU: %v", err)
	}
}

func device(t *testing.T, name string) Device {
	t.Helper()
	all, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d Device) bool { return d.Name == name })
	if i < 0 {
		t.Fatalf("no %s among %v", name, all)
	}
	return all[i]
}

func xdpProgram(t *testing.T, name string) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
