package ipvsadm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/model"
)

func TestRunWithoutDirector(t *testing.T) {
	for _, test := range []struct {
		args    string
		cause   error
		code    int
		out     string
		want    string
		connect int
	}{
		{"-h", nil, 0, "ipvsadm: look at", "", 0},
		{"-v", nil, 0, "ipvsadm v1.31 ", "", 0},
		{"-A", nil, 2, "", "You need to supply the 'service-address' option for the 'add-service' command\n", 0},
		{"-Ln", errors.New("no socket"), 2, "", "Can't initialize ipvs: no socket\nIs the director running? Start it by 'naru run', or see 'systemctl status naru'.\n", 1},
		{"-C", fmt.Errorf("no socket: %w", api.ErrUnreachable), 2, "", "Can't initialize ipvs: no socket: " + api.ErrUnreachable.Error() + "\nIf it should be running, see 'systemctl status naru'.\n", 1},
		{"-C", &model.Refusal{Message: "bad instance", Hint: "name it otherwise"}, 2, "", "Can't initialize ipvs: bad instance\nname it otherwise\n", 1},
	} {
		var out, errs bytes.Buffer
		asked := 0
		connect := func() (Client, error) { asked++; return nil, test.cause }
		e := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}
		code := Run(e, connect, strings.Fields(test.args))
		if code != test.code || errs.String() != test.want || !strings.HasPrefix(out.String(), test.out) || asked != test.connect {
			t.Errorf("%s: exit %d, connected %d times\n%s\n%s", test.args, code, asked, &out, &errs)
		}
	}
}

// TestHelpNamesEveryOption keeps the help complete.
func TestHelpNamesEveryOption(t *testing.T) {
	for _, o := range options {
		if o.id == optMissing || o.id == optSort || o.id == optTunType || o.long == "" {
			continue
		}
		if !strings.Contains(help, "--"+o.long) {
			t.Errorf("help does not name --%s", o.long)
		}
	}
	for line := range strings.Lines(help) {
		if len(line) > 90 {
			t.Errorf("too wide: %s", line)
		}
	}
}

func TestHelpListsEveryScheduler(t *testing.T) {
	_, rest, _ := strings.Cut(help, "--scheduler NAME")
	line, _, _ := strings.Cut(rest, "(")
	if got, want := len(strings.Fields(line)), len(model.Schedulers()); got != want {
		t.Errorf("help names %d schedulers, the model has %d: %s", got, want, line)
	}
	for _, name := range model.Schedulers() {
		if !strings.Contains(" "+line, " "+name+" ") {
			t.Errorf("help does not name the scheduler %s", name)
		}
	}
}

func TestCounterScales(t *testing.T) {
	for _, test := range []struct {
		v           uint64
		want, exact string
	}{
		{0, "        0", "        0"},
		{99999999, " 99999999", " 99999999"},
		{100000000, "  100000K", " 100000000"},
		{999999999, "  999999K", " 999999999"},
		{1000000000, "    1000M", " 1000000000"},
		{99999999999, "   99999M", " 99999999999"},
		{100000000000, "     100G", " 100000000000"},
		{99999999999999, "   99999G", " 99999999999999"},
		{100000000000000, "     100T", " 100000000000000"},
	} {
		if got := counter(test.v, false); got != test.want {
			t.Errorf("counter(%d) = %q, want %q", test.v, got, test.want)
		}
		if got := counter(test.v, true); got != test.exact {
			t.Errorf("counter(%d), exact = %q, want %q", test.v, got, test.exact)
		}
	}
}

// TestDeadResolverCostsItsPatienceOnce holds a list whose resolver never answers to
// one wait for all addresses together, after which numbers stand for names.
func TestDeadResolverCostsItsPatienceOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := systemNames()
		n.file = "testdata/names/services"
		asked := 0
		n.hosts = func(ctx context.Context, _ string) ([]string, error) {
			asked++
			<-ctx.Done()
			return nil, ctx.Err()
		}
		name, done := n.namer(t.Context(), false)
		defer done()
		for i := range byte(100) {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, i}), 80)
			if got, want := name(model.TCP, at), at.Addr().String()+":http"; got != want {
				t.Errorf("name of %s = %s, want %s", at, got, want)
			}
		}
		if asked != 1 {
			t.Errorf("asked the resolver %d times, want 1", asked)
		}
	})
}

func TestEachAddressIsLookedUpOnce(t *testing.T) {
	n := testNames(t)
	inner, asked := n.hosts, 0
	n.hosts = func(ctx context.Context, a string) ([]string, error) { asked++; return inner(ctx, a) }
	name, done := n.namer(t.Context(), false)
	defer done()
	for range 3 {
		if got := name(model.TCP, netip.MustParseAddrPort("10.0.0.1:80")); got != "web.example.org:http" {
			t.Errorf("name = %s", got)
		}
		name(model.UDP, netip.MustParseAddrPort("10.0.0.77:80"))
	}
	if asked != 2 {
		t.Errorf("asked the resolver %d times, want 2", asked)
	}
}

// brokenPipe is a standard output that nobody reads.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestLostOutputIsNoSuccess(t *testing.T) {
	for _, args := range []string{"-Ln", "-Sn", "-L --timeout", "-Lcn", "-L --json", "-h"} {
		e := cli.Env{Stdin: strings.NewReader(""), Stdout: brokenPipe{}, Stderr: io.Discard}
		d := newDirector()
		d.table.Services = []api.Service{{}}
		connect := func() (Client, error) { return d, nil }
		if code := Run(e, connect, strings.Fields(args)); code != exitNoTable {
			t.Errorf("%s: exit code %d, want %d", args, code, exitNoTable)
		}
	}
}

func TestRestoreBoundsItsLines(t *testing.T) {
	d := newDirector()
	got := invoke(t, d, "-A -t 10.0.0.1:80\n-A -t 10.0.0.2:80 "+strings.Repeat(" ", maxLine), "-R")
	if want := fmt.Sprintf("line 2: longer than %d bytes\n", maxLine); got.code != exitUsage || got.err != want {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	if len(d.requests) != 0 {
		t.Errorf("sent %v", d.requests)
	}
}
