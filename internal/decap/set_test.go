package decap

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"naru/internal/hook"
)

// addVeth makes an interface with an address, and its peer without.
func addVeth(t *testing.T, name, address string) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(pair, a); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T) State {
	t.Helper()
	s, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func set(t *testing.T, want Want) []string {
	t.Helper()
	qdiscs, err := Set(want)
	if err != nil {
		t.Fatal(err)
	}
	return qdiscs
}

func wantVIPs(vips ...string) (all []VIP) {
	for _, v := range vips {
		all = append(all, VIP{Address: netip.MustParseAddr(v)})
	}
	return all
}

func interfacesOf(s State) (names []string) {
	for _, h := range s.Hooks {
		names = append(names, h.Interface)
	}
	return names
}

// TestSet: the program is where it is wanted and knows what it should, whatever was
// before, and it goes without a trace.
func TestSet(t *testing.T) {
	enterNamespace(t)
	addVeth(t, "nrrl0", "10.77.0.1/24")
	addVeth(t, "nrrl1", "10.77.1.1/24")
	var qdiscs []string
	for _, step := range []Want{
		{VIPs: wantVIPs("192.0.2.10"), Interfaces: []string{"nrrl0"}},
		{VIPs: wantVIPs("192.0.2.10"), Interfaces: []string{"nrrl0"}},
		{VIPs: wantVIPs("192.0.2.10", "192.0.2.11"), Interfaces: []string{"nrrl0", "nrrl1"}},
		{VIPs: wantVIPs("192.0.2.11"), Interfaces: []string{"nrrl1"}},
		{},
		{},
	} {
		qdiscs = append(qdiscs, set(t, step)...)
		got := read(t)
		if diff := cmp.Diff(step.Interfaces, interfacesOf(got)); diff != "" {
			t.Errorf("interfaces (-want +got):\n%s", diff)
		}
		if !slices.EqualFunc(step.VIPs, got.VIPs, func(a, b VIP) bool { return a.Address == b.Address }) {
			t.Errorf("VIPs %v, want %v", got.VIPs, step.VIPs)
		}
	}
	for _, name := range qdiscs {
		if err := Release(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"nrrl0", "nrrl1"} {
		if hasClsact(t, name) {
			t.Errorf("%s still has a clsact qdisc", name)
		}
	}
}

// TestSetKeepsCounters: a program that replaces another counts on.
func TestSetKeepsCounters(t *testing.T) {
	enterNamespace(t)
	addVeth(t, "nrrl0", "10.77.0.1/24")
	want := Want{VIPs: wantVIPs("192.0.2.10"), Interfaces: []string{"nrrl0"}}
	set(t, want)
	held, err := hook.List(programName)
	if err != nil {
		t.Fatal(err)
	}
	maps, err := mapsOf(held)
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	if err := maps.DecapExits.Put(uint32(0), slices.Repeat([]uint64{7}, cpus)); err != nil {
		t.Fatal(err)
	}
	set(t, want)
	if got, want := read(t).Exits["decapsulated"], uint64(7*cpus); got != want {
		t.Errorf("decapsulated %d after Set, want %d", got, want)
	}
}

func hasClsact(t *testing.T, name string) bool {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	qdiscs, err := netlink.QdiscList(l)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(qdiscs, func(q netlink.Qdisc) bool { return q.Type() == "clsact" })
}
