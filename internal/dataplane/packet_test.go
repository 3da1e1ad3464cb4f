package dataplane

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"naru/internal/model"
	"naru/internal/plan"
)

// The TC verdicts.
const (
	pass     = ^uint32(0) // TC_ACT_UNSPEC
	drop     = uint32(2)  // TC_ACT_SHOT
	redirect = uint32(7)  // TC_ACT_REDIRECT
)

// The cluster of these tests: the addresses of LVS's guides. A test run receives
// frames on lo, whose MAC is zero.
var (
	vip       = netip.MustParseAddr("192.168.1.5")
	client    = netip.MustParseAddrPort("192.168.1.100:40000")
	director  = netip.MustParseAddr("192.168.1.10")
	clientMAC = [6]byte{2, 0, 0, 0, 1, 100}
	ownMAC    = [6]byte{}
	sendMAC   = [6]byte{2, 0, 0, 0, 1, 10}
)

const sendIndex = 1 // lo: a redirect to it is never carried out in a test run

func realAddr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + n)}), 80)
}
func realMAC(n int) [6]byte { return [6]byte{2, 0, 0, 0, 1, byte(10 + n)} }

// privileged skips a test that needs root; in CI that is a failure.
func privileged(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and CI must have it")
	}
	t.Skip("needs root")
}

// open opens a packet path of the test's own, unpinned.
func open(t testing.TB, o Options) *Dataplane {
	t.Helper()
	privileged(t)
	if o.Conns == 0 {
		o.Conns = 1024
	}
	if o.Limits == (plan.Limits{}) {
		o.Limits = plan.Limits{Services: 64, Reals: 1024, Ring: 16384}
	}
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// service makes the tables of a service by the real plan.
type service struct {
	protocol  model.Protocol
	scheduler model.Scheduler
	forward   model.Forward
	weights   []uint32
	port      uint16 // of the reals; 80 if 0
	mtu       uint32 // 1500 if 0
	notHeld   bool
}

func (s service) want() plan.Want {
	w := plan.Service{
		Key:       model.Key{Protocol: s.protocol, VIP: vip, Port: 80},
		Scheduler: s.scheduler,
		Held:      !s.notHeld,
	}
	for i, weight := range s.weights {
		a := realAddr(i + 1)
		if s.port != 0 {
			a = netip.AddrPortFrom(a.Addr(), s.port)
		}
		hop := model.Hop{Ifindex: sendIndex, SrcMAC: sendMAC, DstMAC: realMAC(i + 1), Source: director, MTU: 1500}
		if s.mtu != 0 {
			hop.MTU = s.mtu
		}
		if s.forward == model.Local {
			hop = model.Hop{Local: true}
		}
		w.Reals = append(w.Reals, plan.Real{Address: a, Forward: s.forward, Weight: weight, Hop: hop})
	}
	return plan.Want{Services: []plan.Service{w}, Timeouts: model.DefaultTimeouts}
}

// set brings the tables to what is wanted.
func set(t testing.TB, d *Dataplane, want plan.Want) {
	t.Helper()
	have, err := d.Read()
	if err != nil {
		t.Fatal(err)
	}
	steps, err := plan.Diff(have, want, d.Limits())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Apply(steps); err != nil {
		t.Fatal(err)
	}
}

// frame is a packet to be built; the zero fields have the defaults of build.
type frame struct {
	from, to           netip.AddrPort
	srcMAC, dstMAC     [6]byte
	protocol           model.Protocol
	syn, ack, fin, rst bool
	seq, ackno         uint32
	payload            int
	ttl                uint8
	noDF               bool
	id                 uint16
	more               bool
	offset             uint16 // bytes, a multiple of 8
	options            bool
}

func build(t testing.TB, f frame) []byte {
	t.Helper()
	if !f.from.IsValid() {
		f.from = client
	}
	if !f.to.IsValid() {
		f.to = netip.AddrPortFrom(vip, 80)
	}
	if f.ttl == 0 {
		f.ttl = 64
	}
	if f.srcMAC == ([6]byte{}) {
		f.srcMAC = clientMAC
	}
	eth := &layers.Ethernet{SrcMAC: f.srcMAC[:], DstMAC: f.dstMAC[:], EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{
		Version: 4, TTL: f.ttl, Id: f.id, Protocol: layers.IPProtocol(f.protocol),
		SrcIP: f.from.Addr().AsSlice(), DstIP: f.to.Addr().AsSlice(), FragOffset: f.offset / 8,
	}
	if !f.noDF && !f.more && f.offset == 0 {
		ip.Flags = layers.IPv4DontFragment
	}
	if f.more {
		ip.Flags |= layers.IPv4MoreFragments
	}
	if f.options {
		ip.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 0}}
	}
	stack := []gopacket.SerializableLayer{eth, ip}
	switch {
	case f.offset > 0:
	case f.protocol == model.TCP:
		tcp := &layers.TCP{
			SrcPort: layers.TCPPort(f.from.Port()), DstPort: layers.TCPPort(f.to.Port()), Window: 1000,
			SYN: f.syn, ACK: f.ack, FIN: f.fin, RST: f.rst, Seq: f.seq, Ack: f.ackno,
		}
		if f.syn {
			tcp.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}
		}
		tcp.SetNetworkLayerForChecksum(ip)
		stack = append(stack, tcp)
	case f.protocol == model.UDP:
		udp := &layers.UDP{SrcPort: layers.UDPPort(f.from.Port()), DstPort: layers.UDPPort(f.to.Port())}
		udp.SetNetworkLayerForChecksum(ip)
		stack = append(stack, udp)
	}
	payload := make([]byte, f.payload)
	for i := range payload {
		payload[i] = byte(i)
	}
	return serialize(t, append(stack, gopacket.Payload(payload))...)
}

func serialize(t testing.TB, stack ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// ipBytes is the length of a frame's IP packet; short frames are padded.
func ipBytes(data []byte) uint64 { return uint64(binary.BigEndian.Uint16(data[16:])) }

// underTest is the hook at which send runs frames; see TestAtXDP.
var underTest = TC

// send runs a frame through the packet path. The verdict is TC's word for it.
func send(t testing.TB, d *Dataplane, data []byte) (verdict uint32, out []byte) {
	t.Helper()
	opts := ebpf.RunOptions{Data: data, DataOut: make([]byte, len(data)+256)}
	program := d.objs.LbTc
	if underTest == Native {
		program = stubOf(t, d)
	}
	verdict, err := program.Run(&opts)
	if err != nil {
		t.Fatal("run the packet path:", err)
	}
	if underTest == Native {
		verdict = map[uint32]uint32{xdpDrop: drop, xdpPass: pass, xdpTX: redirect, xdpRedirect: redirect}[verdict]
	}
	return verdict, opts.DataOut
}

// counted returns the exits and events that have counted.
func counted(t testing.TB, d *Dataplane) map[string]uint64 {
	t.Helper()
	all, err := d.Exits()
	if err != nil {
		t.Fatal(err)
	}
	events, err := d.Events()
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, events)
	for name, n := range all {
		if n == 0 {
			delete(all, name)
		}
	}
	return all
}

// table returns the conns, by client.
func table(t testing.TB, d *Dataplane) map[netip.AddrPort]model.Conn {
	t.Helper()
	all := map[netip.AddrPort]model.Conn{}
	for c, err := range d.Conns() {
		if err != nil {
			t.Fatal(err)
		}
		all[c.Client] = c
	}
	return all
}
