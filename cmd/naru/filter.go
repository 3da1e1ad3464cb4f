package main

import (
	"iter"
	"net/netip"

	"naru/internal/cli"
	"naru/internal/model"
)

// connFilter is what a conn must match to be listed; what is unset matches all.
type connFilter struct {
	service      *model.Key
	real, client ends
}

// ends is a set of addresses, or of one address with a port. The zero value is all.
type ends struct {
	prefix netip.Prefix
	port   uint16 // 0: any
}

// parseEnds reads ADDRESS, ADDRESS:PORT or PREFIX; flag names it in the error.
func parseEnds(flag, s string) (ends, error) {
	if s == "" {
		return ends{}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return ends{prefix: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ends{netip.PrefixFrom(ap.Addr(), ap.Addr().BitLen()), ap.Port()}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return ends{prefix: p.Masked()}, nil
	}
	return ends{}, cli.Errorf(cli.Usage, "read --%s: %q is neither an address nor one with a port nor a prefix", flag, s).
		WithHint("write 192.0.2.21, 192.0.2.21:80 or 192.0.2.0/24")
}

func (e ends) match(a netip.AddrPort) bool {
	return !e.prefix.IsValid() || e.prefix.Contains(a.Addr()) && (e.port == 0 || e.port == a.Port())
}

func (f *connFilter) match(c model.Conn) bool {
	if f.service != nil && *f.service != (model.Key{Protocol: c.Protocol, VIP: c.Virtual.Addr(), Port: c.Virtual.Port()}) {
		return false
	}
	return f.real.match(c.Real) && f.client.match(c.Client)
}

// pass returns the conns that match, and every error.
func (f *connFilter) pass(conns iter.Seq2[model.Conn, error]) iter.Seq2[model.Conn, error] {
	return func(yield func(model.Conn, error) bool) {
		for c, err := range conns {
			if (err != nil || f.match(c)) && !yield(c, err) {
				return
			}
		}
	}
}
