package model

import "net/netip"

// Hop is the way from the director to a real, as the host's routes and neighbour
// table say. The zero Hop is a real that cannot be reached yet: its packets are
// dropped and counted.
type Hop struct {
	Local   bool       // the address is the director's own; the other fields are not used
	Ifindex uint32     // interface to send from; 0 if unknown
	SrcMAC  [6]byte    // that interface's own address
	DstMAC  [6]byte    // the real's, or its gateway's; zero if not resolved yet
	Source  netip.Addr // the director's address towards the real: outer source of tunnels
	MTU     uint32     // of the route or its interface, in bytes of IP packet
}

// Reachable says whether packets can be sent this way.
func (h Hop) Reachable() bool { return h.Local || h.Ifindex != 0 && h.DstMAC != [6]byte{} }

// Host is what the director's host says about the addresses naru asked about.
type Host struct {
	Hops map[netip.Addr]Hop  // by a real's address
	Held map[netip.Addr]bool // by VIP: the host holds the address now
}
