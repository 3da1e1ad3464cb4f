package ipvsadm

import (
	"net/netip"
	"strconv"
	"strings"
)

// Place is an address as written on a line: a host that is an address or a name, and a
// port that is a number, a name or absent.
type Place struct {
	Host string
	Port string
}

// String returns the place as parsePlace reads it.
func (p Place) String() string {
	switch {
	case p.Port == "":
		return p.Host
	case p.is6():
		return "[" + p.Host + "]:" + p.Port
	}
	return p.Host + ":" + p.Port
}

// is6 says whether the host is an IPv6 address. Names stand for IPv4 addresses.
func (p Place) is6() bool { return strings.Contains(p.Host, ":") }

// parsePlace reads host, host:port, an IPv6 address or [address]:port. A bare number
// is neither. Numbers come out in their usual form.
func parsePlace(s string) (Place, bool) {
	if allDigits(s) {
		return Place{}, false
	}
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, port, ok := strings.Cut(rest, "]:")
		a, is6 := parse6(host)
		port, portOK := parsePort(port)
		return Place{a, port}, ok && is6 && portOK
	}
	if a, ok := parse6(s); ok {
		return Place{Host: a}, true
	}
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
		var ok bool
		if port, ok = parsePort(port); !ok {
			return Place{}, false
		}
	}
	host, ok := parseHost(host)
	return Place{host, port}, ok
}

func parse6(s string) (string, bool) {
	a, err := netip.ParseAddr(s)
	return a.String(), err == nil && a.Is6() && a.Zone() == ""
}

// parseHost reads an IPv4 address or what may be a host's name. Digits and dots that
// are no address are a slip of the finger, not a name to look up.
func parseHost(s string) (string, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		return a.String(), true
	}
	return s, isName(s) && strings.Trim(s, "0123456789.") != ""
}

func parsePort(s string) (string, bool) {
	if n, ok := number(s, 65535); ok {
		return strconv.FormatUint(uint64(n), 10), true
	}
	return s, isName(s) && strings.Trim(s, "0123456789+-") != ""
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("._-+", c) >= 0) {
			return false
		}
	}
	return s != ""
}
