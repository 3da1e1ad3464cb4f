package demo

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"naru/internal/cli"
	"naru/internal/config"
	"naru/internal/lab"
	"naru/internal/model"
)

func testEnv() (cli.Env, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}, &out, &errs
}

func TestConfigurationIsWhatTheForwardNeeds(t *testing.T) {
	for _, f := range []model.Forward{model.DR, model.NAT, model.TUN} {
		c, err := config.Parse("naru.yaml", []byte(configuration(f)))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if len(c.Services) != 1 || len(c.Services[0].Reals) != reals || c.VIPs != config.Own {
			t.Fatalf("%s: %+v", f, c)
		}
		s := c.Services[0]
		if want := (model.Key{Protocol: model.TCP, VIP: lab.VIP(), Port: 80}); s.Key != want || s.Scheduler != model.RR {
			t.Errorf("%s: service %s by %s", f, s.Key, s.Scheduler)
		}
		for i, r := range s.Reals {
			if want := netip.AddrPortFrom(address(i+1, f), 80); r.Address != want || r.Forward != f {
				t.Errorf("%s: real %d is %s by %s, want %s", f, i+1, r.Address, r.Forward, want)
			}
		}
	}
}

func TestByTurnsWantsEveryRealEquallyOften(t *testing.T) {
	for _, tt := range []struct {
		count tally
		good  bool
	}{
		{tally{"real1": 10, "real2": 10, "real3": 10}, true},
		{tally{"real1": 4, "real2": 3, "real3": 3}, true},
		{tally{"real1": 12, "real2": 9, "real3": 9}, false},
		{tally{"real1": 15, "real2": 15}, false},
		{tally{"real1": 1, "real2": 1, "real3": 1, "director": 1}, false},
		{tally{}, false},
	} {
		if err := byTurns(tt.count, 3); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.count, err)
		}
	}
}

// Where there is no terminal, a log gets plain text and nothing of what is in progress.
func TestOutputIsPlainWithoutATerminal(t *testing.T) {
	env, out, errs := testEnv()
	s := newSay(env)
	s.title("a part")
	s.now("doing it")
	s.command("director", "ipvsadm", "-Ln")
	s.block("", "a table\n  of two lines\n")
	s.verdict("dr", "30 requests", nil)
	s.verdict("nat", "", errors.New("no answer"))
	s.summary(0)
	want := "\na part\n  director# ipvsadm -Ln\n    a table\n      of two lines\n" +
		"ok     dr: 30 requests\nFAILED nat: no answer\n\n1 of 2 lines passed, in 0.0 s\n"
	if out.String() != want || errs.Len() > 0 {
		t.Errorf("got\n%s\nwant\n%s\nand on standard error %q", out, want, errs)
	}
}

func TestTailBeginsWithALine(t *testing.T) {
	p := &process{log: t.TempDir() + "/log"}
	if got := p.tail(); !strings.Contains(got, "no such file") {
		t.Errorf("tail of no file: %q", got)
	}
	writeFile(t, p.log, strings.Repeat("0123456789\n", 1000)+"the end\n")
	if got := p.tail(); len(got) > logTail || !strings.HasPrefix(got, "0123456789\n") || lastLine(got) != "the end" {
		t.Errorf("tail: %q", got)
	}
}
