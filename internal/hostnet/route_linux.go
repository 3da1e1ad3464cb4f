package hostnet

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// VIPInterface returns the interface a VIP belongs on: the one that holds it; else
// the one whose connected prefix contains it; else the one of the default route.
func VIPInterface(vip netip.Addr) (string, error) {
	v, err := newView()
	if err != nil {
		return "", err
	}
	if held := v.holders(vip); len(held) > 0 {
		return held[0].Attrs().Name, nil
	}
	if l := v.connected(vip); l != nil {
		return l.Attrs().Name, nil
	}
	if l := v.byDefault(vip); l != nil {
		return l.Attrs().Name, nil
	}
	return "", fmt.Errorf("VIP %s: no interface has a network that contains it, and there is no default route: name its interface in the configuration", vip)
}

// Leading is an interface on which packets of services come in or go out.
type Leading struct {
	Name  string
	Index int
	Why   string // a short sentence: "leads to VIP 192.0.2.10"
}

// Interfaces returns the up Ethernet interfaces that lead to the VIPs and the reals,
// in the order of their index. A bridge or bond stands for its ports. The error
// names the VIPs and reals no interface leads to; the interfaces of the others are
// returned with it.
func Interfaces(vips, reals []netip.Addr) ([]Leading, error) {
	v, err := newView()
	if err != nil {
		return nil, err
	}
	var all []Leading
	var faults []error
	lead := func(links []netlink.Link, why string) {
		for _, l := range links {
			all = append(all, Leading{l.Attrs().Name, l.Attrs().Index, why})
		}
	}
	for _, vip := range vips {
		links := v.toVIP(vip)
		lead(links, "leads to VIP "+vip.String())
		if len(links) == 0 {
			faults = append(faults, fmt.Errorf("VIP %s: no up Ethernet interface leads to it: name one under \"interfaces\"", vip))
		}
	}
	for _, real := range reals {
		links, local, err := v.toReal(real)
		lead(links, "leads to real "+real.String())
		if err != nil {
			faults = append(faults, err)
		} else if len(links) == 0 && !local {
			faults = append(faults, fmt.Errorf("real %s: no up Ethernet interface leads to it: set a route to it, or name an interface under \"interfaces\"", real))
		}
	}
	slices.SortStableFunc(all, func(a, b Leading) int { return cmp.Compare(a.Index, b.Index) })
	return slices.CompactFunc(all, func(a, b Leading) bool { return a.Index == b.Index }), errors.Join(faults...)
}

// view is the host's links, addresses and default routes at one moment.
type view struct {
	links     map[int]netlink.Link
	addresses []netlink.Addr
	defaults  []netlink.Route // best first
}

func newView() (*view, error) {
	links, err := dump(func() ([]netlink.Link, error) { return netlink.LinkList() })
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	v := &view{links: map[int]netlink.Link{}}
	for _, l := range links {
		v.links[l.Attrs().Index] = l
	}
	v.addresses, err = dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if ones, _ := prefixMask(r.Dst); ones == 0 && r.Type == unix.RTN_UNICAST {
			v.defaults = append(v.defaults, r)
		}
	}
	slices.SortStableFunc(v.defaults, func(a, b netlink.Route) int { return cmp.Compare(a.Priority, b.Priority) })
	return v, nil
}

// prefixMask is the mask of a route's destination; a missing one is the default's.
func prefixMask(n *net.IPNet) (ones, bits int) {
	if n == nil {
		return 0, 0
	}
	return n.Mask.Size()
}

// holders returns the interfaces that hold an address, those that carry traffic first.
func (v *view) holders(addr netip.Addr) (links []netlink.Link) {
	for _, a := range v.addresses {
		if l := v.links[a.LinkIndex]; l != nil && addrOf(a.IP) == addr {
			links = append(links, l)
		}
	}
	slices.SortStableFunc(links, func(a, b netlink.Link) int {
		return cmp.Compare(rank(a), rank(b))
	})
	return links
}

// rank orders interfaces: those that carry traffic first, then by index.
func rank(l netlink.Link) int {
	if carries(l) {
		return l.Attrs().Index
	}
	return math.MaxInt32
}

// carries says whether frames come and go on the interface: it is up and Ethernet.
// A dummy takes addresses as lo does, and carries as little.
func carries(l netlink.Link) bool {
	a := l.Attrs()
	return a.EncapType == "ether" && l.Type() != "dummy" && a.Flags&net.FlagUp != 0 && a.Flags&net.FlagLoopback == 0
}

// connected returns the interface whose network contains the address: the longest
// prefix, then the lowest index, decides.
func (v *view) connected(addr netip.Addr) (best netlink.Link) {
	longest := 0 // a /0 connects nothing
	for _, a := range v.addresses {
		l, p := v.links[a.LinkIndex], prefixOf(a.IPNet)
		if l != nil && carries(l) && p.Contains(addr) &&
			(p.Bits() > longest || p.Bits() == longest && best != nil && a.LinkIndex < best.Attrs().Index) {
			best, longest = l, p.Bits()
		}
	}
	return best
}

// byDefault returns the interface of the best default route of the address's family.
func (v *view) byDefault(addr netip.Addr) netlink.Link {
	for _, r := range v.defaults {
		if (r.Family == unix.AF_INET) != addr.Is4() {
			continue
		}
		index := r.LinkIndex
		if index == 0 && len(r.MultiPath) > 0 {
			index = r.MultiPath[0].LinkIndex
		}
		if l := v.links[index]; l != nil && l.Attrs().Flags&net.FlagUp != 0 {
			return l
		}
	}
	return nil
}

// toVIP returns the interfaces on which packets to a VIP come in.
func (v *view) toVIP(vip netip.Addr) (links []netlink.Link) {
	for _, l := range v.holders(vip) {
		if l = v.master(l); carries(l) {
			links = append(links, l)
		}
	}
	if len(links) > 0 {
		return links
	}
	for _, l := range []netlink.Link{v.connected(vip), v.byDefault(vip)} {
		if l == nil {
			continue
		}
		if l = v.master(l); carries(l) {
			return []netlink.Link{l}
		}
	}
	return nil
}

// toReal returns the interface on which packets to a real leave.
func (v *view) toReal(real netip.Addr) (links []netlink.Link, local bool, err error) {
	if real.IsLoopback() || len(v.holders(real)) > 0 {
		return nil, true, nil
	}
	routes, err := netlink.RouteGet(real.AsSlice())
	if unreachable(err) || err == nil && len(routes) == 0 {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look up route to real %s: %w", real, err)
	}
	if routes[0].Type == unix.RTN_LOCAL {
		return nil, true, nil
	}
	if l := v.links[routes[0].LinkIndex]; l != nil {
		if l = v.master(l); carries(l) {
			return []netlink.Link{l}, false, nil
		}
	}
	return nil, false, nil
}

// unreachable says whether a route lookup's error means that there is no way, as
// fib_props of net/ipv4/fib_semantics.c maps route types to errors.
func unreachable(err error) bool {
	return slices.ContainsFunc([]error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EINVAL},
		func(e error) bool { return errors.Is(err, e) })
}

// master returns the bridge or bond that a port belongs to, else the link itself.
func (v *view) master(l netlink.Link) netlink.Link {
	for range 8 { // deeper stacks than the kernel's own limit (MAX_NEST_DEV) are loops
		m := v.links[l.Attrs().MasterIndex]
		if m == nil || !slices.Contains([]string{"bridge", "bond", "team"}, m.Type()) {
			return l
		}
		l = m
	}
	return l
}
