// Package model holds naru's vocabulary: the words every other package and every
// user-visible text uses, with their parsing, printing and limits. It does no I/O.
//
// The words are those of the Linux Virtual Server and have no synonyms here:
//
//   - service: a virtual service, named by protocol, virtual address and port
//   - real: a real server of a service
//   - scheduler: the rule that chooses a real for a new conn
//   - forward: how a packet reaches the real (dr, nat, tun, local)
//   - weight: a real's share; 0 takes no new conns
//   - conn: one client's connection (TCP) or flow (UDP) and the real it is bound to
//   - director: the machine that forwards; VIP: an address it answers for
package model

import (
	"fmt"
	"net/netip"
	"strings"
)

// MaxWeight is the largest weight a real may have: ipvsadm 1.31 accepts 0 to 65535.
const MaxWeight = 65535

// Protocol is an IP protocol number that a service can have.
type Protocol uint8

// The protocols, by their IANA number.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String returns the protocol as configuration and service names spell it.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("protocol(%d)", uint8(p))
}

// ParseProtocol reads "tcp" or "udp".
func ParseProtocol(s string) (Protocol, error) {
	switch s {
	case "tcp":
		return TCP, nil
	case "udp":
		return UDP, nil
	}
	return 0, fmt.Errorf("protocol %q is unknown: use tcp or udp", s)
}

// MarshalText implements encoding.TextMarshaler.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Protocol) UnmarshalText(b []byte) (err error) {
	*p, err = ParseProtocol(string(b))
	return err
}

// Forward is how the director hands a packet to a real.
type Forward uint8

// The forwards. Local is never written by a user: it is what any of the others
// becomes when the real's address belongs to the director itself.
const (
	DR    Forward = iota // rewrite the destination MAC; the real answers the client directly
	NAT                  // rewrite address and port; replies come back through the director
	TUN                  // wrap in IP-in-IP; the real answers the client directly
	Local                // the director is the real
)

// String returns the forward as configuration spells it.
func (f Forward) String() string {
	switch f {
	case DR:
		return "dr"
	case NAT:
		return "nat"
	case TUN:
		return "tun"
	case Local:
		return "local"
	}
	return fmt.Sprintf("forward(%d)", uint8(f))
}

// ParseForward reads "dr", "nat" or "tun".
func ParseForward(s string) (Forward, error) {
	switch s {
	case "dr":
		return DR, nil
	case "nat":
		return NAT, nil
	case "tun":
		return TUN, nil
	case "local":
		return 0, fmt.Errorf("forward %q is never written: a real whose address is the director's own is local by itself", s)
	}
	return 0, fmt.Errorf("forward %q is unknown: use dr, nat or tun", s)
}

// MarshalText implements encoding.TextMarshaler.
func (f Forward) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Forward) UnmarshalText(b []byte) (err error) {
	if string(b) == "local" { // as read back from a running director
		*f = Local
		return nil
	}
	*f, err = ParseForward(string(b))
	return err
}

// Scheduler chooses the real of a new conn. The zero value is the default, wlc.
type Scheduler uint8

// The schedulers, each by ip_vs's rule of the same name.
const (
	WLC Scheduler = iota // least (active*256+total)/weight
	RR                   // by turns
	WRR                  // by turns, in proportion to weight
	LC                   // least active*256+total
	SH                   // hash of the client's address, 256 buckets
	MH                   // Maglev hash of the client's address
)

var schedulers = [...]string{WLC: "wlc", RR: "rr", WRR: "wrr", LC: "lc", SH: "sh", MH: "mh"}

// Schedulers lists the names of all schedulers.
func Schedulers() []string { return append([]string(nil), schedulers[:]...) }

// String returns the scheduler's name as ipvsadm spells it.
func (s Scheduler) String() string {
	if int(s) < len(schedulers) {
		return schedulers[s]
	}
	return fmt.Sprintf("scheduler(%d)", uint8(s))
}

// ParseScheduler reads a scheduler's name.
func ParseScheduler(s string) (Scheduler, error) {
	for i, name := range schedulers {
		if name == s {
			return Scheduler(i), nil
		}
	}
	return 0, fmt.Errorf("scheduler %q is unknown: use one of %s", s, strings.Join(schedulers[:], ", "))
}

// MarshalText implements encoding.TextMarshaler.
func (s Scheduler) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Scheduler) UnmarshalText(b []byte) (err error) {
	*s, err = ParseScheduler(string(b))
	return err
}

// Key identifies a service: there is at most one service of a key on a director.
type Key struct {
	Protocol Protocol   `json:"protocol"`
	VIP      netip.Addr `json:"vip"`
	Port     uint16     `json:"port"`
}

// String returns the key as users write it: "tcp:192.0.2.10:80", "tcp:[2001:db8::1]:80".
func (k Key) String() string {
	return k.Protocol.String() + ":" + netip.AddrPortFrom(k.VIP, k.Port).String()
}

// ParseKey reads what String writes.
func ParseKey(s string) (Key, error) {
	name, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Key{}, fmt.Errorf("service %q: want PROTOCOL:VIP:PORT, as in tcp:192.0.2.10:80", s)
	}
	p, err := ParseProtocol(name)
	if err != nil {
		return Key{}, fmt.Errorf("service %q: %w", s, err)
	}
	ap, err := netip.ParseAddrPort(rest)
	if err != nil {
		return Key{}, fmt.Errorf("service %q: want PROTOCOL:VIP:PORT, as in tcp:192.0.2.10:80", s)
	}
	return Key{p, ap.Addr(), ap.Port()}, nil
}

// Compare orders keys as ipvsadm lists services: by family, protocol, address, port.
func (k Key) Compare(o Key) int {
	if c := k.VIP.BitLen() - o.VIP.BitLen(); c != 0 {
		return c
	}
	if c := int(k.Protocol) - int(o.Protocol); c != 0 {
		return c
	}
	if c := k.VIP.Compare(o.VIP); c != 0 {
		return c
	}
	return int(k.Port) - int(o.Port)
}

// Real is one real server of a service, as asked for. Within a service it is
// identified by Address.
type Real struct {
	Name    string         `json:"name,omitempty"`
	Address netip.AddrPort `json:"address"`
	Forward Forward        `json:"forward"`
	Weight  uint32         `json:"weight"` // 0 to MaxWeight
}

// Service is a virtual service, as asked for. Reals are in the order in which they
// were added; ip_vs, and so naru, visits them newest first.
type Service struct {
	Name      string    `json:"name,omitempty"`
	Key                 // inlined on the wire
	Scheduler Scheduler `json:"scheduler"`
	Reals     []Real    `json:"reals,omitempty"`
}

// Title returns what to call the service in messages: its name, else its key.
func (s *Service) Title() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Key.String()
}

// Find returns the index of the real with the address, or -1.
func (s *Service) Find(address netip.AddrPort) int {
	for i := range s.Reals {
		if s.Reals[i].Address == address {
			return i
		}
	}
	return -1
}
