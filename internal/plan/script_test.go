package plan_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"naru/internal/dataplane/dptest"
	"naru/internal/model"
	"naru/internal/plan"
)

// TestScripts reads wanted states as text and shows the steps, sentences and tables
// that follow. Commands: "want SECTION", "conns REAL N", "tables", "limits SERVICES REALS".
func TestScripts(t *testing.T) {
	dptest.Scripts(t, func(t *testing.T, script *dptest.Script) {
		limits := plan.Limits{Services: 100, Reals: 100}
		memory := dptest.NewMemory(t, limits)
		script.Run(t, func(line string, file func(string) string) string {
			f := strings.Fields(line)
			switch f[0] {
			case "want":
				return apply(t, memory, parseWant(t, file(f[1])), limits)
			case "conns":
				memory.SetConns(number(t, f[1]), number(t, f[2]))
			case "tables":
				return memory.String()
			case "limits":
				limits = plan.Limits{Services: number(t, f[1]), Reals: number(t, f[2])}
			default:
				t.Fatalf("command %q is unknown", line)
			}
			return ""
		})
	})
}

func apply(t *testing.T, m *dptest.Memory, want plan.Want, limits plan.Limits) string {
	have, err := m.Read()
	if err != nil {
		t.Fatal(err)
	}
	steps, err := plan.Diff(have, want, limits)
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintln(&b, s)
	}
	for _, line := range plan.Describe(steps, have) {
		fmt.Fprintln(&b, "*", line)
	}
	if err := m.Apply(steps); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parseWant reads lines "service KEY SCHEDULER [held]", "real ADDRESS FORWARD WEIGHT [local|via N|unresolved IFINDEX]"
// and "timeouts TCP TCPFIN UDP".
func parseWant(t *testing.T, text string) plan.Want {
	want := plan.Want{Timeouts: model.DefaultTimeouts}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch f[0] {
		case "service":
			key, err := model.ParseKey(f[1])
			check(t, err)
			scheduler, err := model.ParseScheduler(f[2])
			check(t, err)
			want.Services = append(want.Services, plan.Service{Key: key, Scheduler: scheduler, Held: len(f) > 3})
		case "real":
			s := &want.Services[len(want.Services)-1]
			s.Reals = append(s.Reals, parseReal(t, f[1:]))
		case "timeouts":
			want.Timeouts = model.Timeouts{
				TCP:    model.Seconds(number(t, f[1])),
				TCPFin: model.Seconds(number(t, f[2])), UDP: model.Seconds(number(t, f[3])),
			}
		default:
			t.Fatalf("line %q is unknown", line)
		}
	}
	return want
}

func parseReal(t *testing.T, f []string) plan.Real {
	address, err := netip.ParseAddrPort(f[0])
	check(t, err)
	forward, err := model.ParseForward(f[1])
	check(t, err)
	r := plan.Real{Address: address, Forward: forward, Weight: number(t, f[2])}
	if len(f) > 3 && f[3] == "local" {
		r.Forward, r.Hop = model.Local, model.Hop{Local: true}
	} else if len(f) > 4 && f[3] == "unresolved" {
		r.Hop = model.Hop{Ifindex: number(t, f[4]), MTU: 1500}
	} else if len(f) > 4 {
		r.Hop = model.Hop{Ifindex: 2, DstMAC: [6]byte{2, 0, 0, 0, 0, byte(number(t, f[4]))}}
	}
	return r
}

func number(t *testing.T, s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	check(t, err)
	return uint32(n)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
