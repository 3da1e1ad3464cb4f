package dataplane

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"naru/internal/model"
)

// TestMisses is what a packet gets that belongs to no conn.
func TestMisses(t *testing.T) {
	tcp := func(s service) service { s.protocol = model.TCP; return s }
	one := []uint32{1}
	for name, c := range map[string]struct {
		service service
		options Options
		frame   frame
		verdict uint32
		exit    string
	}{
		"another address":          {tcp(service{weights: one}), Options{}, frame{protocol: model.TCP, syn: true, to: netip.MustParseAddrPort("192.168.1.10:80")}, pass, "pass_no_service"},
		"another port":             {tcp(service{weights: one}), Options{}, frame{protocol: model.TCP, syn: true, to: netip.MustParseAddrPort("192.168.1.5:81")}, pass, "pass_no_service"},
		"another protocol":         {tcp(service{weights: one}), Options{}, frame{protocol: model.UDP}, pass, "pass_no_service"},
		"VIP held elsewhere":       {tcp(service{weights: one, notHeld: true}), Options{}, frame{protocol: model.TCP, syn: true}, pass, "pass_vip_not_held"},
		"no SYN":                   {tcp(service{weights: one}), Options{}, frame{protocol: model.TCP, ack: true}, redirect, "answer_reset"},
		"no SYN, option drop":      {tcp(service{weights: one}), Options{DropMisses: true}, frame{protocol: model.TCP, ack: true}, drop, "drop_no_conn"},
		"SYN and ACK":              {tcp(service{weights: one}), Options{}, frame{protocol: model.TCP, syn: true, ack: true}, redirect, "answer_reset"},
		"RST gets no RST":          {tcp(service{weights: one}), Options{}, frame{protocol: model.TCP, rst: true}, drop, "drop_no_conn"},
		"no real":                  {tcp(service{}), Options{}, frame{protocol: model.TCP, syn: true}, redirect, "answer_unreachable"},
		"only weights of 0":        {tcp(service{weights: []uint32{0, 0}}), Options{}, frame{protocol: model.TCP, syn: true}, redirect, "answer_unreachable"},
		"sh, weight of 0":          {tcp(service{weights: []uint32{0}, scheduler: model.SH}), Options{}, frame{protocol: model.TCP, syn: true}, redirect, "answer_unreachable"},
		"one hop left":             {tcp(service{weights: one}), Options{}, frame{protocol: model.TCP, syn: true, ttl: 1}, redirect, "answer_time_exceeded"},
		"too long":                 {tcp(service{weights: one, mtu: 500}), Options{}, frame{protocol: model.TCP, syn: true, payload: 600}, redirect, "answer_too_big"},
		"too long, may fragment":   {tcp(service{weights: one, mtu: 500}), Options{}, frame{protocol: model.TCP, syn: true, payload: 600, noDF: true}, drop, "drop_too_big"},
		"too long for the tunnel":  {tcp(service{weights: one, forward: model.TUN}), Options{}, frame{protocol: model.TCP, syn: true, payload: 1442}, redirect, "answer_too_big"},
		"long enough for a tunnel": {tcp(service{weights: one, forward: model.TUN}), Options{}, frame{protocol: model.TCP, syn: true, payload: 1436}, redirect, "tun"},
		"an answer to IP options":  {tcp(service{weights: one}), Options{}, frame{protocol: model.TCP, ack: true, options: true}, drop, "drop_unanswerable"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, c.options)
			set(t, d, c.service.want())
			verdict, _ := send(t, d, build(t, c.frame))
			if verdict != c.verdict || counted(t, d)[c.exit] != 1 {
				t.Errorf("verdict %d, %v; want %d and %s", int32(verdict), counted(t, d), int32(c.verdict), c.exit)
			}
		})
	}
}

