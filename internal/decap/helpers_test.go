package decap

import (
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// needRoot skips a test that loads programs or makes namespaces; in CI that is a fault.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and in CI it must not be skipped")
	}
	t.Skip("this test needs root")
}

// enterNamespace moves the test's goroutine, and nothing else, into a new network
// namespace whose loopback is up. The thread is not used again afterwards.
func enterNamespace(t *testing.T) {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatal("make a namespace:", err)
	}
	t.Cleanup(func() { ns.Close() })
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
}

// Addresses of the tests; loopback's MAC is all zero, so frames to it are "for us".
const (
	vip      = "192.0.2.10"
	client   = "198.51.100.7"
	director = "203.0.113.1"
	local    = "127.0.0.9" // an address of every host
)

// packet is a tunnel packet to be; the zero value of every field is the ordinary case.
type packet struct {
	mac        byte // last byte of the destination MAC
	outerTOS   uint8
	outerSrc   string
	outerDst   string
	outerOpts  bool
	outerFrag  uint16
	outerMore  bool
	outerProto layers.IPProtocol
	innerTOS   uint8
	innerDst   string
	innerOpts  bool
	edit       func(frame []byte) []byte // last, on the finished frame
}

func addr(s, otherwise string) []byte {
	if s == "" {
		s = otherwise
	}
	return netip.MustParseAddr(s).AsSlice()
}

var options = []layers.IPv4Option{
	{OptionType: 1, OptionLength: 1}, {OptionType: 1, OptionLength: 1},
	{OptionType: 1, OptionLength: 1}, {OptionType: 1, OptionLength: 1}, // RFC 791: no operation
}

func serialize(t *testing.T, ls ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, ls...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// inner returns the packet within, which is what must be left of the frame.
func (p packet) inner(t *testing.T) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 61, Protocol: layers.IPProtocolUDP, TOS: p.innerTOS, SrcIP: addr(client, ""), DstIP: addr(p.innerDst, vip)}
	if p.innerOpts {
		ip.Options = options
	}
	udp := &layers.UDP{SrcPort: 4321, DstPort: 53}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ip, udp, gopacket.Payload("a question of forty bytes, more or less."))
}

func (p packet) eth() *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{0, 0, 0, 0, 0, p.mac}, EthernetType: layers.EthernetTypeIPv4}
}

func (p packet) frame(t *testing.T) []byte {
	t.Helper()
	proto := layers.IPProtocolIPv4
	if p.outerProto != 0 {
		proto = p.outerProto
	}
	outer := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, TOS: p.outerTOS, SrcIP: addr(p.outerSrc, director), DstIP: addr(p.outerDst, local), FragOffset: p.outerFrag}
	if p.outerMore {
		outer.Flags = layers.IPv4MoreFragments
	}
	if p.outerOpts {
		outer.Options = options
	}
	frame := serialize(t, p.eth(), outer, gopacket.Payload(p.inner(t)))
	if p.edit != nil {
		frame = p.edit(frame)
	}
	return frame
}

// Offsets in a frame without options.
const (
	outerAt = 14
	innerAt = outerAt + 20
)

// put16 writes a word of a header and mends that header's checksum.
func put16(at, field int, v uint16) func([]byte) []byte {
	return func(f []byte) []byte {
		binary.BigEndian.PutUint16(f[at+field:], v)
		mend(f[at:])
		return f
	}
}

func put8(at, field int, v byte) func([]byte) []byte {
	return func(f []byte) []byte {
		f[at+field] = v
		mend(f[at:])
		return f
	}
}

// mend computes the checksum of a header of 20 bytes (RFC 1071).
func mend(h []byte) {
	h[10], h[11] = 0, 0
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum))
}

func cut(n int) func([]byte) []byte { return func(f []byte) []byte { return f[:n] } }

// route makes the namespace send a network to a neighbour on a dummy link of its own.
func route(t *testing.T, network string) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "nrrl-r0"}, PeerName: "nrrl-r1"}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nrrl-r0", "nrrl-r1"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
	dst, err := netlink.ParseIPNet(network)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: pair.Attrs().Index, Dst: dst}); err != nil {
		t.Fatal(err)
	}
}
