package hostnet

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func TestVIPInterface(t *testing.T) {
	l := newLab(t)
	foreign := netip.MustParseAddr("203.0.113.5")
	check := func(vip netip.Addr, want string) {
		t.Helper()
		got, err := VIPInterface(vip)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("VIPInterface(%s) = %q, %v; want %q", vip, got, err, want)
		}
	}
	check(vip, "nrhn-d")
	check(foreign, "")
	l.ok(netlink.RouteAdd(&netlink.Route{Dst: ipNet(netip.MustParsePrefix("0.0.0.0/0")), Gw: net.IP(gateway.AsSlice())}))
	check(foreign, "nrhn-d")
	lo, err := netlink.LinkByName("lo")
	l.ok(err)
	l.ok(netlink.AddrAdd(lo, netAddr("203.0.113.5/32")))
	check(foreign, "lo")
	check(netip.MustParseAddr("127.0.0.9"), "nrhn-d") // lo's network is nobody's
}

func TestInterfacesLeadToVIPsAndReals(t *testing.T) {
	l := newLab(t)
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "nrhn-br"}}
	l.ok(netlink.LinkAdd(bridge))
	l.ok(netlink.LinkSetUp(bridge))
	l.ok(netlink.AddrAdd(bridge, netAddr("198.51.100.1/24")))
	l.ok(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "nrhn-v1"}, PeerName: "nrhn-v2"}))
	port, err := netlink.LinkByName("nrhn-v1")
	l.ok(err)
	l.ok(netlink.LinkSetMaster(port, bridge))
	l.ok(netlink.LinkSetUp(port))
	l.ok(netlink.AddrAdd(port, netAddr("203.0.113.1/24"))) // on a port: its bridge leads
	lo, err := netlink.LinkByName("lo")
	l.ok(err)
	l.ok(netlink.AddrAdd(lo, netAddr("192.0.2.10/32")))

	portVIP, local := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("127.0.0.1")
	got, err := Interfaces([]netip.Addr{vip, portVIP}, []netip.Addr{distant, real21, local})
	l.ok(err)
	want := []Leading{
		{"nrhn-d", l.link.Attrs().Index, "leads to VIP 192.0.2.10"},
		{"nrhn-br", bridge.Index, "leads to VIP 203.0.113.1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	got, err = Interfaces([]netip.Addr{netip.MustParseAddr("10.1.1.1")}, []netip.Addr{netip.MustParseAddr("10.1.1.2"), real21})
	if err == nil || !strings.Contains(err.Error(), "VIP 10.1.1.1: no up Ethernet interface") || !strings.Contains(err.Error(), "real 10.1.1.2: no up") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]Leading{{"nrhn-d", l.link.Attrs().Index, "leads to real 192.0.2.21"}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSurveyAndNextHop(t *testing.T) {
	l := newLab(t)
	l.ok(netlink.AddrAdd(l.link, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix("192.0.2.10/32")), Label: "nrhn-d:0"}))
	ports, err := Survey()
	l.ok(err)
	want := Port{Name: "nrhn-d", Kind: "veth", Up: true, ARP: true, Ether: true, Holds: []Held{
		{netip.MustParsePrefix("192.0.2.1/24"), "nrhn-d"}, {netip.MustParsePrefix("192.0.2.10/32"), "nrhn-d:0"},
	}}
	i := slices.IndexFunc(ports, func(p Port) bool { return p.Name == "nrhn-d" })
	if i < 0 || !cmp.Equal(want, ports[i], byValue) {
		t.Errorf("ports %+v, want %+v", ports, want)
	}
	l.ok(netlink.RouteAdd(&netlink.Route{Dst: ipNet(netip.MustParsePrefix("0.0.0.0/0")), Gw: net.IP(gateway.AsSlice())}))
	for to, by := range map[netip.Addr]netip.Addr{distant: gateway, real21: real21} {
		if got, iface, err := NextHop(vip, to); got != by || iface != "nrhn-d" || err != nil {
			t.Errorf("NextHop(%s) = %s, %s, %v; want %s", to, got, iface, err, by)
		}
	}
}