// TestReset compares resets with RFC 9293, 3.10.7.1, byte for byte.
func TestReset(t *testing.T) {
	for name, c := range map[string]struct {
		in   frame
		want frame
	}{
		"of an ACK":            {frame{ack: true, seq: 100, ackno: 7, payload: 300}, frame{rst: true, seq: 7}},
		"of a FIN without ACK": {frame{fin: true, seq: 100, payload: 9}, frame{rst: true, ack: true, ackno: 110}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, Options{})
			set(t, d, service{protocol: model.TCP, weights: []uint32{1}}.want())
			c.in.protocol = model.TCP
			_, out := send(t, d, build(t, c.in))
			tcp := &layers.TCP{SrcPort: 80, DstPort: layers.TCPPort(client.Port()), RST: true, ACK: c.want.ack, Seq: c.want.seq, Ack: c.want.ackno}
			ip := &layers.IPv4{Version: 4, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP, SrcIP: vip.AsSlice(), DstIP: client.Addr().AsSlice()}
			tcp.SetNetworkLayerForChecksum(ip)
			eth := &layers.Ethernet{SrcMAC: ownMAC[:], DstMAC: clientMAC[:], EthernetType: layers.EthernetTypeIPv4}
			if diff := cmp.Diff(serialize(t, eth, ip, tcp)[:54], out); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestICMPErrors checks type, code, MTU, addresses and both checksums of what the
// director says, and that the head of the packet it is about is inside.
func TestICMPErrors(t *testing.T) {
	for name, c := range map[string]struct {
		service service
		frame   frame
		code    layers.ICMPv4TypeCode
		mtu     uint16
	}{
		"unreachable, TCP":   {service{protocol: model.TCP}, frame{protocol: model.TCP, syn: true}, layers.CreateICMPv4TypeCode(3, 3), 0},
		"unreachable, UDP":   {service{protocol: model.UDP}, frame{protocol: model.UDP, payload: 40}, layers.CreateICMPv4TypeCode(3, 3), 0},
		"time exceeded":      {service{protocol: model.UDP, weights: []uint32{1}}, frame{protocol: model.UDP, ttl: 1}, layers.CreateICMPv4TypeCode(11, 0), 0},
		"fragmentation, DR":  {service{protocol: model.UDP, weights: []uint32{1}, mtu: 1000}, frame{protocol: model.UDP, payload: 1200}, layers.CreateICMPv4TypeCode(3, 4), 1000},
		"fragmentation, TUN": {service{protocol: model.TCP, forward: model.TUN, weights: []uint32{1}}, frame{protocol: model.TCP, syn: true, payload: 1450}, layers.CreateICMPv4TypeCode(3, 4), 1480},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, Options{})
			set(t, d, c.service.want())
			in := build(t, c.frame)
			_, out := send(t, d, in)
			p := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.Default)
			ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
			icmp, _ := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
			if ip == nil || icmp == nil {
				t.Fatalf("not an ICMP error: %v, %v", p, counted(t, d))
			}
			if icmp.TypeCode != c.code || icmp.Seq != c.mtu {
				t.Errorf("%s with MTU %d, want %s with %d", icmp.TypeCode, icmp.Seq, c.code, c.mtu)
			}
			if !ip.SrcIP.Equal(vip.AsSlice()) || !ip.DstIP.Equal(client.Addr().AsSlice()) || [6]byte(out[:6]) != clientMAC {
				t.Errorf("from %s to %s, MAC %x", ip.SrcIP, ip.DstIP, out[:6])
			}
			if sum16(out[14:34]) != 0 || sum16(out[34:14+int(ip.Length)]) != 0 {
				t.Errorf("checksums of IP %#x and ICMP %#x do not add up to 0", sum16(out[14:34]), sum16(out[34:14+int(ip.Length)]))
			}
			if head := out[42 : 42+28]; !cmp.Equal(head, in[14:14+28]) {
				t.Errorf("inside is %x, want %x", head, in[14:14+28])
			}
		})
	}
}

