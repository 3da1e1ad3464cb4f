// Package server is the daemon's side of the API: HTTP on a unix socket. It only
// translates. What is wanted belongs to control, what is counted to the packet path,
// and what a file or a signal may do to the daemon.
package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"naru/internal/api"
	"naru/internal/control"
	"naru/internal/metrics"
	"naru/internal/model"
	"naru/internal/plan"
)

// Control is the owner of the desired state.
type Control interface {
	Snapshot() *control.Snapshot
	Edit(context.Context, []model.Edit) ([]string, error)
}

// Tables is what the packet path tells.
type Tables interface {
	Stats() (plan.Stats, error)
	Conns() iter.Seq2[model.Conn, error]
	Exits() (map[string]uint64, error)  // packets, by exit of the path
	Events() (map[string]uint64, error) // of the conn table
	Used() (uint32, error)              // conns in the table
	Capacity() uint32                   // conns that it can hold
}

// Options is what a server serves. All functions must be safe to call at any time.
type Options struct {
	Socket   string // path to listen on; its directory becomes the server's, mode 0700
	Version  string
	Instance string
	File     string // the configuration's path, empty if there is none

	Control Control
	Tables  Tables
	Rates   func() metrics.Rates
	Hooks   func() []api.Hook
	Faults  func() []string // what is not as it should be, one sentence each
	Reload  func(context.Context) ([]string, error)
	Stop    func() // ends the daemon; returns at once

	Log *slog.Logger
}

// Server is the task that answers the API.
type Server struct {
	opts    Options
	socket  *socket // nil until Listen
	ready   chan struct{}
	started time.Time
}

// Limits on what a client may cost. Only root gets this far, so they are for
// accidents. Answers have no limit as a whole: a reader may page through conns.
const (
	headerTimeout   = 5 * time.Second
	requestTimeout  = time.Minute // for a whole request to arrive
	writeTimeout    = time.Minute // for an answer that is not a stream to be taken
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second // for answers under way at the end
	maxHeader       = 16 << 10
)

// New returns a server that has not started.
func New(o Options) *Server {
	return &Server{opts: o, ready: make(chan struct{}), started: time.Now()}
}

// String names the task.
func (s *Server) String() string { return "api " + s.opts.Socket }

// Ready is closed once requests are answered.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Listen takes the socket, or says who has it (*InUseError). A daemon calls it before
// it touches anything that another daemon of the same instance may own; requests wait
// until Run answers them. Close or Run gives the socket back.
func (s *Server) Listen() error {
	if s.socket != nil {
		return nil
	}
	taken, err := listen(s.opts.Socket)
	if err != nil {
		return err
	}
	s.socket = taken
	return nil
}

// Close gives back what Listen took, for a daemon that ends before Run.
func (s *Server) Close() error {
	if s.socket == nil {
		return nil
	}
	return s.socket.close()
}

// Run answers requests until ctx ends, then waits a little for answers under way.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	defer s.socket.close()
	h := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	go func() { done <- h.Serve(s.socket.listener) }()
	close(s.ready)
	select {
	case err := <-done:
		return fmt.Errorf("serve api: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := h.Shutdown(late); errors.Is(err, context.DeadlineExceeded) {
		h.Close() // a reader who pages through conns does not keep the daemon alive
	}
	<-done
	return nil
}

// peerKey is where a connection's peer stands in its requests' contexts.
type peerKey struct{}

// withPeer asks who is at the other end once per connection. An unknown peer is
// nobody, whom allowed refuses.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if u, ok := c.(*net.UnixConn); ok {
		if p, err := api.PeerOf(u); err == nil {
			return context.WithValue(ctx, peerKey{}, p)
		}
	}
	return ctx
}

// allowed says whether a request may be answered: its peer is root or the daemon's
// own user. The directory's mode keeps others away; this holds if somebody changed it.
func allowed(ctx context.Context) error {
	p, known := ctx.Value(peerKey{}).(api.Peer)
	if known && (p.UID == 0 || p.UID == os.Getuid()) {
		return nil
	}
	who := "an unknown user"
	if known {
		who = fmt.Sprintf("user %d", p.UID)
	}
	return &api.Error{Code: model.Denied, Edit: -1,
		Message: who + " may not use naru's API",
		Hint:    "run this command as root"}
}
