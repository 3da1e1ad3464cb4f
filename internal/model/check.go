package model

import (
	"fmt"
	"net/netip"
)

// Fault is one reason why a service cannot be carried. Field is the configuration
// key at fault ("vip", "port", "address", "weight", "forward"); Real is the index of
// the real it belongs to, or -1 for the service itself.
type Fault struct {
	Real  int
	Field string
	Text  string
}

// Error implements error.
func (f Fault) Error() string { return f.Text }

// Check returns every fault of the service, in the order of its fields. The same
// rules hold for the file, for ipvsadm and for the API.
func (s *Service) Check() []Fault {
	var faults []Fault
	fault := func(real int, field, format string, args ...any) {
		faults = append(faults, Fault{real, field, fmt.Sprintf(format, args...)})
	}
	if text := AddressFault(s.VIP); text != "" {
		fault(-1, "vip", "VIP %s %s", s.VIP, text)
	}
	if s.VIP.Is4() && s.VIP.IsLoopback() {
		fault(-1, "vip", "VIP %s is a loopback address, which no other machine can reach", s.VIP)
	}
	if s.VIP.Is6() && AddressFault(s.VIP) == "" {
		fault(-1, "vip", "VIP %s is IPv6, which this version does not carry yet", s.VIP)
	}
	if s.Port == 0 {
		fault(-1, "port", "port 0 is not a port: use 1 to 65535")
	}
	seen := make(map[netip.AddrPort]int, len(s.Reals))
	for i := range s.Reals {
		r := &s.Reals[i]
		for _, f := range s.CheckReal(r) {
			f.Real = i
			faults = append(faults, f)
		}
		if first, twice := seen[r.Address]; twice {
			fault(i, "address", "real %s is listed twice (first as real %d)", r.Address, first+1)
		} else {
			seen[r.Address] = i
		}
	}
	return faults
}

// CheckReal returns every fault of a real of this service; their Real field is 0.
func (s *Service) CheckReal(r *Real) []Fault {
	var faults []Fault
	fault := func(field, format string, args ...any) {
		faults = append(faults, Fault{0, field, fmt.Sprintf(format, args...)})
	}
	addr := r.Address.Addr()
	if text := AddressFault(addr); text != "" {
		fault("address", "address %s %s", addr, text)
	} else if s.VIP.IsValid() && addr.Is4() != s.VIP.Is4() && r.Forward != TUN {
		fault("address", "real %s is %s and VIP %s is %s: %s cannot cross families, only tun can",
			addr, family(addr), s.VIP, family(s.VIP), r.Forward)
	} else if addr.Is6() {
		fault("address", "real %s is IPv6, which this version does not carry yet", addr)
	}
	if r.Address.Port() == 0 {
		fault("port", "port 0 is not a port: use 1 to 65535")
	} else if r.Address.Port() != s.Port && s.Port != 0 && (r.Forward != NAT || addr.IsLoopback()) {
		fault("port", "port %d differs from the service's port %d: %s does not rewrite packets and cannot map ports, only nat to another machine can",
			r.Address.Port(), s.Port, forwardOf(r))
	}
	if r.Weight > MaxWeight {
		fault("weight", "weight %d is out of range: use 0 to %d", r.Weight, MaxWeight)
	}
	return faults
}

func forwardOf(r *Real) Forward {
	if r.Address.Addr().IsLoopback() {
		return Local
	}
	return r.Forward
}

// AddressFault says why a cannot be the address of a machine, as the end of a sentence
// that begins with the address; it is empty if a can.
func AddressFault(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "is missing"
	case a.Zone() != "":
		return "has a zone: name an address without one"
	case a.Is4In6():
		return "is an IPv4 address written as IPv6: write it as IPv4"
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsMulticast():
		return "is a multicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address"
	}
	return ""
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}
