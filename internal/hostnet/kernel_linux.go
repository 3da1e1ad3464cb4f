package hostnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// New returns a Manager of the host, that is of the calling thread's network
// namespace, with its ledger.
func New(ledger Ledger, log *slog.Logger) *Manager {
	return &Manager{ledger: ledger, log: log, kernel: linux{}, lan: arpLAN{}}
}

// linux is the running kernel, seen from the calling thread's network namespace.
type linux struct{}

func (linux) look() (map[string]link, []Address, error) {
	links, err := dump(func() ([]netlink.Link, error) { return netlink.LinkList() })
	if err != nil {
		return nil, nil, err
	}
	addresses, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, nil, err
	}
	names := map[int]string{}
	found := map[string]link{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
		found[l.Attrs().Name] = link{ARP: hasARP(l)}
	}
	var held []Address
	for _, a := range addresses {
		held = append(held, Address{Prefix: prefixOf(a.IPNet), Interface: names[a.LinkIndex]})
	}
	return found, held, nil
}

func (linux) add(a Address) error {
	l, err := linkByName(a.Interface)
	if err != nil {
		return err
	}
	err = netlink.AddrAdd(l, &netlink.Addr{IPNet: ipNet(a.Prefix)})
	if errors.Is(err, syscall.EEXIST) {
		return errThere
	}
	return err
}

func (linux) remove(a Address) error {
	l, err := linkByName(a.Interface)
	if err != nil {
		return err
	}
	err = netlink.AddrDel(l, &netlink.Addr{IPNet: ipNet(a.Prefix)})
	if errors.Is(err, syscall.EADDRNOTAVAIL) { // gone since we looked
		return nil
	}
	return err
}

func (linux) sysctl(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys", path))
	return strings.TrimSpace(string(b)), bareErrno(err)
}

func (linux) setSysctl(path, value string) error {
	f, err := os.OpenFile(filepath.Join("/proc/sys", path), os.O_WRONLY, 0)
	if err != nil {
		return bareErrno(err)
	}
	_, err = f.WriteString(value)
	return bareErrno(errors.Join(err, f.Close()))
}

// bareErrno takes the path off an error of a file whose sysctl the message names.
func bareErrno(err error) error {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	return err
}

// dump repeats a listing that changed while the kernel wrote it.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, err
}

func linkByName(name string) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil, fmt.Errorf("interface %q is not there: name one that \"ip link\" lists", name)
	}
	if err != nil {
		return nil, fmt.Errorf("look up interface %q: %w", name, err)
	}
	return l, nil
}

// hasARP says whether the link finds its neighbours by ARP over Ethernet.
func hasARP(l netlink.Link) bool {
	a := l.Attrs()
	return a.EncapType == "ether" && a.RawFlags&(unix.IFF_NOARP|unix.IFF_LOOPBACK) == 0
}

func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addrOf(n.IP), bits)
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
