package decap

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// TestTraffic: a client's TCP and UDP reach a server on the VIP through tunnels built
// here, byte by byte, and its answers go straight back.
//
//	client namespace                          real namespace
//	10.77.0.1  nrrl-c ───────────────────── nrrl-s 10.77.0.11, lo 192.0.2.10
//	to the VIP: nrrl-d ── nrrl-e, where the test's director reads and wraps
func TestTraffic(t *testing.T) {
	enterNamespace(t)
	inReal, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer inReal.Close()
	enterNamespace(t) // the client's, from here on
	inClient, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer inClient.Close()
	wire(t, inReal)

	visit(t, inReal, inClient, func() {
		address(t, "nrrl-s", "10.77.0.11/24")
		address(t, "lo", vip+"/32")
		set(t, Want{
			VIPs:       []VIP{{Address: netip.MustParseAddr(vip), Directors: []netip.Prefix{prefix("10.77.0.2/32")}}},
			Interfaces: []string{"nrrl-s"},
		})
		serveEcho(t)
	})
	for _, name := range []string{"all", "nrrl-c"} { // answers come from where the VIP is not routed to
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/rp_filter", []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	address(t, "nrrl-c", "10.77.0.1/24")
	routeVIP(t)
	go direct(t, openPacket(t, "nrrl-e"), openPacket(t, "nrrl-c"), mac(t, inReal, "nrrl-s"))

	echoTCP(t, bytes.Repeat([]byte("twenty bytes of data"), 20_000))
	echoUDP(t)
	visit(t, inReal, inClient, func() {
		if n := read(t).Exits["decapsulated"]; n < 280 { // 400 kB in segments of up to 1440 bytes
			t.Errorf("%d packets were decapsulated, want at least 280", n)
		}
	})
}

func visit(t *testing.T, there, back netns.NsHandle, do func()) {
	t.Helper()
	if err := netns.Set(there); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(back); err != nil {
			t.Fatal(err)
		}
	}()
	do()
}

func wire(t *testing.T, inReal netns.NsHandle) {
	t.Helper()
	for _, pair := range []*netlink.Veth{
		{LinkAttrs: netlink.LinkAttrs{Name: "nrrl-c"}, PeerName: "nrrl-s", PeerNamespace: netlink.NsFd(inReal)},
		{LinkAttrs: netlink.LinkAttrs{Name: "nrrl-d", GSOMaxSegs: 1}, PeerName: "nrrl-e"},
	} {
		if err := netlink.LinkAdd(pair); err != nil {
			t.Fatal(err)
		}
	}
	up(t, "nrrl-d")
	up(t, "nrrl-e")
}

func up(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		t.Fatal(err)
	}
	return l
}

func address(t *testing.T, name, text string) {
	t.Helper()
	a, err := netlink.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(up(t, name), a); err != nil {
		t.Fatal(err)
	}
}

// routeVIP sends packets for the VIP to the director, small enough to be wrapped.
func routeVIP(t *testing.T) {
	t.Helper()
	out, in := up(t, "nrrl-d"), up(t, "nrrl-e")
	dst, _ := netlink.ParseIPNet(vip + "/32")
	route := &netlink.Route{LinkIndex: out.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK, Src: net.IPv4(10, 77, 0, 1), MTU: 1480}
	if err := netlink.RouteAdd(route); err != nil {
		t.Fatal(err)
	}
	err := netlink.NeighAdd(&netlink.Neigh{
		LinkIndex: out.Attrs().Index, IP: dst.IP, State: netlink.NUD_PERMANENT, HardwareAddr: in.Attrs().HardwareAddr,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mac(t *testing.T, ns netns.NsHandle, name string) net.HardwareAddr {
	t.Helper()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l, err := h.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().HardwareAddr
}

// serveEcho answers on the VIP with what it gets, by TCP and by UDP.
func serveEcho(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp4", vip+":7")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp4", vip+":7")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close(); pc.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(buf[:n], from)
		}
	}()
}

func openPacket(t *testing.T, name string) *os.File {
	t.Helper()
	l := up(t, name)
	proto := int(binary.NativeEndian.Uint16([]byte{8, 0})) // ETH_P_IP in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(proto), Ifindex: l.Attrs().Index}); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { f.Close() })
	return f
}

// direct is a director: it wraps each packet for the VIP and sends it to the real. It
// completes the transport checksum, which the client's kernel leaves to a NIC that is
// not there.
func direct(t *testing.T, in, out *os.File, to net.HardwareAddr) {
	buf := make([]byte, 1<<16)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		parsed := gopacket.NewPacket(buf[:n], layers.LayerTypeEthernet, gopacket.Default)
		ip, _ := parsed.NetworkLayer().(*layers.IPv4)
		if ip == nil || ip.DstIP.String() != vip {
			continue
		}
		transport, _ := parsed.TransportLayer().(interface {
			gopacket.SerializableLayer
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		})
		if transport == nil || transport.SetNetworkLayerForChecksum(ip) != nil {
			continue
		}
		eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, DstMAC: to, EthernetType: layers.EthernetTypeIPv4}
		outer := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolIPv4, SrcIP: net.IPv4(10, 77, 0, 2), DstIP: net.IPv4(10, 77, 0, 11)}
		frame := gopacket.NewSerializeBuffer()
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(frame, opts, eth, outer, ip, transport, gopacket.Payload(parsed.TransportLayer().LayerPayload())); err != nil {
			t.Error(err)
			return
		}
		out.Write(frame.Bytes())
	}
}

func echoTCP(t *testing.T, sent []byte) {
	t.Helper()
	c, err := net.DialTimeout("tcp4", vip+":7", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	go func() {
		c.Write(sent)
		c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("TCP: sent %d bytes, got %d back: %v", len(sent), len(got), err)
	}
}

func echoUDP(t *testing.T) {
	t.Helper()
	c, err := net.Dial("udp4", vip+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := bytes.Repeat([]byte("x"), 1400)
	buf := make([]byte, 2000)
	for range 50 { // until one comes through: UDP may lose
		c.Write(sent)
		c.SetDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(buf); err == nil {
			if !bytes.Equal(buf[:n], sent) {
				t.Errorf("UDP: sent %d bytes, got %d other ones back", len(sent), n)
			}
			return
		}
	}
	t.Error("UDP: no answer")
}
