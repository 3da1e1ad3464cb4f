package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"naru/internal/lab"
)

// TestForgottenConnIsReset lets a conn pass its idle timeout: its next packet is
// answered by a reset, so that the client need not wait for its own timeouts.
func TestForgottenConnIsReset(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run("timeouts: {tcp: 1}\n" + web("dr"))
	r.settled()
	held, err := r.Hold(t.Context(), 1, netip.Addr{}, vip(80))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	r.until("the conn is forgotten", func() error {
		if n := r.status().Conns; n != 0 {
			return fmt.Errorf("%d conns", n)
		}
		return nil
	})
	if name, err := held[0].Ask(t.Context()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("answered by %q with error %v, want a reset", name, err)
	}
	if n := r.status().Exits["answer_reset"]; n == 0 {
		t.Error("answer_reset has not counted")
	}
}

// TestServiceWithoutUsableRealRefuses is what a client sees when no real may take it.
func TestServiceWithoutUsableRealRefuses(t *testing.T) {
	r := newRig(t)
	r.run("services:\n  - {name: web, vip: 192.168.1.5, port: 80, reals: [{address: 192.168.1.11, weight: 0}]}\n")
	r.settled()
	for i := range 3 {
		conn, err := r.Dial(t.Context(), lab.Client, "tcp", netip.Addr{}, vip(80))
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("conn %d: %v, want it refused", i, err)
		}
	}
	if n := r.status().Exits["answer_unreachable"]; n < 3 {
		t.Errorf("answer_unreachable counted %d", n)
	}
}

// TestTruncatedFrameIsPassedAndCounted sends a frame that ends in its IP header.
func TestTruncatedFrameIsPassedAndCounted(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run(web("dr"))
	r.settled()
	if name, err := lab.Get(t.Context(), r.HTTP(lab.HTTPOptions{}), vip(80)); err != nil {
		t.Fatal(name, err)
	}
	var director net.HardwareAddr
	err := r.Do(lab.Director, func() error {
		link, err := net.InterfaceByName(lab.Front)
		if err == nil {
			director = link.HardwareAddr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// A bridge that calls netfilter would drop the frame (br_validate_ipv4).
	if err := r.Sysctl(lab.Switch, "bridge/bridge-nf-call-iptables", "0"); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	frame := append(append([]byte(director), 2, 0, 0, 0, 0, 1, 0x08, 0x00), 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6)
	if err := r.Do(lab.Client, func() error { return sendFrame(lab.Front, frame) }); err != nil {
		t.Fatal(err)
	}
	r.until("pass_malformed counts it", func() error {
		if n := r.status().Exits["pass_malformed"]; n != 1 {
			return fmt.Errorf("it counts %d", n)
		}
		return nil
	})
}

// sendFrame sends an Ethernet frame, as it is, out of an interface of the calling
// thread's namespace.
func sendFrame(iface string, frame []byte) error {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index})
}
