package hostnet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Numbers of RFC 826 and of Ethernet.
const (
	arpRequest   = 1
	arpReply     = 2
	etherTypeARP = 0x0806
	arpFrameLen  = 14 + 28 // an Ethernet header and an ARP packet for IPv4
)

// mac is an Ethernet address.
type mac = [6]byte

// arpFrame is an Ethernet frame with an ARP packet for IPv4 (RFC 826).
type arpFrame struct {
	to, from             mac // of the Ethernet header
	op                   uint16
	senderMAC, targetMAC mac
	sender, target       netip.Addr
}

// probeFor is an ARP probe (RFC 5227, section 1.1): who has vip, asked in nobody's name.
func probeFor(vip netip.Addr, own mac) arpFrame {
	return arpFrame{to: broadcast(), from: own, op: arpRequest, senderMAC: own, sender: netip.IPv4Unspecified(), target: vip}
}

// announcements are the ARP announcement of RFC 5227, section 2.3, and the same as a
// reply, which some hosts heed when they do not heed the other.
func announcements(vip netip.Addr, own mac) []arpFrame {
	request := arpFrame{to: broadcast(), from: own, op: arpRequest, senderMAC: own, sender: vip, target: vip}
	reply := request
	reply.op, reply.targetMAC = arpReply, own
	return []arpFrame{request, reply}
}

func broadcast() mac { return mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// bytes returns the frame as sent.
func (f arpFrame) bytes() []byte {
	b := make([]byte, 0, arpFrameLen)
	b = append(append(b, f.to[:]...), f.from[:]...)
	b = binary.BigEndian.AppendUint16(b, etherTypeARP)
	b = append(b, 0, 1, 8, 0, 6, 4) // Ethernet, IPv4, lengths of their addresses
	b = binary.BigEndian.AppendUint16(b, f.op)
	b = append(append(b, f.senderMAC[:]...), f.sender.AsSlice()...)
	return append(append(b, f.targetMAC[:]...), f.target.AsSlice()...)
}

// parseARP reads a frame, which may be padded; ok is false if it is no ARP for IPv4.
func parseARP(b []byte) (f arpFrame, ok bool) {
	if len(b) < arpFrameLen || !bytes.Equal(b[12:20], []byte{8, 6, 0, 1, 8, 0, 6, 4}) {
		return f, false
	}
	f = arpFrame{
		to: mac(b[0:6]), from: mac(b[6:12]), op: binary.BigEndian.Uint16(b[20:22]),
		senderMAC: mac(b[22:28]), sender: netip.AddrFrom4([4]byte(b[28:32])),
		targetMAC: mac(b[32:38]), target: netip.AddrFrom4([4]byte(b[38:42])),
	}
	return f, f.op == arpRequest || f.op == arpReply
}

// claims says whether the frame shows that somebody else holds the address, or is
// about to take it (RFC 5227, section 2.1.1).
func (f arpFrame) claims(vip netip.Addr, own mac) bool {
	if f.senderMAC == own || f.from == own {
		return false
	}
	probing := f.op == arpRequest && f.sender.IsUnspecified() && f.target == vip
	return f.sender == vip || probing
}
