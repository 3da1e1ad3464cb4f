package hostnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Port is an interface of the host, for those who explain the host to people.
type Port struct {
	Name  string
	Kind  string // as "ip -d link" names it: "veth", "ipip", "device"
	Up    bool
	ARP   bool // its neighbours are found by ARP
	Ether bool // its frames have Ethernet headers
	Holds []Held
}

// Held is an address of a Port.
type Held struct {
	Prefix netip.Prefix
	Label  string // as ifconfig shows it: "lo:0"; the interface's name if it has none
}

// Survey lists the interfaces of the calling thread's network namespace.
func Survey() ([]Port, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addresses, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var ports []Port
	for _, l := range links {
		p := Port{Name: l.Attrs().Name, Kind: l.Type(), Up: l.Attrs().RawFlags&1 != 0, ARP: hasARP(l), Ether: l.Attrs().EncapType == "ether"}
		for _, a := range addresses {
			if a.LinkIndex == l.Attrs().Index {
				p.Holds = append(p.Holds, Held{Prefix: prefixOf(a.IPNet), Label: a.Label})
			}
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// NextHop returns the gateway by which the host sends packets of its address from to
// another machine, and the interface; the gateway is to itself if that is on link.
func NextHop(from, to netip.Addr) (gateway netip.Addr, iface string, err error) {
	routes, err := netlink.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{SrcAddr: from.AsSlice()})
	if err != nil {
		return gateway, "", fmt.Errorf("find the route from %s to %s: %w", from, to, err)
	}
	if len(routes) == 0 {
		return gateway, "", fmt.Errorf("find the route from %s to %s: there is none", from, to)
	}
	l, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return gateway, "", fmt.Errorf("find the route from %s to %s: %w", from, to, err)
	}
	if gateway = addrOf(routes[0].Gw); !gateway.IsValid() {
		gateway = to
	}
	return gateway, l.Attrs().Name, nil
}
