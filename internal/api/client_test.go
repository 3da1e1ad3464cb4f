package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"naru/internal/model"
)

// serve answers every request of the test by h and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	c := NewClient(path)
	t.Cleanup(c.Close)
	return c
}

func TestClientSaysWhatTheServerExpects(t *testing.T) {
	var got []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"), body)))
		io.WriteString(w, `{"version":"v1","changes":["a"],"notes":["b"],"conns":[]}`)
	})
	ctx := t.Context()
	services, errServices := c.Services(ctx)
	notes, errEdit := c.Edit(ctx, []model.Edit{{Op: model.Clear}})
	changes, errReload := c.Reload(ctx)
	if err := errors.Join(errServices, errEdit, errReload, c.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`GET /v1/services`,
		`POST /v1/edits application/json {"edits":[{"op":"clear"}]}`,
		`POST /v1/reload application/json {}`,
		`POST /v1/stop application/json {}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if services.Version != "v1" || len(changes) != 1 || len(notes) != 1 {
		t.Errorf("answers %+v, %v, %v", services, changes, notes)
	}
}

func TestRefusalsArriveAsErrors(t *testing.T) {
	want := &Error{Code: model.NoService, Message: "no service tcp:192.0.2.1:80", Hint: "add it first", Edit: 3}
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(want)
	})
	_, err := c.Edit(t.Context(), []model.Edit{{Op: model.Clear}})
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v is no *Error", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNobodyThereIsUnreachable(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for path, cause := range map[string]string{
		stale:                           "connection refused",
		filepath.Join(dir, "none.sock"): "no such file or directory",
	} {
		_, err := NewClient(path).Services(t.Context())
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: error %v is not ErrUnreachable", path, err)
		}
		want := "connect " + path + ": " + cause + ": naru is not running here: start it by 'naru run'"
		if err == nil || err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	}
}

func TestAnAnswerThatIsNoRefusalIsNotTakenForOne(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hello", http.StatusBadGateway) })
	_, err := c.Status(t.Context())
	var refused *Error
	if err == nil || errors.As(err, &refused) || errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v, want one that is neither a refusal nor unreachable", err)
	}
}

func TestCancelledRequestsSaySo(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// manyConns is a sequence that no test could hold as one value without noticing.
func manyConns(n int, last error) func(func(model.Conn, error) bool) {
	return func(yield func(model.Conn, error) bool) {
		for i := range n {
			if !yield(conn(i), nil) {
				return
			}
		}
		if last != nil {
			yield(model.Conn{}, last)
		}
	}
}

func conn(i int) model.Conn {
	return model.Conn{
		Protocol: model.TCP,
		State:    model.StateEstablished,
		Client:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 1024),
		Virtual:  netip.MustParseAddrPort("192.0.2.10:80"),
		Real:     netip.MustParseAddrPort("192.0.2.21:80"),
		Forward:  model.NAT,
		Expires:  900,
		Packets:  uint64(i),
	}
}

func TestConnsArriveAsTheyWereSent(t *testing.T) {
	for _, n := range []int{0, 1, 5000} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if err := WriteConns(w, manyConns(n, nil)); err != nil {
				t.Error(err)
			}
		})
		i := 0
		for got, err := range c.Conns(t.Context()) {
			if err != nil || got != conn(i) {
				t.Fatalf("conn %d of %d: %+v, %v", i, n, got, err)
			}
			i++
		}
		if i != n {
			t.Errorf("%d conns arrived, want %d", i, n)
		}
	}
}

func TestConnsCutOffAreAnError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if err := WriteConns(w, manyConns(5000, errors.New("map gone"))); err == nil {
			t.Error("WriteConns swallowed the error of its sequence")
		}
		panic(http.ErrAbortHandler)
	})
	var last error
	n := 0
	for _, err := range c.Conns(t.Context()) {
		last = err
		n++
	}
	if last == nil || n < 2 {
		t.Errorf("%d conns, then error %v: want some conns, then an error", n, last)
	}
}

func TestConnsMayBeLeftEarly(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { WriteConns(w, manyConns(100_000, nil)) })
	for range c.Conns(t.Context()) {
		break
	}
	for _, err := range c.Conns(t.Context()) { // the client still works
		if err != nil {
			t.Error(err)
		}
		break
	}
}

func FuzzReadConns(f *testing.F) {
	var good strings.Builder
	if err := WriteConns(&good, manyConns(2, nil)); err != nil {
		f.Fatal(err)
	}
	f.Add(good.String())
	f.Add(`{"conns":[]}`)
	f.Add(`{"conns":[{"state":"NOWHERE"}]}`)
	f.Add(`{"conns":[`)
	f.Fuzz(func(t *testing.T, s string) {
		ended := false
		readConns(strings.NewReader(s), func(_ model.Conn, err error) bool {
			if ended {
				t.Fatal("a conn after an error")
			}
			ended = err != nil
			return true
		})
	})
}
