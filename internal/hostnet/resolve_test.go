package hostnet

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"naru/internal/model"
)

func TestResolve(t *testing.T) {
	real := netip.MustParseAddr("192.0.2.21")
	gateway := netip.MustParseAddr("192.0.2.1")
	direct := hopKey{3, real}
	lan := way{next: direct, srcMAC: own, source: vip, mtu: 1500}
	hop := func(dst mac) model.Hop {
		return model.Hop{Ifindex: 3, SrcMAC: own, DstMAC: dst, Source: vip, MTU: 1500}
	}
	for _, c := range []struct {
		name      string
		way       way
		neighbour neighbour
		own       bool
		known     mac
		want      model.Hop
		next      map[hopKey]bool
	}{
		{name: "no route", want: model.Hop{}, next: map[hopKey]bool{}},
		{name: "local by its route", way: way{local: true}, want: model.Hop{Local: true}, next: map[hopKey]bool{}},
		{name: "local by its address", way: lan, own: true, want: model.Hop{Local: true}, next: map[hopKey]bool{}},
		{name: "not resolved yet", way: lan, want: hop(mac{}), next: map[hopKey]bool{direct: true}},
		{name: "resolved", way: lan, neighbour: neighbour{mac: other, managed: true}, want: hop(other), next: map[hopKey]bool{direct: false}},
		{name: "resolved by the kernel's own accord", way: lan, neighbour: neighbour{mac: other}, want: hop(other), next: map[hopKey]bool{direct: true}},
		{name: "permanent", way: lan, neighbour: neighbour{mac: other, fixed: true}, want: hop(other), next: map[hopKey]bool{direct: false}},
		{name: "gone, known", way: lan, known: other, want: hop(other), next: map[hopKey]bool{direct: true}},
		{name: "replaced", way: lan, known: own, neighbour: neighbour{mac: other, managed: true}, want: hop(other), next: map[hopKey]bool{direct: false}},
		{
			name: "no carrier", way: way{next: direct, srcMAC: own, source: vip, mtu: 1500, dark: true}, known: other,
			want: hop(other), next: map[hopKey]bool{direct: false},
		},
		{
			name: "gateway", way: way{next: hopKey{3, gateway}, srcMAC: own, source: vip, mtu: 1400},
			want: model.Hop{Ifindex: 3, SrcMAC: own, Source: vip, MTU: 1400}, next: map[hopKey]bool{{3, gateway}: true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := state{
				ways:       map[netip.Addr]way{real: c.way},
				neighbours: map[hopKey]neighbour{},
				own:        map[netip.Addr]bool{real: c.own},
			}
			if c.neighbour != (neighbour{}) {
				s.neighbours[direct] = c.neighbour
			}
			known := map[hopKey]mac{{9, real}: own} // of a way no longer used
			if c.known != (mac{}) {
				known[direct] = c.known
			}
			h, next := resolve(interest{reals: []netip.Addr{real}}, s, known)
			if diff := cmp.Diff(c.want, h.Hops[real], cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !cmp.Equal(c.next, next, cmpopts.EquateComparable(hopKey{})) {
				t.Errorf("next %v, want %v", next, c.next)
			}
			if _, stale := known[hopKey{9, real}]; stale {
				t.Error("the MAC of an unused neighbour is kept for ever")
			}
		})
	}
}

func TestLoopbackRealsAreLocal(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	h, next := resolve(interest{reals: []netip.Addr{loopback}, vips: []netip.Addr{vip}}, state{own: map[netip.Addr]bool{vip: true}}, map[hopKey]mac{})
	if !h.Hops[loopback].Local || len(next) > 0 || !h.Held[vip] {
		t.Errorf("%v, next %v", h, next)
	}
}
