package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// backTable is the reals' routing table for what they send from a back address.
const backTable = 10

// settle gives a new node its loopback and the sysctls from which the lab starts, on
// whatever machine: new links take those of "default".
func (l *Lab) settle(node string) error {
	return l.Do(node, func() error {
		for _, name := range []string{
			"ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter",
			"ipv4/conf/all/arp_ignore", "ipv4/conf/default/arp_ignore",
			"ipv4/conf/all/arp_announce", "ipv4/conf/default/arp_announce",
			"ipv4/ip_forward",
		} {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte("0"), 0); err != nil {
				return fmt.Errorf("set sysctl in %s: %w", node, err)
			}
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo in %s: %w", node, err)
		}
		return netlink.LinkSetUp(lo)
	})
}

// wire builds the two bridges and joins every node to them.
func (l *Lab) wire(mtu int) error {
	sw, err := netlink.NewHandleAt(l.nodes[Switch], unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink in %s: %w", Switch, err)
	}
	defer sw.Close()
	for _, leg := range []string{Front, Back} {
		if err := addBridge(sw, bridgeOf(leg), mtu); err != nil {
			return err
		}
	}
	var clientAddrs []netip.Addr
	for i := range clients {
		clientAddrs = append(clientAddrs, ClientAddress(i))
	}
	errs := []error{
		l.join(sw, Client, Front, mtu, clientAddrs...),
		l.join(sw, Director, Front, mtu, DirectorFront()),
		l.join(sw, Director, Back, mtu, DirectorBack()),
	}
	for i := 1; i <= l.reals; i++ {
		errs = append(errs,
			l.join(sw, Real(i), Front, mtu, RealFront(i)),
			l.join(sw, Real(i), Back, mtu, RealBack(i)),
			l.Do(Real(i), routeBack))
	}
	return errors.Join(errs...)
}

func bridgeOf(leg string) string { return map[string]string{Front: "front", Back: "back"}[leg] }

func addBridge(sw *netlink.Handle, name string, mtu int) error {
	br := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	br.Name, br.MTU = name, mtu
	if err := sw.LinkAdd(br); err != nil {
		return fmt.Errorf("make bridge %s: %w", name, kernelLacks(err, "bridges"))
	}
	return sw.LinkSetUp(br)
}

// join plugs a node into a bridge by a veth pair. MAC addresses say who is who:
// 02:00, then the node's IPv4 address.
func (l *Lab) join(sw *netlink.Handle, node, leg string, mtu int, addrs ...netip.Addr) error {
	br, err := sw.LinkByName(bridgeOf(leg))
	if err != nil {
		return fmt.Errorf("find bridge of %s: %w", leg, err)
	}
	port := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs()}
	port.Name, port.MTU, port.MasterIndex = portOf(node, leg), mtu, br.Attrs().Index
	port.PeerName, port.PeerMTU, port.PeerNamespace = leg, uint32(mtu), netlink.NsFd(l.nodes[node])
	port.PeerHardwareAddr = net.HardwareAddr(append([]byte{2, 0}, addrs[0].AsSlice()...))
	if err := sw.LinkAdd(port); err != nil {
		return fmt.Errorf("plug %s into bridge %s: %w", node, br.Attrs().Name, kernelLacks(err, "veth links"))
	}
	if err := sw.LinkSetUp(port); err != nil {
		return fmt.Errorf("set link %s up: %w", port.Name, err)
	}
	return l.Do(node, func() error {
		link, err := netlink.LinkByName(leg)
		if err != nil {
			return fmt.Errorf("find %s in %s: %w", leg, node, err)
		}
		for _, a := range addrs {
			if err := addAddress(link, netip.PrefixFrom(a, 24)); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(link)
	})
}

// routeBack makes the director a real's gateway: by default, and by a rule for what
// is sent from a back address, because the client is on the front link too.
func routeBack() error {
	link, err := netlink.LinkByName(Back)
	if err != nil {
		return fmt.Errorf("find %s: %w", Back, err)
	}
	gateway := DirectorBack().AsSlice()
	for _, table := range []int{unix.RT_TABLE_MAIN, backTable} {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway, Table: table}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("add default route: %w", err)
		}
	}
	local := netlink.NewRule()
	local.Src, local.Table, local.Priority = network(netip.PrefixFrom(back(0), 24)), backTable, 100
	near := netlink.NewRule() // reals and director talk on the back network without a detour
	near.Dst, near.Table, near.Priority = local.Src, unix.RT_TABLE_MAIN, 99
	return errors.Join(netlink.RuleAdd(near), netlink.RuleAdd(local))
}

// AddAddress gives a link of a node an address, as ifconfig and ip do.
func (l *Lab) AddAddress(node, link string, p netip.Prefix) error {
	return l.Do(node, func() error {
		to, err := netlink.LinkByName(link)
		if err != nil {
			return fmt.Errorf("find %s in %s: %w", link, node, err)
		}
		return addAddress(to, p)
	})
}

func addAddress(link netlink.Link, p netip.Prefix) error {
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: network(p)}); err != nil {
		return fmt.Errorf("add %s to %s: %w", p, link.Attrs().Name, err)
	}
	return nil
}

// Sysctl sets a sysctl of a node, named by its path below /proc/sys/net.
func (l *Lab) Sysctl(node, name, value string) error {
	return l.Do(node, func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
}

// ClassicReal sets up the i-th real for dr the way the guides do by hand: ARP for the
// VIP silenced, then the VIP on lo.
func (l *Lab) ClassicReal(i int) error {
	for name, value := range map[string]string{"arp_ignore": "1", "arp_announce": "2"} {
		if err := l.Sysctl(Real(i), "ipv4/conf/all/"+name, value); err != nil {
			return err
		}
	}
	return l.AddAddress(Real(i), "lo", netip.PrefixFrom(VIP(), 32))
}

func network(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// makeNamespace makes a namespace under /run/netns without entering it.
func makeNamespace(name string) (netns.NsHandle, error) {
	var ns netns.NsHandle
	err := onThread(func() (err error) {
		ns, err = netns.NewNamed(name)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return ns, nil
}