// TestNoErrorInTheClientsName: a real's reply that may not live on is dropped, for the
// error about it would have to come from the client's address.
func TestNoErrorInTheClientsName(t *testing.T) {
	d := open(t, Options{NAT: true})
	set(t, d, service{protocol: model.TCP, forward: model.NAT, weights: []uint32{1}}.want())
	send(t, d, build(t, step{flags: "S"}.frame()))
	reply := step{reply: true, flags: "SA"}.frame()
	reply.ttl = 1
	if verdict, _ := send(t, d, build(t, reply)); verdict != drop || counted(t, d)["drop_unanswerable"] != 1 {
		t.Errorf("verdict %d, %v", int32(verdict), counted(t, d))
	}
}

// sum16 is the internet checksum of b (RFC 1071).
func sum16(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

// icmpError is a router's error about an IP packet.
func icmpError(t *testing.T, from, to netip.Addr, srcMAC [6]byte, about []byte) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: srcMAC[:], DstMAC: ownMAC[:], EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 60, Protocol: layers.IPProtocolICMPv4, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
	icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4), Seq: 1400}
	return serialize(t, eth, ip, icmp, gopacket.Payload(about))
}

// TestRelatedErrors sends errors about a conn's packets after it: to the real by every
// forward, and by NAT from the real to the client.
func TestRelatedErrors(t *testing.T) {
	router := netip.MustParseAddr("10.9.9.9")
	for _, forward := range []model.Forward{model.DR, model.NAT, model.TUN} {
		t.Run(forward.String(), func(t *testing.T) {
			d := open(t, Options{NAT: true})
			set(t, d, service{protocol: model.TCP, forward: forward, weights: []uint32{1}, port: map[model.Forward]uint16{model.NAT: 8080}[forward]}.want())
			send(t, d, build(t, step{flags: "S"}.frame()))
			aboutReply := build(t, frame{protocol: model.TCP, ack: true, from: netip.AddrPortFrom(vip, 80), to: client})[14:]
			verdict, out := send(t, d, icmpError(t, router, vip, clientMAC, aboutReply[:28]))
			if verdict != redirect || counted(t, d)["icmp_related"] != 1 {
				t.Fatalf("verdict %d, %v", int32(verdict), counted(t, d))
			}
			if [6]byte(out[:6]) != realMAC(1) {
				t.Errorf("it went to %x", out[:6])
			}
			if forward == model.TUN {
				out = append(out[:14:14], out[34:]...)
			}
			checkError(t, out, router)
			if forward != model.NAT {
				return
			}
			p := gopacket.NewPacket(out[42:], layers.LayerTypeIPv4, gopacket.Default)
			inner := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
			if !inner.SrcIP.Equal(realAddr(1).Addr().AsSlice()) || inner.Payload[0] != 8080>>8 || inner.Payload[1] != 8080&0xff {
				t.Errorf("inside it speaks of %s port %x", inner.SrcIP, inner.Payload[:2])
			}
			realPort := netip.AddrPortFrom(realAddr(1).Addr(), 8080)
			aboutRequest := build(t, frame{protocol: model.TCP, ack: true, from: client, to: realPort})[14:]
			verdict, out = send(t, d, icmpError(t, realPort.Addr(), client.Addr(), realMAC(1), aboutRequest[:28]))
			if verdict != redirect || [6]byte(out[:6]) != clientMAC {
				t.Fatalf("the real's error: verdict %d, to %x", int32(verdict), out[:6])
			}
			checkError(t, out, vip)
		})
	}
}

// checkError checks the checksums, inside too, and who sent it.
func checkError(t *testing.T, out []byte, from netip.Addr) {
	t.Helper()
	length := int(ipBytes(out))
	if sum16(out[14:34]) != 0 || sum16(out[34:14+length]) != 0 || sum16(out[42:62]) != 0 {
		t.Errorf("checksums of IP %#x, ICMP %#x and inside %#x are not 0", sum16(out[14:34]), sum16(out[34:14+length]), sum16(out[42:62]))
	}
	if got := netip.AddrFrom4([4]byte(out[26:30])); got != from {
		t.Errorf("it comes from %s, want %s", got, from)
	}
}
