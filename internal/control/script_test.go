package control_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"naru/internal/control"
	"naru/internal/dataplane/dptest"
	"naru/internal/model"
	"naru/internal/plan"
)

// TestScripts gives a running Control files, edits and facts of the host, and shows its
// answers, the services it lists and the tables. The commands are in scripted.run.
func TestScripts(t *testing.T) {
	dptest.Scripts(t, func(t *testing.T, script *dptest.Script) {
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{t: t, rig: newRig(t)}
			script.Run(t, s.run)
		})
	})
}

type scripted struct {
	t *testing.T
	*rig
}

// run carries out one command:
//
//	file SECTION | plan SECTION    set or plan a file: see parseFile
//	host SECTION                   say what the host knows: see parseHost
//	edit EDIT | restore SECTION    one edit, or a list of them: see parseEdit
//	services | tables | stored     show the snapshot, the tables, the stored edits
//	conns REAL N | zeroed          be the packet path
//	wait DURATION | restart        let time pass, start another Control
//	store broken|mended            make saving fail
func (s *scripted) run(line string, file func(string) string) string {
	command, rest, _ := strings.Cut(line, " ")
	defer synctest.Wait()
	switch command {
	case "file":
		return answer(s.SetFile(s.t.Context(), parseFile(s.t, file(rest))))
	case "plan":
		var stored control.Edits
		check(s.t, s.store.Load(&stored))
		have, err := s.tables.Read()
		check(s.t, err)
		return answer(control.Plan(parseFile(s.t, file(rest)), stored, s.host, have, s.tables.Limits()))
	case "host":
		s.host = parseHost(s.t, file(rest))
		s.SetHost(s.host)
	case "edit":
		return answer(s.Edit(s.t.Context(), []model.Edit{parseEdit(s.t, rest)}))
	case "restore":
		var edits []model.Edit
		for l := range strings.Lines(file(rest)) {
			edits = append(edits, parseEdit(s.t, strings.TrimSpace(l)))
		}
		return answer(s.Edit(s.t.Context(), edits))
	default:
		return s.look(command, strings.Fields(rest))
	}
	return ""
}

func (s *scripted) look(command string, args []string) string {
	switch command {
	case "services":
		return listing(s.Snapshot())
	case "tables":
		return s.tables.String()
	case "stored":
		return s.store.String()
	case "conns":
		s.tables.SetConns(number(s.t, args[0]), number(s.t, args[1]))
	case "zeroed":
		return fmt.Sprint(s.tables.Zeroed())
	case "wait":
		d, err := time.ParseDuration(args[0])
		check(s.t, err)
		time.Sleep(d)
	case "restart":
		s.restart()
	case "store":
		s.store.Break(map[string]error{"broken": errors.New("no room left"), "mended": nil}[args[0]])
	default:
		s.t.Fatalf("command %q is unknown", command)
	}
	return ""
}

func answer(lines []string, err error) string {
	var r *model.Refusal
	switch {
	case errors.As(err, &r):
		text := fmt.Sprintf("refused: %s, edit %d: %s", r.Code, r.Edit, r.Message)
		if r.Hint != "" {
			text += " (" + r.Hint + ")"
		}
		return text
	case err != nil:
		return "error: " + err.Error()
	}
	return strings.Join(lines, "\n")
}

// listing shows a Snapshot, without the revision.
func listing(s *control.Snapshot) string {
	var b strings.Builder
	owner := func(o model.Owner) string {
		if o.Kind == model.FileOwner {
			return fmt.Sprintf("%s:%d", o.File, o.Line)
		}
		return string(o.Kind)
	}
	for _, v := range s.Services {
		fmt.Fprintf(&b, "%d %s %s %s held=%t %s\n", v.ID, v.Key, v.Title(), v.Scheduler, v.Held, owner(v.Owner))
		for _, r := range v.Reals {
			fmt.Fprintf(&b, "  %d %s %s weight=%d effective=%d reachable=%t %s\n",
				r.ID, r.Address, r.Forward, r.Weight, r.Effective, r.Reachable, owner(r.Owner))
		}
	}
	fmt.Fprintf(&b, "timeouts %d %d %d\n", s.Timeouts.TCP, s.Timeouts.TCPFin, s.Timeouts.UDP)
	for _, f := range s.Faults {
		fmt.Fprintln(&b, "fault:", f)
	}
	return b.String()
}

