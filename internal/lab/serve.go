package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"

	"golang.org/x/sys/unix"
)

// Ports are where a real's servers listen, on all its addresses.
type Ports struct {
	HTTP uint16
	UDP  uint16
}

// DefaultPorts are the ports of web and of DNS.
var DefaultPorts = Ports{HTTP: 80, UDP: 53}

// Upload is what a server says of a body that it was sent.
type Upload struct {
	Real   string `json:"real"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Bytes returns the n bytes that GET /bytes?n= answers, which are the same each time.
// They do not repeat, so that a lost or doubled segment changes their hash.
func Bytes(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte([]byte("the bytes that a lab's real has."))), n)
}

// Serve runs a real's servers in a node, in this process, until the lab is closed.
func (l *Lab) Serve(node string, ports Ports) error {
	var s *Sockets
	err := l.Do(node, func() (err error) { s, err = Listen(ports); return err })
	if err != nil {
		return err
	}
	l.servers.Go(func() { s.Serve(l.ctx, node) })
	return nil
}

// Sockets are a real's servers before they serve.
type Sockets struct {
	http net.Listener
	udp  *net.UDPConn
}

// Listen opens a real's servers in the namespace of the calling thread.
func Listen(ports Ports) (*Sockets, error) {
	ln, err := net.Listen("tcp4", fmt.Sprintf(":%d", ports.HTTP))
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(ports.UDP)})
	if err == nil {
		err = setPktinfo(udp)
	}
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return &Sockets{ln, udp}, nil
}

// Serve answers in the name of a real until ctx ends:
//
//	GET /          its name and a line feed
//	GET /bytes?n=  that many bytes, see Bytes
//	POST /         an Upload
//	UDP            its name, a space and what was sent
func (s *Sockets) Serve(ctx context.Context, name string) error {
	srv := &http.Server{Handler: handler(name)}
	end := context.AfterFunc(ctx, func() {
		srv.Close()
		s.udp.Close()
	})
	defer end()
	echoed := make(chan error, 1)
	go func() { echoed <- echo(s.udp, name) }()
	err := errors.Join(srv.Serve(s.http), <-echoed)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func handler(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, name)
	})
	mux.HandleFunc("GET /bytes", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
		if err != nil || n < 0 {
			http.Error(w, "n is not a number of bytes", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		w.Header().Set("Real", name)
		io.Copy(w, Bytes(n))
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(Upload{name, n, hex.EncodeToString(sum.Sum(nil))})
	})
	return mux
}

// echo answers datagrams from the address they were sent to, which a socket bound to
// all addresses does not do by itself: behind a director that address is the VIP.
func echo(conn *net.UDPConn, name string) error {
	buf, oob := make([]byte, 65536), make([]byte, 128)
	for {
		n, oobn, _, from, err := conn.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			return err
		}
		answer := append([]byte(name+" "), buf[:n]...)
		if _, _, err := conn.WriteMsgUDPAddrPort(answer, sameAddress(oob[:oobn]), from); err != nil && errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

func setPktinfo(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	})
	return errors.Join(err, set)
}

// sameAddress turns the control message of a received datagram into one that sends
// from the same address (ip(7), IP_PKTINFO).
func sameAddress(oob []byte) []byte {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range messages {
		h := messages[i].Header
		if h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(messages[i].Data) >= unix.SizeofInet4Pktinfo {
			var to [4]byte
			copy(to[:], messages[i].Data[8:12]) // ipi_addr, the destination in the header
			return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: to})
		}
	}
	return nil
}
