package ipvsadm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/model"
)

var _ Client = (*api.Client)(nil)

// director is a Client that holds a table in memory, by LVS's rules. It keeps services
// and reals newest first, as ip_vs does, so that sorting shows.
type director struct {
	table    api.Services
	conns    []model.Conn
	notes    []string
	fail     error // of every call
	requests [][]model.Edit
}

func newDirector() *director {
	return &director{table: api.Services{Version: "test", Capacity: 4096, Timeouts: model.DefaultTimeouts}}
}

func (d *director) Services(context.Context) (api.Services, error) {
	table := d.table
	table.Services = slices.Clone(table.Services)
	for i := range table.Services {
		table.Services[i].Reals = slices.Clone(table.Services[i].Reals)
	}
	return table, d.fail
}

func (d *director) Conns(context.Context) iter.Seq2[model.Conn, error] {
	return func(yield func(model.Conn, error) bool) {
		for _, c := range d.conns {
			if !yield(c, nil) {
				return
			}
		}
		if d.fail != nil {
			yield(model.Conn{}, d.fail)
		}
	}
}

func (d *director) Edit(ctx context.Context, edits []model.Edit) ([]string, error) {
	d.requests = append(d.requests, edits)
	if d.fail != nil {
		return nil, d.fail
	}
	before, _ := d.Services(ctx)
	for i := range edits {
		if r := d.edit(&edits[i]); r != nil {
			r.Edit = i
			d.table = before
			return nil, r
		}
	}
	return d.notes, nil
}

func refuse(code model.Code) *model.Refusal {
	return &model.Refusal{Code: code, Message: "refused: " + string(code), Hint: "mend it"}
}

func (d *director) edit(e *model.Edit) *model.Refusal {
	switch e.Op {
	case model.Clear:
		d.table.Services = nil
		return nil
	case model.SetTimeouts:
		for at, v := range map[*model.Seconds]model.Seconds{&d.table.Timeouts.TCP: e.Timeouts.TCP,
			&d.table.Timeouts.TCPFin: e.Timeouts.TCPFin, &d.table.Timeouts.UDP: e.Timeouts.UDP} {
			if v != 0 {
				*at = v
			}
		}
		return nil
	}
	return d.editService(e)
}

func (d *director) editService(e *model.Edit) *model.Refusal {
	i := slices.IndexFunc(d.table.Services, func(s api.Service) bool { return s.Key == e.Service.Key })
	switch {
	case e.Op == model.Zero && e.Service.Key == model.Key{}:
		return nil
	case e.Op == model.AddService && i >= 0:
		return refuse(model.ServiceExists)
	case e.Op == model.AddService:
		s := api.Service{Key: e.Service.Key, Scheduler: e.Service.Scheduler, Owner: model.Owner{Kind: model.EditOwner}}
		d.table.Services = append([]api.Service{s}, d.table.Services...)
	case i < 0:
		return refuse(model.NoService)
	case e.Op == model.EditService:
		d.table.Services[i].Scheduler = e.Service.Scheduler
	case e.Op == model.DeleteService:
		d.table.Services = slices.Delete(d.table.Services, i, i+1)
	case e.Op != model.Zero:
		return d.editRealAt(i, e)
	}
	return nil
}

func (d *director) editRealAt(i int, e *model.Edit) *model.Refusal {
	s := &d.table.Services[i]
	r := api.Real{Real: e.Real, Effective: e.Real.Weight, Owner: model.Owner{Kind: model.EditOwner}}
	j := slices.IndexFunc(s.Reals, func(r api.Real) bool { return r.Address == e.Real.Address })
	switch {
	case e.Op == model.AddReal && j >= 0:
		return refuse(model.RealExists)
	case e.Op == model.AddReal:
		s.Reals = append([]api.Real{r}, s.Reals...)
	case j < 0:
		return refuse(model.NoReal)
	case e.Op == model.DeleteReal && s.Reals[j].Owner.Kind == model.FileOwner:
		return refuse(model.FileOwned)
	case e.Op == model.DeleteReal:
		s.Reals = slices.Delete(s.Reals, j, j+1)
	case s.Reals[j].Owner.Kind == model.FileOwner:
		s.Reals[j].Weight, s.Reals[j].Effective = r.Weight, r.Weight
	default:
		s.Reals[j] = r
	}
	return nil
}

// result is what one invocation left behind.
type result struct {
	out, err string
	code     int
}

// invoke runs one invocation on d, with the names of testdata/names.
func invoke(t testing.TB, d *director, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	tool := &tool{
		env:     cli.Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Getenv: os.Getenv},
		connect: func() (Client, error) { return d, nil },
		names:   testNames(t),
	}
	if d == nil {
		tool.connect = func() (Client, error) { return nil, errors.New("naru is not running") }
	}
	code := tool.run(t.Context(), args)
	return result{out.String(), errs.String(), code}
}

// testNames are those of testdata/names, by the rules of files(5).
func testNames(t testing.TB) *names {
	t.Helper()
	b, err := os.ReadFile("testdata/names/hosts")
	if err != nil {
		t.Fatal(err)
	}
	forward, reverse := map[string]netip.Addr{}, map[string][]string{}
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		a := netip.MustParseAddr(words[0])
		for _, name := range words[1:] {
			forward[name] = a
		}
		reverse[words[0]] = words[1:]
	}
	n := systemNames()
	n.file, n.wait = "testdata/names/services", time.Minute
	n.addresses = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if a, ok := forward[host]; ok {
			return []netip.Addr{a}, nil
		}
		return nil, fmt.Errorf("no host %s", host)
	}
	n.hosts = func(_ context.Context, a string) ([]string, error) { return reverse[a], nil }
	ports := map[string]int{"tcp/http": 80, "tcp/www": 80, "tcp/shell": 514, "udp/syslog": 514, "tcp/domain": 53, "udp/domain": 53}
	n.port = func(_ context.Context, network, name string) (int, error) {
		if p, ok := ports[network+"/"+name]; ok {
			return p, nil
		}
		return 0, fmt.Errorf("no service %s", name)
	}
	return n
}
