package dataplane

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"naru/internal/model"
)

var (
	protocols  = []model.Protocol{model.TCP, model.UDP}
	forwards   = []model.Forward{model.DR, model.NAT, model.TUN, model.Local}
	schedulers = []model.Scheduler{model.WLC, model.RR, model.WRR, model.LC, model.SH, model.MH}
)

// sent is the frame that the forward makes of f for real n, byte for byte.
func sent(t *testing.T, forward model.Forward, f frame, n int) []byte {
	t.Helper()
	if forward == model.Local {
		return build(t, f)
	}
	f.ttl, f.srcMAC, f.dstMAC = 63, sendMAC, realMAC(n)
	if forward == model.NAT {
		f.to = realAddr(n)
	}
	inner := build(t, f)
	if forward != model.TUN {
		return inner
	}
	dst := realMAC(n)
	outer := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolIPv4, Flags: layers.IPv4DontFragment, Id: f.id,
		SrcIP: director.AsSlice(), DstIP: realAddr(n).Addr().AsSlice(),
	}
	eth := &layers.Ethernet{SrcMAC: sendMAC[:], DstMAC: dst[:], EthernetType: layers.EthernetTypeIPv4}
	return serialize(t, eth, outer, gopacket.Payload(inner[14:]))
}

var exitOf = map[model.Forward]string{model.DR: "dr", model.NAT: "nat", model.TUN: "tun", model.Local: "local"}

// TestForward sends the first packet of a conn and one more through every forward, by
// every protocol and scheduler, and compares verdict, bytes, counters and conn.
func TestForward(t *testing.T) {
	for _, forward := range forwards {
		for _, protocol := range protocols {
			for _, scheduler := range schedulers {
				t.Run(fmt.Sprintf("%s/%s/%s", forward, protocol, scheduler), func(t *testing.T) {
					testForward(t, forward, protocol, scheduler)
				})
			}
		}
	}
}

func testForward(t *testing.T, forward model.Forward, protocol model.Protocol, scheduler model.Scheduler) {
	d := open(t, Options{})
	set(t, d, service{protocol: protocol, scheduler: scheduler, forward: forward, weights: []uint32{3}}.want())
	first := frame{protocol: protocol, syn: true, id: 7, payload: 30} // longer than padding
	second := frame{protocol: protocol, ack: true, id: 8, payload: 100}
	if protocol == model.UDP {
		first.syn, second.ack = false, false
	}
	verdict := redirect
	if forward == model.Local {
		verdict = pass
	}
	var bytes uint64
	for i, f := range []frame{first, second} {
		got, out := send(t, d, build(t, f))
		if got != verdict {
			t.Fatalf("packet %d: verdict %d, want %d (%v)", i, int32(got), int32(verdict), counted(t, d))
		}
		if diff := cmp.Diff(sent(t, forward, f, 1), out); diff != "" {
			t.Errorf("packet %d (-want +got):\n%s", i, diff)
		}
		bytes += ipBytes(build(t, f))
	}
	want := map[string]uint64{exitOf[forward]: 2, "conn_new": 1}
	if diff := cmp.Diff(want, counted(t, d)); diff != "" {
		t.Errorf("exits (-want +got):\n%s", diff)
	}
	stats, err := d.Stats()
	if err != nil {
		t.Fatal(err)
	}
	counters := model.Counters{Conns: 1, InPackets: 2, InBytes: bytes}
	if stats.Services[1] != counters || stats.Reals[1].Counters != counters {
		t.Errorf("counters: service %+v, real %+v, want %+v", stats.Services[1], stats.Reals[1].Counters, counters)
	}
	state, expires, active := model.StateEstablished, model.Seconds(900), uint32(1)
	if protocol == model.UDP {
		state, expires, active = model.StateUDP, 300, 0
	}
	if r := stats.Reals[1]; r.Active != active || r.Inactive != 1-active {
		t.Errorf("active %d, inactive %d; want %d and %d", r.Active, r.Inactive, active, 1-active)
	}
	conn := model.Conn{
		Protocol: protocol, State: state, Client: client, Virtual: netip.AddrPortFrom(vip, 80), Real: realAddr(1),
		Forward: forward, Expires: expires, Packets: 2, Bytes: bytes,
	}
	if diff := cmp.Diff(map[netip.AddrPort]model.Conn{client: conn}, table(t, d), comparable...); diff != "" {
		t.Errorf("conns (-want +got):\n%s", diff)
	}
}

