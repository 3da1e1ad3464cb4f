package agent

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"naru/internal/decap"
	"naru/internal/hostnet"
	"naru/internal/model"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func port(name string, holds ...string) hostnet.Port {
	p := hostnet.Port{Name: name, Kind: "device", Up: true, ARP: name != "lo" && !strings.HasPrefix(name, "tunl")}
	p.Ether = p.ARP
	for _, h := range holds {
		label, prefix, labelled := strings.Cut(h, "=")
		if !labelled {
			label, prefix = name, h
		}
		p.Holds = append(p.Holds, hostnet.Held{Prefix: netip.MustParsePrefix(prefix), Label: label})
	}
	return p
}

// good is a host on which VIP 192.0.2.10 is as it should be, by dr, tun and nat alike.
func good() (facts, map[string]int) {
	sysctls := map[string]int{
		"net/ipv4/conf/all/arp_ignore": 1, "net/ipv4/conf/all/arp_announce": 2,
	}
	return facts{
		ports:  []hostnet.Port{port("lo", "127.0.0.1/8", "192.0.2.10/32"), port("eth0", "10.0.0.11/24")},
		sysctl: func(key string) int { return sysctls[key] },
		nextHop: func(from, to netip.Addr) (netip.Addr, string, error) {
			return ip("10.0.0.10"), "eth0", nil
		},
		decap: decap.State{Hooks: []decap.Hook{{Interface: "eth0", Kind: "tcx"}}, VIPs: []decap.VIP{{Address: ip("192.0.2.10")}}},
	}, sysctls
}

func TestInspect(t *testing.T) {
	dr := VIP{Address: ip("192.0.2.10")}
	tun := VIP{Address: ip("192.0.2.10"), Forward: model.TUN}
	nat := VIP{Address: ip("192.0.2.99"), Forward: model.NAT, Gateway: ip("10.0.0.10")}
	for _, tt := range []struct {
		name  string
		vip   VIP
		spoil func(*facts, map[string]int)
		want  string // in the only fault; empty for none
	}{
		{"dr", dr, nil, ""},
		{"tun", tun, nil, ""},
		{"nat", nat, nil, ""},
		{"VIP gone", dr, func(f *facts, _ map[string]int) { f.ports = f.ports[1:] }, "does not hold VIP 192.0.2.10"},
		{"answers ARP", dr, func(_ *facts, s map[string]int) { s["net/ipv4/conf/all/arp_ignore"] = 0 }, "eth0 answers ARP for VIPs on lo"},
		{"ignore 2 is as good", dr, func(_ *facts, s map[string]int) { s["net/ipv4/conf/eth0/arp_ignore"] = 2 }, ""},
		{"ignore 8 is as good", dr, func(_ *facts, s map[string]int) { s["net/ipv4/conf/all/arp_ignore"] = 8 }, ""},
		{"the interface alone", dr, func(_ *facts, s map[string]int) {
			s["net/ipv4/conf/all/arp_ignore"], s["net/ipv4/conf/eth0/arp_ignore"] = 0, 1
		}, ""},
		{"ignore 3 answers for addresses on lo", dr, func(_ *facts, s map[string]int) { s["net/ipv4/conf/eth0/arp_ignore"] = 3 }, "effective arp_ignore is 3"},
		{"announces", dr, func(_ *facts, s map[string]int) { s["net/ipv4/conf/all/arp_announce"] = 1 }, "effective arp_announce is 1"},
		{"an interface that is down does not matter", dr, func(f *facts, s map[string]int) {
			s["net/ipv4/conf/all/arp_ignore"] = 0
			f.ports[1].Up = false
		}, ""},
		{"VIP on eth0:0", dr, func(f *facts, _ map[string]int) {
			f.ports[1] = port("eth0", "10.0.0.11/24", "eth0:0=192.0.2.10/32")
		}, "is on eth0:0, where this machine answers ARP"},
		{"VIP on eth0:0 with ignore 2 and no network", dr, func(f *facts, s map[string]int) {
			f.ports[1] = port("eth0", "10.0.0.11/24", "eth0:0=192.0.2.10/32")
			s["net/ipv4/conf/eth0/arp_ignore"] = 2
		}, ""},
		{"VIP on eth0:0 with ignore 2 and a network", dr, func(f *facts, s map[string]int) {
			f.ports[1] = port("eth0", "10.0.0.11/24", "eth0:0=192.0.2.10/24")
			s["net/ipv4/conf/eth0/arp_ignore"] = 2
		}, "is on eth0:0, where this machine answers ARP"},
		{"tunnels pass", tun, func(f *facts, _ map[string]int) { f.decap = decap.State{} }, "nothing on this machine takes apart the tunnels"},
		{"tunnels pass but tunl0 is up", tun, func(f *facts, _ map[string]int) {
			f.decap = decap.State{}
			f.ports = append(f.ports, port("tunl0"))
		}, ""},
		{"tunnels of another VIP", tun, func(f *facts, _ map[string]int) { f.decap.VIPs[0].Address = ip("192.0.2.11") }, "nothing on this machine takes apart"},
		{"tunnels elsewhere", VIP{Address: ip("192.0.2.10"), Forward: model.TUN, Interface: "eth7"}, nil, "not taken apart on eth7"},
		{"tunnels unknown", tun, func(f *facts, _ map[string]int) { f.decapErr = errors.New("operation not permitted") }, "operation not permitted"},
		{"replies go elsewhere", nat, func(f *facts, _ map[string]int) {
			f.nextHop = func(_, _ netip.Addr) (netip.Addr, string, error) { return ip("10.0.0.1"), "eth0", nil }
		}, "through 10.0.0.1, not through the director 10.0.0.10"},
		{"replies go nowhere", nat, func(f *facts, _ map[string]int) {
			f.nextHop = func(_, _ netip.Addr) (a netip.Addr, _ string, err error) {
				return a, "", errors.New("network is unreachable")
			}
		}, "no way back to clients: network is unreachable"},
		{"gateway far away", nat, func(f *facts, _ map[string]int) { f.ports[1] = port("eth0", "10.9.0.11/24") }, "on no network of this machine"},
		{"gateway is this machine", nat, func(f *facts, _ map[string]int) { f.ports[1] = port("eth0", "10.0.0.10/24") }, "is this machine itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, sysctls := good()
			if tt.spoil != nil {
				tt.spoil(&f, sysctls)
			}
			faults := inspect([]VIP{tt.vip}, f)
			switch {
			case tt.want == "" && len(faults) == 0:
			case tt.want != "" && len(faults) == 1 && strings.Contains(faults[0].Text, tt.want):
				if faults[0].Mend == "" {
					t.Errorf("fault %q does not say how to mend it", faults[0].Text)
				}
			default:
				t.Errorf("faults %q, want one with %q", faults, tt.want)
			}
		})
	}
}

