package server

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"naru/internal/api"
	"naru/internal/control"
	"naru/internal/metrics"
	"naru/internal/model"
	"naru/internal/plan"
)

// fake is a director behind the server, which fails as its err says.
type fake struct {
	err       error
	connsErr  error // after the conns
	snapshot  control.Snapshot
	stats     plan.Stats
	conns     int
	edits     []model.Edit
	stopped   bool
	panicking bool
}

func (f *fake) Snapshot() *control.Snapshot { return &f.snapshot }

func (f *fake) Edit(_ context.Context, edits []model.Edit) ([]string, error) {
	if f.panicking {
		panic("index out of range")
	}
	f.edits = edits
	return []string{"noted"}, f.err
}

func (f *fake) Stats() (plan.Stats, error)         { return f.stats, f.err }
func (f *fake) Used() (uint32, error)              { return 7, f.err }
func (f *fake) Capacity() uint32                   { return 1 << 20 }
func (f *fake) Exits() (map[string]uint64, error)  { return map[string]uint64{"pass": 3}, f.err }
func (f *fake) Events() (map[string]uint64, error) { return map[string]uint64{"conn_new": 2}, f.err }

func (f *fake) Conns() iter.Seq2[model.Conn, error] {
	return func(yield func(model.Conn, error) bool) {
		for i := range f.conns {
			if !yield(model.Conn{Protocol: model.TCP, Packets: uint64(i)}, nil) {
				return
			}
		}
		if f.connsErr != nil {
			yield(model.Conn{}, f.connsErr)
		}
	}
}

// start runs a server of f in a directory of the test and returns a client and the path.
func start(t *testing.T, f *fake) (*api.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "api.sock")
	s := New(options(f, path))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	c := api.NewClient(path)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there after the end: %v", err)
		}
	})
	return c, path
}

func options(f *fake, path string) Options {
	return Options{
		Socket: path, Version: "v1", Instance: "blue", File: "naru.yaml",
		Control: f, Tables: f,
		Rates:  func() metrics.Rates { return metrics.Rates{Reals: []model.Rates{{}, {}, {}, {Conns: 9}}} },
		Hooks:  func() []api.Hook { return nil },
		Faults: func() []string { return []string{"eth9 is gone"} },
		Reload: func(context.Context) ([]string, error) { return nil, f.err },
		Stop:   func() { f.stopped = true },
		Log:    slog.New(slog.DiscardHandler),
	}
}

