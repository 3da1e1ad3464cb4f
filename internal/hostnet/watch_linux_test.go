package hostnet

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"naru/internal/model"
)

var (
	real21  = netip.MustParseAddr("192.0.2.21")
	distant = netip.MustParseAddr("198.51.100.7")
	gateway = netip.MustParseAddr("192.0.2.254")
)

// watch starts a Watcher in the lab's director and stops it at the test's end.
func (l *lab) watch(reals, vips []netip.Addr) *Watcher {
	w := NewWatcher(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	wait := l.in(l.dir, func() error { return w.Run(ctx) })
	l.t.Cleanup(func() {
		cancel()
		if err := wait(); err != nil {
			l.t.Errorf("Run: %v", err)
		}
	})
	w.Watch(reals, vips)
	return w
}

// until receives states until one is as wanted.
func until(t *testing.T, w *Watcher, what string, f func(model.Host) bool) model.Host {
	t.Helper()
	deadline := time.After(15 * time.Second)
	var last model.Host
	for {
		select {
		case last = <-w.Updates():
			if f(last) {
				return last
			}
		case <-deadline:
			t.Fatalf("not within 15 s: %s; last state %+v", what, last)
		}
	}
}

// entry returns the director's neighbour entry.
func (l *lab) entry(addr netip.Addr) (neighbour, bool) {
	l.t.Helper()
	table, err := neighbours()
	l.ok(err)
	n, ok := table[hopKey{l.link.Attrs().Index, addr}]
	return n, ok
}

func TestWatcherResolvesAndFollowsAReal(t *testing.T) {
	l := newLab(t)
	l.peerHolds("192.0.2.21/24")
	loopback, self := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	w := l.watch([]netip.Addr{real21, loopback, self, distant}, []netip.Addr{vip, self})
	h := until(t, w, "the real is resolved", func(h model.Host) bool { return h.Hops[real21].Reachable() })
	want := model.Hop{Ifindex: uint32(l.link.Attrs().Index), SrcMAC: macOf(l.link), DstMAC: macOf(l.far), Source: self, MTU: 1500}
	if h.Hops[real21] != want {
		t.Errorf("hop %+v, want %+v", h.Hops[real21], want)
	}
	if !h.Hops[loopback].Local || !h.Hops[self].Local || h.Hops[distant] != (model.Hop{}) {
		t.Errorf("hops %+v", h.Hops)
	}
	if h.Held[vip] || !h.Held[self] {
		t.Errorf("held %v", h.Held)
	}

	moved := mac{2, 0, 0, 0, 0, 9}
	l.ok(l.there.LinkSetHardwareAddr(l.far, hardware(moved)))
	l.ok(l.in(l.peer, func() error { return Announce("nrhn-p", real21) })())
	until(t, w, "the real's new MAC", func(h model.Host) bool { return h.Hops[real21].DstMAC == moved })

	l.ok(netlink.AddrAdd(l.link, netAddr("192.0.2.10/32")))
	until(t, w, "the VIP is held", func(h model.Host) bool { return h.Held[vip] })
	l.ok(netlink.AddrDel(l.link, netAddr("192.0.2.10/32")))
	until(t, w, "the VIP is gone", func(h model.Host) bool { return !h.Held[vip] })

	l.ok(netlink.LinkSetMTU(l.link, 1400))
	until(t, w, "the new MTU", func(h model.Host) bool { return h.Hops[real21].MTU == 1400 })
}

func TestWatcherKeepsTheMACOverCarrierLoss(t *testing.T) {
	l := newLab(t)
	l.peerHolds("192.0.2.21/24")
	w := l.watch([]netip.Addr{real21}, nil)
	reachable := func(h model.Host) bool { return h.Hops[real21].Reachable() }
	until(t, w, "the real is resolved", reachable)

	l.ok(l.there.LinkSetDown(l.far)) // our carrier goes; the neighbour is flushed
	eventually(t, "the carrier is lost", func() bool {
		link, err := netlink.LinkByName("nrhn-d")
		l.ok(err)
		return link.Attrs().RawFlags&unix.IFF_RUNNING == 0
	})
	w.Watch([]netip.Addr{real21, distant}, nil) // makes it tell its state
	h := until(t, w, "a state without carrier", func(h model.Host) bool { _, ok := h.Hops[distant]; return ok })
	if h.Hops[real21].DstMAC != macOf(l.far) {
		t.Errorf("the MAC is forgotten: %+v", h.Hops[real21])
	}
	moved := mac{2, 0, 0, 0, 0, 9}
	l.ok(l.there.LinkSetHardwareAddr(l.far, hardware(moved)))
	l.ok(l.there.LinkSetUp(l.far))
	until(t, w, "resolved anew after carrier is back", func(h model.Host) bool { return h.Hops[real21].DstMAC == moved })

	l.ok(netlink.LinkSetDown(l.link)) // takes the route
	until(t, w, "no way", func(h model.Host) bool { return h.Hops[real21] == model.Hop{} })
	l.ok(netlink.LinkSetUp(l.link))
	until(t, w, "resolved after link up", reachable)
}

func TestWatcherFollowsGatewaysAndReleasesNeighbours(t *testing.T) {
	l := newLab(t)
	l.peerHolds("192.0.2.21/24", "192.0.2.254/24")
	w := l.watch([]netip.Addr{distant}, nil)
	until(t, w, "no way", func(h model.Host) bool { _, ok := h.Hops[distant]; return ok })
	l.ok(netlink.RouteAdd(&netlink.Route{Dst: ipNet(netip.MustParsePrefix("198.51.100.0/24")), Gw: net.IP(gateway.AsSlice()), MTU: 1300}))
	h := until(t, w, "by the gateway", func(h model.Host) bool { return h.Hops[distant].Reachable() })
	if h.Hops[distant].DstMAC != macOf(l.far) || h.Hops[distant].MTU != 1300 {
		t.Errorf("hop %+v", h.Hops[distant])
	}
	if n, ok := l.entry(gateway); !ok || !n.managed {
		t.Errorf("gateway's entry: %+v, %v", n, ok)
	}
	w.Watch([]netip.Addr{real21}, nil)
	until(t, w, "the other real", func(h model.Host) bool { return h.Hops[real21].Reachable() })
	eventually(t, "the gateway's entry is released", func() bool { n, _ := l.entry(gateway); return !n.managed })
	eventually(t, "the real's entry is ours", func() bool { n, _ := l.entry(real21); return n.managed })
	l.ok(ForgetNeighbours())
}

func TestNeighbourEntriesOutliveTheWatcherAndEndWithForget(t *testing.T) {
	l := newLab(t)
	l.peerHolds("192.0.2.21/24")
	w := NewWatcher(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	wait := l.in(l.dir, func() error { return w.Run(ctx) })
	w.Watch([]netip.Addr{real21}, nil)
	until(t, w, "the real is resolved", func(h model.Host) bool { return h.Hops[real21].Reachable() })
	cancel()
	l.ok(wait())
	if n, ok := l.entry(real21); !ok || !n.managed {
		t.Errorf("entry after Run: %+v, %v", n, ok)
	}
	l.ok(l.there.NeighSet(&netlink.Neigh{
		LinkIndex: l.far.Attrs().Index, IP: net.IP(vip.AsSlice()), HardwareAddr: hardware(other), State: netlink.NUD_PERMANENT,
	}))
	l.ok(ForgetNeighbours())
	if n, ok := l.entry(real21); ok && n.managed {
		t.Errorf("entry after ForgetNeighbours: %+v", n)
	}
}

func TestPermanentNeighboursAreLeftAlone(t *testing.T) {
	l := newLab(t)
	l.peerHolds("192.0.2.21/24")
	l.ok(netlink.NeighSet(&netlink.Neigh{
		LinkIndex: l.link.Attrs().Index, IP: net.IP(real21.AsSlice()), HardwareAddr: hardware(other), State: netlink.NUD_PERMANENT,
	}))
	w := l.watch([]netip.Addr{real21}, nil)
	until(t, w, "the admin's MAC", func(h model.Host) bool { return h.Hops[real21].DstMAC == other })
	w.Watch([]netip.Addr{distant}, nil)
	until(t, w, "interest has ended", func(h model.Host) bool { _, ok := h.Hops[real21]; return !ok })
	l.ok(ForgetNeighbours())
	entries, err := netlink.NeighList(l.link.Attrs().Index, netlink.FAMILY_V4)
	l.ok(err)
	if len(entries) != 1 || entries[0].State != netlink.NUD_PERMANENT || mac(entries[0].HardwareAddr) != other {
		t.Errorf("entries %+v", entries)
	}
}

// TestLostMessagesAreNotMissed floods a subscription nobody reads from, so that the
// kernel drops messages and says ENOBUFS, and then reads.
func TestLostMessagesAreNotMissed(t *testing.T) {
	l := newLab(t)
	events, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_IFADDR)
	l.ok(err)
	l.ok(events.SetReceiveBufferSize(1, false)) // the kernel makes it its least
	flap := func() {
		l.ok(netlink.AddrAdd(l.link, netAddr("192.0.2.10/32")))
		l.ok(netlink.AddrDel(l.link, netAddr("192.0.2.10/32")))
	}
	for range 50 {
		flap()
	}
	heard, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- hear(events, heard) }()
	for range 2 {
		select {
		case <-heard:
		case err := <-ended:
			t.Fatalf("hearing has ended: %v", err)
		case <-time.After(10 * time.Second):
			t.Fatal("nothing heard within 10 s")
		}
		time.Sleep(10 * time.Millisecond) // lets it read what is queued, error included
		drain(heard)
		flap()
	}
	events.Close()
	<-ended
}