// parseFile reads lines "service KEY SCHEDULER [NAME]", "real ADDRESS FORWARD WEIGHT" and
// "timeouts TCP TCPFIN UDP"; the line numbers are those of the section.
func parseFile(t *testing.T, text string) control.File {
	f := control.File{Name: "naru.yaml"}
	n := 0
	for line := range strings.Lines(text) {
		n++
		w := strings.Fields(line)
		switch w[0] {
		case "service":
			s := control.FileService{Service: parseService(t, w[1:]), Line: n}
			f.Services = append(f.Services, s)
		case "real":
			s := &f.Services[len(f.Services)-1]
			s.Reals = append(s.Reals, parseReal(t, w[1:]))
			s.RealLines = append(s.RealLines, n)
		case "timeouts":
			f.Timeouts = parseTimeouts(t, w[1:])
		default:
			t.Fatalf("line %q is unknown", line)
		}
	}
	return f
}

// parseHost reads lines "via ADDRESS N", "local ADDRESS", "unresolved ADDRESS", "held VIP" and "free VIP".
func parseHost(t *testing.T, text string) model.Host {
	h := model.Host{Hops: make(map[netip.Addr]model.Hop), Held: make(map[netip.Addr]bool)}
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		a, err := netip.ParseAddr(w[1])
		check(t, err)
		switch w[0] {
		case "via":
			h.Hops[a] = model.Hop{Ifindex: 2, DstMAC: [6]byte{2, 0, 0, 0, 0, byte(number(t, w[2]))}}
		case "local":
			h.Hops[a] = model.Hop{Local: true}
		case "unresolved":
			h.Hops[a] = model.Hop{Ifindex: 2}
		case "held", "free":
			h.Held[a] = w[0] == "held"
		default:
			t.Fatalf("line %q is unknown", line)
		}
	}
	return h
}

// parseEdit reads "OP [KEY [SCHEDULER | ADDRESS [FORWARD WEIGHT]]]" and "set-timeouts TCP TCPFIN UDP".
func parseEdit(t *testing.T, line string) model.Edit {
	w := strings.Fields(line)
	e := model.Edit{Op: model.EditOp(w[0])}
	if e.Op == model.SetTimeouts {
		e.Timeouts = parseTimeouts(t, w[1:])
		return e
	}
	if len(w) > 1 {
		e.Service.Key = parseKey(t, w[1])
	}
	switch e.Op {
	case model.AddService, model.EditService:
		e.Service = parseService(t, w[1:])
	case model.AddReal, model.EditReal, model.DeleteReal:
		e.Real = parseReal(t, w[2:])
	}
	return e
}

func parseKey(t *testing.T, s string) model.Key {
	key, err := model.ParseKey(s)
	check(t, err)
	return key
}

func parseService(t *testing.T, w []string) model.Service {
	s := model.Service{Key: parseKey(t, w[0])}
	check(t, s.Scheduler.UnmarshalText([]byte(w[1])))
	if len(w) > 2 {
		s.Name = w[2]
	}
	return s
}

func parseReal(t *testing.T, w []string) model.Real {
	var r model.Real
	check(t, r.Address.UnmarshalText([]byte(w[0])))
	if len(w) > 2 {
		check(t, r.Forward.UnmarshalText([]byte(w[1])))
		r.Weight = number(t, w[2])
	}
	return r
}

func parseTimeouts(t *testing.T, w []string) model.Timeouts {
	return model.Timeouts{
		TCP: model.Seconds(number(t, w[0])), TCPFin: model.Seconds(number(t, w[1])), UDP: model.Seconds(number(t, w[2])),
	}
}

func number(t *testing.T, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	check(t, err)
	return uint32(n)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var limits = plan.Limits{Services: 20, Reals: 40}
