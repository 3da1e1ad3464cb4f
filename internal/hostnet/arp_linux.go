package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// RFC 5227, section 1.1, probes three times, one to two seconds apart. A failover
// cannot wait so long, and LANs answer within milliseconds.
const (
	probeCount    = 3
	probeInterval = 300 * time.Millisecond
)

// Conflict asks the LAN of an interface whether another machine answers for the VIP,
// or is about to take it. The first answer ends it; silence takes 0.9 s. An interface
// without ARP has no conflicts.
func Conflict(ctx context.Context, iface string, vip netip.Addr) (owner net.HardwareAddr, found bool, err error) {
	wait, err := startProbe(iface, vip)
	if err != nil {
		return nil, false, err
	}
	return wait(ctx)
}

// startProbe opens the socket, which belongs to the calling thread's network
// namespace; what it returns sends, listens and closes.
func startProbe(iface string, vip netip.Addr) (waiter, error) {
	s, err := openARP(iface, vip)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return func(context.Context) (net.HardwareAddr, bool, error) { return nil, false, nil }, nil
	}
	return func(ctx context.Context) (owner net.HardwareAddr, found bool, err error) {
		defer s.Close()
		for i := 0; i < probeCount && !found && err == nil; i++ {
			if err := s.send(probeFor(vip, s.own)); err != nil {
				return nil, false, fmt.Errorf("send ARP probe for %s on %s: %w", vip, iface, err)
			}
			owner, found, err = s.listen(ctx, vip)
		}
		return owner, found, err
	}, nil
}

// Announce tells all neighbours on an interface that this host answers for the VIP.
// An interface without ARP is left alone.
func Announce(iface string, vip netip.Addr) error {
	s, err := openARP(iface, vip)
	if err != nil || s == nil {
		return err
	}
	defer s.Close()
	for _, f := range announcements(vip, s.own) {
		if err := s.send(f); err != nil {
			return fmt.Errorf("announce %s on %s: %w", vip, iface, err)
		}
	}
	return nil
}

// arpLAN is the LAN, reached by ARP from the calling thread's network namespace.
type arpLAN struct{}

func (arpLAN) probe(iface string, vip netip.Addr) (waiter, error) { return startProbe(iface, vip) }

func (arpLAN) announce(iface string, vip netip.Addr) error { return Announce(iface, vip) }

// arpSocket sends and receives whole ARP frames on one interface.
type arpSocket struct {
	*os.File
	own mac
}

// openARP opens a socket on an interface; it is nil if the interface has no
// ARP, or the VIP has none because it is IPv6.
func openARP(iface string, vip netip.Addr) (*arpSocket, error) {
	l, err := linkByName(iface)
	if err != nil || !vip.Is4() || !hasARP(l) || len(l.Attrs().HardwareAddr) != 6 {
		return nil, err
	}
	if l.Attrs().Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("interface %q is down: run \"ip link set %s up\"", iface, iface)
	}
	protocol := uint16(etherTypeARP<<8&0xff00 | etherTypeARP>>8) // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, packetError(iface, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: l.Attrs().Index}); err != nil {
		unix.Close(fd)
		return nil, packetError(iface, err)
	}
	return &arpSocket{os.NewFile(uintptr(fd), "arp:"+iface), mac(l.Attrs().HardwareAddr)}, nil
}

func packetError(iface string, err error) error {
	if errors.Is(err, syscall.EPERM) {
		err = errors.New("not permitted: run as root, or with CAP_NET_RAW")
	}
	return fmt.Errorf("open ARP socket on %s: %w", iface, err)
}

func (s *arpSocket) send(f arpFrame) error {
	_, err := s.Write(f.bytes())
	return bareErrno(err)
}

// listen waits one interval for a claim on the VIP.
func (s *arpSocket) listen(ctx context.Context, vip netip.Addr) (net.HardwareAddr, bool, error) {
	if err := s.SetReadDeadline(time.Now().Add(probeInterval)); err != nil {
		return nil, false, fmt.Errorf("wait for ARP answers: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { s.SetReadDeadline(time.Now()) })
	defer stop()
	buf := make([]byte, 256)
	for {
		n, err := s.Read(buf)
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("wait for ARP answers: %w", bareErrno(err))
		}
		if f, ok := parseARP(buf[:n]); ok && f.claims(vip, s.own) {
			return f.senderMAC[:], true, nil
		}
	}
}