// TestClassic: what the guides have people set up by hand is recognised, ordinary
// addresses are not.
func TestClassic(t *testing.T) {
	ports := []hostnet.Port{
		port("lo", "127.0.0.1/8", "127.0.0.2/8", "lo:0=192.0.2.10/32", "192.0.2.20/32"),
		port("eth0", "10.0.0.11/24", "eth0:1=10.0.0.12/24", "eth0:0=192.0.2.11/32", "10.5.5.5/32"),
		port("tunl0", "192.0.2.12/32"),
	}
	got := classic([]VIP{{Address: ip("192.0.2.20")}}, ports)
	want := []Classic{
		{ip("192.0.2.10"), "lo:0", model.DR},
		{ip("192.0.2.11"), "eth0:0", model.DR},
		{ip("192.0.2.12"), "tunl0", model.TUN},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("classic (-want +got):\n%s", diff)
	}
}

func TestWantOfHost(t *testing.T) {
	ports := []hostnet.Port{port("lo", "127.0.0.1/8", "lo:0=192.0.2.10/32"), port("eth0", "192.0.2.12/32")}
	vips := []VIP{{Address: ip("192.0.2.10")}, {Address: ip("192.0.2.11"), Forward: model.TUN}, {Address: ip("192.0.2.12")}, {Address: ip("192.0.2.13"), Forward: model.NAT}}
	got := wantOfHost(vips, ports, func(string) int { return 0 })
	var on []string
	for _, a := range got.Addresses {
		on = append(on, a.String())
	}
	if diff := cmp.Diff([]string{"192.0.2.10/32 on lo", "192.0.2.11/32 on lo"}, on); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if len(got.Sysctls) != 4 {
		t.Errorf("sysctls %v, want arp_ignore and arp_announce of all and lo", got.Sysctls)
	}
	if got := wantOfHost(vips[3:], ports, func(string) int { return 0 }); len(got.Addresses)+len(got.Sysctls) > 0 {
		t.Errorf("nat wants %v of the host, want nothing", got)
	}
}

// TestWholeReplacesOnlyItsOwn: a file takes back what an earlier version of it named,
// and nothing that was brought up by hand.
func TestWholeReplacesOnlyItsOwn(t *testing.T) {
	a, b, c := VIP{Address: ip("192.0.2.1")}, VIP{Address: ip("192.0.2.2")}, VIP{Address: ip("192.0.2.3")}
	got := merge([]entry{{VIP: a, Whole: true}, {VIP: b}}, []VIP{c}, true)
	want := []entry{{VIP: b}, {VIP: c, Whole: true}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("VIPs up (-want +got):\n%s", diff)
	}
}

func TestWantOfDecap(t *testing.T) {
	ports := []hostnet.Port{port("lo", "127.0.0.1/8"), port("eth0", "10.0.0.11/24"), port("eth1", "10.0.1.11/24"), port("eth2")}
	got := wantOfDecap([]VIP{
		{Address: ip("192.0.2.10")},
		{Address: ip("192.0.2.11"), Forward: model.TUN, Interface: "eth1", Directors: []netip.Addr{ip("10.0.0.2"), ip("10.0.0.1")}},
		{Address: ip("192.0.2.12"), Forward: model.TUN},
	}, ports)
	want := decap.Want{
		VIPs: []decap.VIP{
			{Address: ip("192.0.2.11"), Directors: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.2/32")}},
			{Address: ip("192.0.2.12")},
		},
		Interfaces: []string{"eth0", "eth1"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("wanted of the program (-want +got):\n%s", diff)
	}
}