func TestServicesJoinWhatIsWantedAndCounted(t *testing.T) {
	real := func(id uint32, address string) control.RealView {
		return control.RealView{ID: id, Effective: 2, Reachable: true,
			Real: model.Real{Address: netip.MustParseAddrPort(address), Weight: 2}}
	}
	key := func(port uint16) model.Key {
		return model.Key{Protocol: model.TCP, VIP: netip.MustParseAddr("192.0.2.10"), Port: port}
	}
	f := &fake{
		snapshot: control.Snapshot{
			Timeouts: model.DefaultTimeouts,
			Services: []control.ServiceView{
				{ID: 1, Service: model.Service{Key: key(443)}},
				{ID: 2, Held: true, Service: model.Service{Key: key(80), Name: "web"},
					Reals: []control.RealView{real(3, "192.0.2.22:80"), real(0, "192.0.2.21:80")}},
			},
		},
		stats: plan.Stats{
			Services: []model.Counters{{Conns: 99}, {}, {Conns: 12}},
			Reals:    []plan.RealStats{{Active: 99}, {}, {}, {Active: 4, Inactive: 5, Counters: model.Counters{InBytes: 6}}},
		},
	}
	c, _ := start(t, f)
	got, err := c.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlisted := api.Real{Real: model.Real{Address: netip.MustParseAddrPort("192.0.2.21:80"), Weight: 2}, Effective: 2, Reachable: true}
	listed := api.Real{Real: model.Real{Address: netip.MustParseAddrPort("192.0.2.22:80"), Weight: 2}, Effective: 2, Reachable: true,
		Active: 4, Inactive: 5, Counters: model.Counters{InBytes: 6}, Rates: model.Rates{Conns: 9}}
	want := api.Services{
		Version: "v1", Capacity: 1 << 20, Timeouts: model.DefaultTimeouts,
		Services: []api.Service{
			{Name: "web", Key: key(80), Held: true, Counters: model.Counters{Conns: 12}, Reals: []api.Real{unlisted, listed}},
			{Key: key(443), Reals: []api.Real{}},
		},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEditsReachControlAsTheyWere(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f)
	want := []model.Edit{
		{Op: model.AddService, Service: model.Service{Key: model.Key{Protocol: model.UDP, VIP: netip.MustParseAddr("192.0.2.10"), Port: 53}, Scheduler: model.MH}},
		{Op: model.Clear},
	}
	notes, err := c.Edit(t.Context(), want)
	if err != nil || !slices.Equal(notes, []string{"noted"}) {
		t.Errorf("Edit = %v, %v", notes, err)
	}
	if !slices.EqualFunc(want, f.edits, func(a, b model.Edit) bool {
		return a.Op == b.Op && a.Service.Key == b.Service.Key && a.Service.Scheduler == b.Service.Scheduler
	}) {
		t.Errorf("control got %+v, want %+v", f.edits, want)
	}
}

func TestRefusalsKeepTheirCodeAndStatus(t *testing.T) {
	for code, status := range map[model.Code]int{
		model.Invalid: 400, model.Denied: 403, model.NoService: 404, model.NoReal: 404, model.ServiceExists: 409,
		model.RealExists: 409, model.FileOwned: 409, model.Internal: 500, model.Full: 507,
	} {
		want := &api.Error{Code: code, Message: "no", Hint: "mend", Edit: 0}
		c, path := start(t, &fake{err: want})
		_, err := c.Edit(t.Context(), []model.Edit{{Op: model.Clear}})
		var got *api.Error
		if !errors.As(err, &got) || *got != *want {
			t.Errorf("%s: error %#v, want %#v", code, err, want)
		}
		if got, _ := ask(t, path, "GET", api.PathServices, "", ""); got != status {
			t.Errorf("%s: status %d, want %d", code, got, status)
		}
	}
}

func TestStatusReloadAndStop(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f)
	got, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got.Started = ""
	want := api.Status{Version: "v1", Instance: "blue", PID: os.Getpid(), File: "naru.yaml", Hooks: []api.Hook{},
		Conns: 7, Capacity: 1 << 20, Exits: map[string]uint64{"pass": 3}, Events: map[string]uint64{"conn_new": 2}, Faults: []string{"eth9 is gone"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if changes, err := c.Reload(t.Context()); err != nil || len(changes) != 0 {
		t.Errorf("Reload = %v, %v", changes, err)
	}
	if err := c.Stop(t.Context()); err != nil || !f.stopped {
		t.Errorf("Stop = %v, stopped %v", err, f.stopped)
	}
}

// ask makes a request by hand and returns the answer's status and body.
func ask(t *testing.T, path, method, url, kind, body string) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", path)
		},
	}}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://naru"+url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, _ := io.ReadAll(a.Body)
	return a.StatusCode, string(b)
}