var comparable = []cmp.Option{cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}

// TestNATMapsPortsBothWays follows a conn whose real listens on another port, and its
// replies.
func TestNATMapsPortsBothWays(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol.String(), func(t *testing.T) {
			d := open(t, Options{NAT: true})
			set(t, d, service{protocol: protocol, forward: model.NAT, weights: []uint32{1}, port: 8080}.want())
			real := netip.AddrPortFrom(realAddr(1).Addr(), 8080)
			request := frame{protocol: protocol, syn: protocol == model.TCP, payload: 33}
			_, out := send(t, d, build(t, request))
			want := frame{protocol: protocol, syn: request.syn, payload: 33, to: real, ttl: 63, srcMAC: sendMAC, dstMAC: realMAC(1)}
			if diff := cmp.Diff(build(t, want), out); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			reply := frame{protocol: protocol, syn: request.syn, ack: request.syn, payload: 5, from: real, to: client, srcMAC: realMAC(1)}
			verdict, out := send(t, d, build(t, reply))
			if verdict != redirect {
				t.Fatalf("verdict of the reply: %d (%v)", int32(verdict), counted(t, d))
			}
			back := reply
			back.from, back.ttl, back.dstMAC = netip.AddrPortFrom(vip, 80), 63, clientMAC
			built := build(t, back)
			copy(built[6:12], ownMAC[:]) // from the MAC that the client spoke to
			if diff := cmp.Diff(built, out); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			stats, _ := d.Stats()
			if c := stats.Reals[1].Counters; c.OutPackets != 1 || c.OutBytes != ipBytes(built) {
				t.Errorf("out counters: %+v", c)
			}
		})
	}
}

// TestUDPWithoutChecksum is RFC 768: a checksum of 0 is none, and stays so.
func TestUDPWithoutChecksum(t *testing.T) {
	d := open(t, Options{NAT: true})
	set(t, d, service{protocol: model.UDP, forward: model.NAT, weights: []uint32{1}}.want())
	data := build(t, frame{protocol: model.UDP, payload: 8})
	data[14+20+6], data[14+20+7] = 0, 0
	_, out := send(t, d, data)
	if out[14+20+6] != 0 || out[14+20+7] != 0 {
		t.Errorf("the checksum became %x", out[14+20+6:14+20+8])
	}
}

// TestIPOptions goes through each forward with a header of 24 bytes.
func TestIPOptions(t *testing.T) {
	for _, forward := range []model.Forward{model.DR, model.NAT, model.TUN} {
		t.Run(forward.String(), func(t *testing.T) {
			d := open(t, Options{NAT: true})
			set(t, d, service{protocol: model.TCP, forward: forward, weights: []uint32{1}}.want())
			f := frame{protocol: model.TCP, syn: true, options: true}
			_, out := send(t, d, build(t, f))
			if diff := cmp.Diff(sent(t, forward, f, 1), out); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestFragments sends a datagram in three: the later ones follow the first, in
// whatever order they come after it; without it they are the host's.
func TestFragments(t *testing.T) {
	for _, forward := range []model.Forward{model.DR, model.NAT, model.TUN} {
		t.Run(forward.String(), func(t *testing.T) {
			d := open(t, Options{NAT: true})
			set(t, d, service{protocol: model.UDP, forward: forward, weights: []uint32{1}}.want())
			first := frame{protocol: model.UDP, id: 99, more: true, payload: 1000}
			last := frame{protocol: model.UDP, id: 99, offset: 2016, payload: 50, noDF: true}
			middle := frame{protocol: model.UDP, id: 99, offset: 1008, more: true, payload: 1008}
			if verdict, _ := send(t, d, build(t, last)); verdict != pass {
				t.Errorf("a fragment that overtook the first: verdict %d", int32(verdict))
			}
			for _, f := range []frame{first, last, middle} {
				verdict, out := send(t, d, build(t, f))
				if verdict != redirect {
					t.Fatalf("fragment at %d: verdict %d (%v)", f.offset, int32(verdict), counted(t, d))
				}
				if forward != model.TUN { // the outer header may be fragmented too
					if diff := cmp.Diff(sent(t, forward, f, 1), out); diff != "" {
						t.Errorf("fragment at %d (-want +got):\n%s", f.offset, diff)
					}
				}
			}
			if got := counted(t, d)["pass_fragment"]; got != 1 {
				t.Errorf("pass_fragment counted %d, want 1", got)
			}
		})
	}
}
