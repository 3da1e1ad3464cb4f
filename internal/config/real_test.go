package config

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"naru/internal/model"
)

// The command line's flags come this way, without a file: every fault names the key
// that the flag is called by.
func TestCheckRealVIPNamesTheKeyAtFault(t *testing.T) {
	addr := netip.MustParseAddr
	vip, director := addr("192.0.2.10"), addr("192.0.2.2")
	for _, c := range []struct {
		name string
		vip  RealVIP
		want []string
	}{
		{"dr", RealVIP{VIP: vip}, nil},
		{"tun", RealVIP{VIP: vip, Forward: model.TUN, Directors: []netip.Addr{director}, Interface: "eth0"}, nil},
		{"tun from anyone", RealVIP{VIP: vip, Forward: model.TUN}, nil},
		{"nat", RealVIP{VIP: vip, Forward: model.NAT, Gateway: director}, nil},
		{"nothing", RealVIP{}, []string{"vip"}},
		{"IPv6", RealVIP{VIP: addr("2001:db8::1")}, []string{"vip"}},
		{"zone", RealVIP{VIP: addr("fe80::1%eth0")}, []string{"vip"}},
		{"multicast", RealVIP{VIP: addr("224.0.0.1")}, []string{"vip"}},
		{"local is found out, not set up", RealVIP{VIP: vip, Forward: model.Local}, []string{"forward"}},
		{"nat without gateway", RealVIP{VIP: vip, Forward: model.NAT}, []string{"gateway"}},
		{"gateway is the VIP", RealVIP{VIP: vip, Forward: model.NAT, Gateway: vip}, []string{"gateway"}},
		{"gateway on loopback", RealVIP{VIP: vip, Forward: model.NAT, Gateway: addr("127.0.0.1")}, []string{"gateway"}},
		{"gateway with dr", RealVIP{VIP: vip, Gateway: director}, []string{"gateway"}},
		{"directors with dr", RealVIP{VIP: vip, Directors: []netip.Addr{director}}, []string{"directors"}},
		{"one director bad", RealVIP{VIP: vip, Forward: model.TUN, Directors: []netip.Addr{director, {}}}, []string{"directors"}},
		{"interface with nat", RealVIP{VIP: vip, Forward: model.NAT, Gateway: director, Interface: "eth0"}, []string{"interface"}},
		{"interface name", RealVIP{VIP: vip, Forward: model.TUN, Interface: "a/b"}, []string{"interface"}},
		{"all at once", RealVIP{Directors: []netip.Addr{{}}, Gateway: director, Interface: "eth0"},
			[]string{"vip", "directors", "directors", "gateway", "interface"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range CheckRealVIP(c.vip) {
				got = append(got, f.Field)
				if f.Text == "" || f.Real != -1 {
					t.Errorf("fault is %+v", f)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNearestIsASlipNotAnotherWord(t *testing.T) {
	known := []string{"name", "port", "vip", "scheduler", "reals"}
	for got, want := range map[string]string{
		"prt": "port", "Port": "port", "vips": "vip", "schedular": "scheduler", "real": "reals",
		"": "", "backend": "", "weight": "", "x": "", "pool": "",
	} {
		if near := nearest(got, known); near != want {
			t.Errorf("nearest to %q is %q: want %q", got, near, want)
		}
	}
}
