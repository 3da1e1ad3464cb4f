package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// HTTPOptions say how a client asks.
type HTTPOptions struct {
	From      netip.Addr    // one of the client's addresses; the zero Addr leaves it to the kernel
	KeepAlive bool          // keep conns between requests; otherwise each request has a new one
	Timeout   time.Duration // of a request; 0 means none
}

// HTTP returns a client whose conns begin in the client's namespace.
func (l *Lab) HTTP(o HTTPOptions) *http.Client {
	return &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			DisableKeepAlives:  !o.KeepAlive,
			DisableCompression: true,
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				to, err := netip.ParseAddrPort(address)
				if err != nil {
					return nil, err
				}
				return l.Dial(ctx, Client, "tcp4", o.From, to)
			},
		},
	}
}

// Get asks a real for its name through the client c.
func Get(ctx context.Context, c *http.Client, to netip.AddrPort) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+to.String()+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	return readName(resp)
}

func readName(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("answer is %s", resp.Status)
	}
	return strings.TrimSpace(string(body)), nil
}

// Datagram sends text over UDP and returns the name of the real that answered.
func (l *Lab) Datagram(ctx context.Context, from netip.Addr, to netip.AddrPort, text string) (string, error) {
	conn, err := l.Dial(ctx, Client, "udp4", from, to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		return "", err
	}
	buf := make([]byte, 65536)
	n, err := conn.Read(buf)
	if err != nil {
		return "", err
	}
	name, echoed, _ := strings.Cut(string(buf[:n]), " ")
	if echoed != text {
		return "", fmt.Errorf("echo of %d bytes differs from the %d sent", len(echoed), len(text))
	}
	return name, nil
}

// Held is a TCP conn that stays open between requests.
type Held struct {
	Real string // that answered the first request
	conn net.Conn
	r    *bufio.Reader
}

// Holds are conns held together.
type Holds []*Held

// Hold opens n conns, asks one thing on each and keeps them open.
func (l *Lab) Hold(ctx context.Context, n int, from netip.Addr, to netip.AddrPort) (Holds, error) {
	var hs Holds
	for range n {
		conn, err := l.Dial(ctx, Client, "tcp4", from, to)
		if err != nil {
			return nil, errors.Join(err, hs.Close())
		}
		h := &Held{conn: conn, r: bufio.NewReader(conn)}
		hs = append(hs, h)
		if h.Real, err = h.Ask(ctx); err != nil {
			return nil, errors.Join(err, hs.Close())
		}
	}
	return hs, nil
}

// Ask sends another request on the conn and returns the name of who answered.
func (h *Held) Ask(ctx context.Context) (string, error) {
	deadline, _ := ctx.Deadline() // zero: none
	h.conn.SetDeadline(deadline)
	if _, err := fmt.Fprintf(h.conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", h.conn.RemoteAddr()); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(h.r, nil)
	if err != nil {
		return "", err
	}
	return readName(resp)
}

// Count returns how many of the conns each real has.
func (hs Holds) Count() map[string]int {
	count := map[string]int{}
	for _, h := range hs {
		count[h.Real]++
	}
	return count
}

// Close closes all.
func (hs Holds) Close() error {
	var errs []error
	for _, h := range hs {
		errs = append(errs, h.conn.Close())
	}
	return errors.Join(errs...)
}
