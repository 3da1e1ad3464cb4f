package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"naru/internal/model"
)

// ErrUnreachable is wrapped by every error that means: no daemon answers.
var ErrUnreachable = errors.New("naru is not running here: start it by 'naru run'")

// The client's patience. The whole of an answer has no limit: a reader may page
// through a million conns.
const (
	connectTimeout = 5 * time.Second
	answerTimeout  = 2 * time.Minute // to the first byte of an answer
	maxError       = 1 << 20         // bytes of an answer that is an Error
)

// Client talks to a daemon. Its methods return an error that wraps ErrUnreachable if
// none answers, and an *Error if it refused.
type Client struct {
	socket string
	http   http.Client
}

// NewClient returns a client of the daemon that listens on the socket. It connects
// when it is first used.
func NewClient(socket string) *Client {
	c := &Client{socket: socket}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return c.dial(ctx)
		},
		DisableCompression:    true,
		ResponseHeaderTimeout: answerTimeout,
	}
	return c
}

// Close gives the client's idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Services returns the table with its counters.
func (c *Client) Services(ctx context.Context) (Services, error) {
	var answer Services
	err := c.call(ctx, http.MethodGet, PathServices, nil, &answer)
	return answer, err
}

// Edit asks for edits, of which all are made or none, and returns what an operator
// should know about them.
func (c *Client) Edit(ctx context.Context, edits []model.Edit) ([]string, error) {
	var answer EditsAnswer
	err := c.call(ctx, http.MethodPost, PathEdits, EditsRequest{Edits: edits}, &answer)
	return answer.Notes, err
}

// Reload makes the daemon read its file again and returns what that changed.
func (c *Client) Reload(ctx context.Context) ([]string, error) {
	var answer Reload
	err := c.call(ctx, http.MethodPost, PathReload, Empty{}, &answer)
	return answer.Changes, err
}

// Status returns the condition of the daemon and the packet path.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var answer Status
	err := c.call(ctx, http.MethodGet, PathStatus, nil, &answer)
	return answer, err
}

// Stop ends the daemon. Forwarding goes on.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, PathStop, Empty{}, &Empty{})
}

// call makes one request and decodes its answer.
func (c *Client) call(ctx context.Context, method, path string, request, answer any) error {
	body, err := c.ask(ctx, method, path, request)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(answer); err != nil {
		return fmt.Errorf("read answer of %s: %w", path, err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(body, 1)) // to the end, so that the connection is used again
	return err
}

// ask makes one request and returns the body of a successful answer.
func (c *Client) ask(ctx context.Context, method, path string, request any) (io.ReadCloser, error) {
	var body io.Reader
	if request != nil {
		b, err := json.Marshal(request)
		if err != nil {
			return nil, fmt.Errorf("write request of %s: %w", path, err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://naru"+path, body)
	if err != nil {
		return nil, fmt.Errorf("write request of %s: %w", path, err)
	}
	if request != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	a, err := c.http.Do(r)
	if err != nil {
		return nil, askError(method, path, err)
	}
	if a.StatusCode >= http.StatusBadRequest {
		defer a.Body.Close()
		return nil, refusal(a, path)
	}
	return a.Body, nil
}

// askError takes away net/http's own wording, which quotes a URL nobody typed.
func askError(method, path string, err error) error {
	var known *Error
	if errors.Is(err, ErrUnreachable) || errors.As(err, &known) {
		return errors.Unwrap(err) // of *url.Error
	}
	return fmt.Errorf("ask naru for %s %s: %w", method, path, err)
}

// refusal decodes an answer that says no.
func refusal(a *http.Response, path string) error {
	var e Error
	err := json.NewDecoder(io.LimitReader(a.Body, maxError)).Decode(&e)
	if err != nil || e.Message == "" {
		return fmt.Errorf("ask naru for %s: answered %s without saying why", path, a.Status)
	}
	return &e
}

// dial connects and makes sure of the server: orders to a director must not go to a
// socket that somebody else put there.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTimeout}
	conn, err := d.DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, c.dialError(err)
	}
	peer, err := PeerOf(conn.(*net.UnixConn))
	if err == nil && peer.UID != 0 && peer.UID != os.Getuid() {
		err = &Error{Code: model.Denied, Edit: -1,
			Message: fmt.Sprintf("connect %s: user %d serves it, who is neither root nor you", c.socket, peer.UID),
			Hint:    "stop that program, or name another instance by --instance"}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (c *Client) dialError(err error) error {
	cause := err
	for e := err; e != nil; e = errors.Unwrap(e) {
		cause = e // the errno: the rest repeats the path
	}
	if errors.Is(err, fs.ErrPermission) {
		return &Error{Code: model.Denied, Edit: -1,
			Message: fmt.Sprintf("connect %s: %v", c.socket, cause),
			Hint:    "run this command as root, or as the user whom naru runs as"}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("connect %s: %v: %w", c.socket, cause, ErrUnreachable)
}
