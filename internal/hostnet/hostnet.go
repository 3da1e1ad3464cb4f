// Package hostnet is naru's hold on the host's network: the addresses, sysctls and
// ARP announcements it makes there, and what the host's routes and neighbour table
// say about the way to a real.
//
// What naru changes is given as a whole to Manager.Set and undone by Manager.Clear.
// A ledger is written before anything is touched, so that whatever kills the process,
// the next Set or Clear undoes what is naru's and nothing else:
//
//   - an address that was there before naru is not in the ledger and stays;
//   - a sysctl goes back to the value found, unless somebody changed it since;
//   - a ledger of an earlier boot counts as empty, because a boot undoes everything.
//
// Order matters for the ARP problem: a silent VIP must never be on an interface of a
// real while its ARP sysctls are off. Sysctls are set before addresses are added, and
// restored only after addresses are gone.
package hostnet

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
)

// Want is everything naru wants of the host's addresses and sysctls.
type Want struct {
	Addresses []Address
	Sysctls   []Sysctl
}

// Address is an address the host must hold.
type Address struct {
	Prefix    netip.Prefix // of a VIP: its whole length, /32
	Interface string
	// Announce makes the host answer for the address in its LAN: refused if
	// another machine does, else told to all neighbours. An address without it is
	// to stay silent, and is not added while a wanted sysctl cannot be set.
	Announce bool
	// Asked says that Conflict has just found nobody else answering for the address,
	// which takes most of a second: it is announced without asking again.
	Asked bool
}

// String returns the address as messages write it: "192.0.2.10/32 on eth0".
func (a Address) String() string { return a.Prefix.String() + " on " + a.Interface }

// Sysctl is a kernel setting of the host's network.
type Sysctl struct {
	// Key is a path with slashes, as net/ipv4/conf/eth0.100/arp_ignore, or has dots
	// for them and no interface name with dots: sysctl(8)'s rule.
	Key     string
	Value   string
	AtLeast bool // a greater number serves as well and is left alone
}

// Change is one thing Set does, or would do.
type Change struct {
	Text string `json:"text"`           // a sentence without full stop
	Kept bool   `json:"kept,omitempty"` // nothing is done; Text says what stays, and why
}

// Ledger keeps one value across the process's death. Load of a ledger never saved
// leaves v alone; Save must be durable when it returns.
type Ledger interface {
	Load(v any) error
	Save(v any) error
}

// Manager carries out a Want. It is not for concurrent use, and two Managers must
// not share a ledger.
type Manager struct {
	ledger Ledger
	log    *slog.Logger
	kernel kernel
	lan    lan
}

// kernel is what a Manager needs of the running kernel.
type kernel interface {
	// look returns the names of all links and every address on them.
	look() (links map[string]link, held []Address, err error)
	add(Address) error
	remove(Address) error
	sysctl(path string) (string, error)
	setSysctl(path, value string) error
}

// lan is what a Manager needs of the neighbours on a link.
type lan interface {
	// probe starts asking who answers for the VIP.
	probe(iface string, vip netip.Addr) (waiter, error)
	announce(iface string, vip netip.Addr) error
}

// waiter waits for the answer to a probe. It may run in another thread than the
// probe was started in.
type waiter func(context.Context) (owner net.HardwareAddr, found bool, err error)

// link is an interface, as far as adding addresses to it goes.
type link struct {
	ARP bool // its neighbours are found by ARP
}
