package hostnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"naru/internal/model"
)

// readState reads from the host what decides about the reals and VIPs.
func readState(want interest) (state, error) {
	s := state{ways: map[netip.Addr]way{}, own: map[netip.Addr]bool{}}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return s, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	addresses, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return s, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addresses {
		s.own[addrOf(a.IP)] = true
	}
	links := map[int]netlink.Link{}
	for _, real := range want.reals {
		if s.own[real] || real.IsLoopback() {
			continue
		}
		if s.ways[real], err = readWay(h, real, links); err != nil {
			return s, err
		}
	}
	if len(s.ways) == 0 {
		return s, nil
	}
	s.neighbours, err = neighbours()
	return s, err
}

// readWay looks up the route to a real. Links already read are taken from links.
func readWay(h *netlink.Handle, real netip.Addr, links map[int]netlink.Link) (way, error) {
	routes, err := h.RouteGet(real.AsSlice())
	if unreachable(err) || err == nil && len(routes) == 0 {
		return way{}, nil
	}
	if err != nil {
		return way{}, fmt.Errorf("look up route to real %s: %w", real, err)
	}
	r := routes[0]
	if r.Type != unix.RTN_UNICAST {
		return way{local: r.Type == unix.RTN_LOCAL}, nil
	}
	l := links[r.LinkIndex]
	if l == nil {
		if l, err = h.LinkByIndex(r.LinkIndex); err != nil { // gone since: its event comes
			return way{}, nil
		}
		links[r.LinkIndex] = l
	}
	a := l.Attrs()
	w := way{
		dark:   a.RawFlags&unix.IFF_RUNNING == 0,
		next:   hopKey{r.LinkIndex, nextHop(r, real)},
		source: addrOf(r.Src),
		mtu:    uint32(a.MTU),
	}
	if r.MTU > 0 {
		w.mtu = uint32(r.MTU)
	}
	if len(a.HardwareAddr) == len(w.srcMAC) {
		w.srcMAC = mac(a.HardwareAddr)
	}
	return w, nil
}

// nextHop is the gateway of a route, of either family (RFC 5549), or the real itself.
func nextHop(r netlink.Route, real netip.Addr) netip.Addr {
	if via, ok := r.Via.(*netlink.Via); ok {
		return addrOf(via.Addr)
	}
	if r.Gw != nil {
		return addrOf(r.Gw)
	}
	return real
}

// Look reads the host once and changes nothing: neighbours nobody has asked about yet
// are not resolved.
func Look(reals, vips []netip.Addr) (model.Host, error) {
	want := interest{reals, vips}
	s, err := readState(want)
	if err != nil {
		return model.Host{}, err
	}
	h, _ := resolve(want, s, map[hopKey]mac{})
	return h, nil
}
