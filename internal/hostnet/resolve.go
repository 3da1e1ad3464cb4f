package hostnet

import (
	"maps"
	"net/netip"

	"naru/internal/model"
)

// interest is what a Watcher was asked to watch.
type interest struct{ reals, vips []netip.Addr }

// hopKey names a neighbour: an address on a link.
type hopKey struct {
	ifindex int
	addr    netip.Addr
}

// way is what the routes say about a real; the zero way leads nowhere.
type way struct {
	local  bool
	dark   bool   // its link has no carrier: nobody can be asked
	next   hopKey // the real or its gateway
	srcMAC mac
	source netip.Addr
	mtu    uint32
}

// neighbour is an entry of the neighbour table.
type neighbour struct {
	mac     mac  // zero if not resolved
	fixed   bool // permanent, or without ARP, or managed by somebody else: not ours to keep resolved
	managed bool // by a naru
}

// state is everything a Watcher reads of the host.
type state struct {
	ways       map[netip.Addr]way
	neighbours map[hopKey]neighbour
	own        map[netip.Addr]bool
}

// resolve turns what was read into a model.Host, and lists the neighbours on the way,
// each with whether the kernel must be told now to keep it resolved. A MAC that is no longer in the table is taken
// from known, where every MAC seen is kept, because the kernel forgets neighbours
// when a carrier is lost and its frames must flow once it is back.
func resolve(want interest, s state, known map[hopKey]mac) (h model.Host, next map[hopKey]bool) {
	h = model.Host{Hops: map[netip.Addr]model.Hop{}, Held: map[netip.Addr]bool{}}
	next = map[hopKey]bool{}
	for _, vip := range want.vips {
		h.Held[vip] = s.own[vip]
	}
	for _, real := range want.reals {
		w := s.ways[real]
		if w.local || real.IsLoopback() || s.own[real] {
			h.Hops[real] = model.Hop{Local: true}
			continue
		}
		if w.next.ifindex == 0 {
			h.Hops[real] = model.Hop{}
			continue
		}
		n := s.neighbours[w.next]
		if n.mac != (mac{}) {
			known[w.next] = n.mac
		}
		next[w.next] = !n.fixed && !n.managed && !w.dark
		h.Hops[real] = model.Hop{
			Ifindex: uint32(w.next.ifindex), SrcMAC: w.srcMAC, DstMAC: known[w.next],
			Source: w.source, MTU: w.mtu,
		}
	}
	maps.DeleteFunc(known, func(k hopKey, _ mac) bool { _, used := next[k]; return !used })
	return h, next
}

// sameHost says whether two hosts are equal.
func sameHost(a, b model.Host) bool {
	return maps.Equal(a.Hops, b.Hops) && maps.Equal(a.Held, b.Held)
}
