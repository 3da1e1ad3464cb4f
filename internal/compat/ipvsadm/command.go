package ipvsadm

import (
	"strconv"

	"naru/internal/model"
)

// Verb is the command of an invocation, which its first option names.
type Verb uint8

// The verbs. The zero Verb is that of no arguments at all.
const (
	List Verb = iota
	AddService
	EditService
	DeleteService
	AddReal
	EditReal
	DeleteReal
	Clear
	Restore
	Save
	Zero
	SetTimeouts
	Help
	Version
)

// verbs holds, for each verb, what messages call it and the option that asks for it.
var verbs = [...]struct{ name, option string }{
	List:          {"list", "-L"},
	AddService:    {"add-service", "-A"},
	EditService:   {"edit-service", "-E"},
	DeleteService: {"delete-service", "-D"},
	AddReal:       {"add-server", "-a"},
	EditReal:      {"edit-server", "-e"},
	DeleteReal:    {"delete-server", "-d"},
	Clear:         {"flush", "-C"},
	Restore:       {"restore", "-R"},
	Save:          {"save", "-S"},
	Zero:          {"zero", "-Z"},
	SetTimeouts:   {"set", "--set"},
	Help:          {"help", "-h"},
	Version:       {"version", "-v"},
}

// String returns the verb as ipvsadm's messages name it.
func (v Verb) String() string { return verbs[v].name }

// View is what a list shows of the table.
type View uint8

// The views.
const (
	Table    View = iota // weights and conns of each real
	Stats                // counters
	Rates                // counters per second
	Conns                // the conn table
	Timeouts             // what --set sets
)

// Command is an invocation that Parse found to be well formed. Hosts and ports are as
// they were written: looking up names is for whoever carries the Command out.
type Command struct {
	Verb      Verb
	Protocol  model.Protocol // of Service; 0 if no service was named
	Service   Place
	Real      Place
	Scheduler model.Scheduler
	Forward   model.Forward
	Forwarded bool // -g, -i or -m was on the line
	Weight    uint32
	Timeouts  model.Timeouts
	View      View
	Numeric   bool
	Exact     bool
	NoSort    bool
	JSON      bool
}

// Args returns arguments that Parse reads as c.
func (c Command) Args() []string {
	args := []string{verbs[c.Verb].option}
	add := func(when bool, words ...string) {
		if when {
			args = append(args, words...)
		}
	}
	seconds := func(s model.Seconds) string { return strconv.FormatUint(uint64(s), 10) }
	add(c.Verb == SetTimeouts, seconds(c.Timeouts.TCP), seconds(c.Timeouts.TCPFin), seconds(c.Timeouts.UDP))
	add(c.Protocol != 0, serviceOption(c.Protocol), c.Service.String())
	add(c.Real != Place{}, "-r", c.Real.String())
	add(c.Scheduler != model.WLC, "-s", c.Scheduler.String())
	add(c.Forwarded, forwardOption(c.Forward))
	add(c.Weight != defaultWeight && c.Verb.weighs(), "-w", strconv.FormatUint(uint64(c.Weight), 10))
	add(c.View == Stats, "--stats")
	add(c.View == Rates, "--rate")
	add(c.View == Conns, "-c")
	add(c.View == Timeouts, "--timeout")
	add(c.Numeric, "-n")
	add(c.Exact, "--exact")
	add(c.NoSort, "--nosort")
	add(c.JSON, "--json")
	return args
}

// weighs says whether the verb sets a weight.
func (v Verb) weighs() bool { return v == AddReal || v == EditReal }

func serviceOption(p model.Protocol) string {
	if p == model.UDP {
		return "-u"
	}
	return "-t"
}

// forwardOption returns the option that asks for f. A Local real asked for none in
// particular: the kernel's default stands for it.
func forwardOption(f model.Forward) string {
	switch f {
	case model.NAT:
		return "-m"
	case model.TUN:
		return "-i"
	}
	return "-g"
}
