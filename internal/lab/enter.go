package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Do calls fn on a thread that is in the node's network namespace. Sockets that fn
// opens, and processes that it starts, remain in it. Goroutines that fn starts do not.
func (l *Lab) Do(node string, fn func() error) error {
	return onThread(func() error {
		if err := l.enter(node); err != nil {
			return err
		}
		return fn()
	})
}

// enter moves the calling thread into the node. An HTTP client may still dial after it
// gave a request up, and so while the lab is closed.
func (l *Lab) enter(node string) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	ns, ok := l.nodes[node]
	if !ok {
		return fmt.Errorf("enter %s: the lab has no such node", node)
	}
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("enter %s: %w", node, err)
	}
	return nil
}

// onThread calls fn on a thread of its own. The thread is never unlocked, so it ends
// with the goroutine and nobody meets the namespace that fn left it in.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- fn()
	}()
	return <-done
}

// Cmd is an exec.Cmd that starts in a node.
type Cmd struct {
	*exec.Cmd
	lab  *Lab
	node string
}

// Command returns the command to run in the node's network namespace. The rest of the
// world is the caller's own: files, user, /sys (which shows the caller's interfaces).
func (l *Lab) Command(ctx context.Context, node, name string, args ...string) *Cmd {
	return &Cmd{exec.CommandContext(ctx, name, args...), l, node}
}

// Start is exec.Cmd's, in the node.
func (c *Cmd) Start() error { return c.lab.Do(c.node, c.Cmd.Start) }

// Run is exec.Cmd's, in the node.
func (c *Cmd) Run() error { return c.lab.Do(c.node, c.Cmd.Run) }

// Output is exec.Cmd's, in the node.
func (c *Cmd) Output() (out []byte, err error) {
	err = c.lab.Do(c.node, func() error { out, err = c.Cmd.Output(); return err })
	return out, err
}

// CombinedOutput is exec.Cmd's, in the node.
func (c *Cmd) CombinedOutput() (out []byte, err error) {
	err = c.lab.Do(c.node, func() error { out, err = c.Cmd.CombinedOutput(); return err })
	return out, err
}

// Listen is net.Listen in a node.
func (l *Lab) Listen(node, network, address string) (ln net.Listener, err error) {
	err = l.Do(node, func() error { ln, err = net.Listen(network, address); return err })
	return ln, err
}

// The ports from which the client opens TCP conns, one after the other.
const (
	firstPort   = 10000
	clientPorts = 50000
)

// Dial opens a TCP or UDP socket from a node to an address. A valid from is the address
// to send from.
//
// TCP conns of the client have their ports in order, not as the kernel draws them: a
// director remembers a conn for minutes after its end, and takes one from a port that
// comes again for the old one.
func (l *Lab) Dial(ctx context.Context, node, network string, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	if network != "tcp4" || node != Client {
		return l.dial(ctx, node, network, netip.AddrPortFrom(from, 0), to)
	}
	if !from.IsValid() {
		from = ClientAddress(0)
	}
	for range clientPorts {
		port := firstPort + (l.ports.Add(1)-1)%clientPorts
		conn, err := l.dial(ctx, node, network, netip.AddrPortFrom(from, uint16(port)), to)
		if !errors.Is(err, unix.EADDRINUSE) {
			return conn, err
		}
	}
	return nil, fmt.Errorf("dial %s: no port of %s is free", to, from)
}

func (l *Lab) dial(ctx context.Context, node, network string, from, to netip.AddrPort) (conn net.Conn, err error) {
	var d net.Dialer
	switch {
	case !from.IsValid():
	case network == "udp4":
		d.LocalAddr = net.UDPAddrFromAddrPort(from)
	default:
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	err = l.Do(node, func() error { conn, err = d.DialContext(ctx, network, to.String()); return err })
	return conn, err
}
