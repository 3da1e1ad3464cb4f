package ipvsadm

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"naru/internal/model"
)

// patience bounds what all names of one list may cost: a resolver that is down must
// not keep an operator from seeing the table.
const patience = 5 * time.Second

// names looks up hosts and ports, each once. The functions are the system's.
type names struct {
	addresses func(ctx context.Context, network, host string) ([]netip.Addr, error)
	hosts     func(ctx context.Context, address string) ([]string, error)
	port      func(ctx context.Context, network, name string) (int, error)
	file      string // the services file: Go's resolver does not turn ports into names
	wait      time.Duration

	forward map[string]netip.Addr // by host, those that resolved
	reverse map[netip.Addr]string // by address; "" for those without a name
	ports   map[string]string     // name by "80/tcp"; nil until read
}

func systemNames() *names {
	r := net.DefaultResolver
	return &names{
		addresses: r.LookupNetIP, hosts: r.LookupAddr, port: r.LookupPort,
		file: "/etc/services", wait: patience,
		forward: map[string]netip.Addr{}, reverse: map[netip.Addr]string{},
	}
}

// address returns the address of a host that is an address or a name.
func (n *names) address(ctx context.Context, host string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	if a, ok := n.forward[host]; ok {
		return a, true
	}
	found, err := n.addresses(ctx, "ip4", host)
	if err != nil || len(found) == 0 {
		return netip.Addr{}, false
	}
	n.forward[host] = found[0].Unmap()
	return n.forward[host], true
}

// number returns the port of a number or a service name; "" is port 0.
func (n *names) number(ctx context.Context, p model.Protocol, port string) (uint16, bool) {
	if port == "" {
		return 0, true
	}
	if v, err := strconv.ParseUint(port, 10, 16); err == nil {
		return uint16(v), true
	}
	v, err := n.port(ctx, p.String(), port)
	return uint16(v), err == nil
}

// resolve returns the address and port of a place.
func (n *names) resolve(ctx context.Context, p model.Protocol, at Place) (netip.AddrPort, bool) {
	a, ok := n.address(ctx, at.Host)
	if !ok {
		return netip.AddrPort{}, false
	}
	port, ok := n.number(ctx, p, at.Port)
	return netip.AddrPortFrom(a, port), ok
}

// namer writes an address and port for people.
type namer func(model.Protocol, netip.AddrPort) string

func numeric(_ model.Protocol, at netip.AddrPort) string { return at.String() }

// namer returns how to write addresses, and what to call when all are written.
func (n *names) namer(ctx context.Context, asNumbers bool) (namer, context.CancelFunc) {
	if asNumbers {
		return numeric, func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, n.wait)
	return func(p model.Protocol, at netip.AddrPort) string {
		host := n.host(ctx, at.Addr())
		if host == "" {
			host = at.Addr().String()
			if at.Addr().Is6() {
				host = "[" + host + "]"
			}
		}
		return host + ":" + n.portName(p, at.Port())
	}, cancel
}

func (n *names) host(ctx context.Context, a netip.Addr) string {
	if name, ok := n.reverse[a]; ok {
		return name
	}
	name := ""
	if ctx.Err() == nil {
		if found, err := n.hosts(ctx, a.String()); err == nil && len(found) > 0 {
			name = strings.TrimSuffix(found[0], ".")
		}
	}
	n.reverse[a] = name
	return name
}

func (n *names) portName(p model.Protocol, port uint16) string {
	if n.ports == nil {
		n.ports = readServices(n.file)
	}
	number := strconv.Itoa(int(port))
	if name, ok := n.ports[number+"/"+p.String()]; ok {
		return name
	}
	return number
}

// readServices reads a file as services(5) describes it. Where a port has several
// names the first is used; a file that cannot be read names none.
func readServices(path string) map[string]string {
	ports := map[string]string{}
	f, err := os.Open(path)
	if err != nil {
		return ports
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		if _, taken := ports[words[1]]; !taken {
			ports[words[1]] = words[0]
		}
	}
	return ports
}