func TestRequestsAreReadStrictly(t *testing.T) {
	const kind = "application/json"
	f := &fake{}
	_, path := start(t, f)
	for _, test := range []struct {
		name, method, url, kind, body string
		status                        int
		say                           string
	}{
		{"well formed", "POST", api.PathEdits, kind, `{"edits":[{"op":"clear"}]}`, 200, "noted"},
		{"with a charset", "POST", api.PathEdits, kind + "; charset=utf-8", `{"edits":[{"op":"clear"}]}`, 200, "noted"},
		{"unknown key", "POST", api.PathEdits, kind, `{"edits":[{"op":"clear","force":true}]}`, 400, `unknown field \"force\"`},
		{"unknown key of a real", "POST", api.PathEdits, kind, `{"edits":[{"op":"add-real","real":{"wieght":1}}]}`, 400, "wieght"},
		{"wrong type", "POST", api.PathEdits, kind, `{"edits":[{"op":1}]}`, 400, "request: "},
		{"bad value", "POST", api.PathEdits, kind, `{"edits":[{"op":"add-service","service":{"protocol":"sctp"}}]}`, 400, "use tcp or udp"},
		{"weight below 0", "POST", api.PathEdits, kind, `{"edits":[{"op":"add-real","real":{"weight":-1}}]}`, 400, "request: "},
		{"no edits", "POST", api.PathEdits, kind, `{}`, 400, "edits is missing or empty"},
		{"nothing", "POST", api.PathEdits, kind, ``, 400, "nothing came"},
		{"cut off", "POST", api.PathEdits, kind, `{"edits":[`, 400, "unexpected EOF"},
		{"two values", "POST", api.PathEdits, kind, `{"edits":[{"op":"clear"}]} {}`, 400, "more follows"},
		{"a form", "POST", api.PathEdits, "application/x-www-form-urlencoded", `a=b`, 400, "send application/json"},
		{"no content type", "POST", api.PathStop, "", `{}`, 400, "send application/json"},
		{"too large", "POST", api.PathEdits, kind, `{"edits":[{"op":"` + strings.Repeat("x", maxRequest) + `"}]}`, 400, "larger than 64 MiB"},
		{"wrong method", "GET", api.PathStop, "", "", 405, "takes POST"},
		{"no such path", "GET", "/v2/services", "", "", 404, "no such path"},
		{"no cleaning of paths", "GET", "/v1//services", "", "", 404, "no such path"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.edits = nil
			status, body := ask(t, path, test.method, test.url, test.kind, test.body)
			if status != test.status || !strings.Contains(body, test.say) {
				t.Errorf("status %d, %.200s; want %d and %q", status, body, test.status, test.say)
			}
			if status != 200 && (f.edits != nil || f.stopped) {
				t.Error("something was done")
			}
		})
	}
}

func TestAPanicIsOneAnswerNotTheEnd(t *testing.T) {
	f := &fake{panicking: true}
	c, _ := start(t, f)
	_, err := c.Edit(t.Context(), []model.Edit{{Op: model.Clear}})
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Code != model.Internal {
		t.Errorf("error %v, want Internal", err)
	}
	if _, err := c.Services(t.Context()); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

func TestConnsStream(t *testing.T) {
	c, _ := start(t, &fake{conns: 20_000})
	n := 0
	for conn, err := range c.Conns(t.Context()) {
		if err != nil || conn.Packets != uint64(n) {
			t.Fatalf("conn %d: %+v, %v", n, conn, err)
		}
		n++
	}
	if n != 20_000 {
		t.Errorf("%d conns, want 20000", n)
	}
}

func TestConnsThatCannotBeReadAreAnError(t *testing.T) {
	for _, test := range []struct {
		name    string
		conns   int
		refused bool // in time to say why
	}{{"at once", 0, true}, {"under way", 20_000, false}} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := start(t, &fake{conns: test.conns, connsErr: errors.New("read conns: no such map")})
			var last error
			for _, err := range c.Conns(t.Context()) {
				last = err
			}
			var refused *api.Error
			if last == nil || errors.As(last, &refused) != test.refused {
				t.Errorf("error %v, want a refusal: %v", last, test.refused)
			}
		})
	}
}

// TestDocumentHasEveryRoute holds the server to docs/openapi.yaml; package api holds
// the document's types to the code.
func TestDocumentHasEveryRoute(t *testing.T) {
	b, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]any
	}
	if err := yaml.Unmarshal(b, &document); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for path, methods := range document.Paths {
		for method := range methods {
			want = append(want, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range routes() {
		got = append(got, r.method+" "+r.path)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-document +server):\n%s", diff)
	}
}
