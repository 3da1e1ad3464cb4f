package ipvsadm

import (
	"slices"
	"strconv"
	"strings"

	"naru/internal/model"
)

// defaultWeight is that of a real added without -w.
const defaultWeight = 1

// parser is a line half read.
type parser struct {
	scanner
	c         Command
	seen      optionSet
	scheduler string // as written
}

// Parse reads the arguments of one invocation, without the program's name. Its error
// knows its exit code and is worded as ipvsadm words it.
func Parse(args []string) (Command, error) {
	p := &parser{scanner: scanner{args: args}}
	if len(args) == 0 {
		return Command{}, nil
	}
	if err := p.verb(); err != nil || p.c.Verb == Help || p.c.Verb == Version {
		return p.c, err
	}
	for {
		o, value, err := p.next()
		if err != nil {
			return p.c, err
		}
		if o == nil {
			return p.c, p.finish()
		}
		if err := p.take(o, value); err != nil {
			return p.c, err
		}
	}
}

// verb takes the first option, which must be a command.
func (p *parser) verb() error {
	o, _, err := p.next()
	if err != nil || o == nil || !o.isVerb() {
		return &usage{exitRefused, textTryHelp}
	}
	if o.id == optMissing {
		return notCarried(o.title())
	}
	p.c.Verb = o.verb
	if o.verb.weighs() {
		p.c.Weight = defaultWeight
	}
	return nil
}

// take enters one option into the command.
func (p *parser) take(o *option, value string) error {
	switch o.id {
	case optVerb:
		return usagef("invalid option `%s'", p.word)
	case optMissing:
		return notCarried(o.title())
	case optSort:
		return nil
	}
	if p.seen.has(o.id) {
		return usagef("multiple '%s' options specified", optionNames[o.id])
	}
	p.seen |= setOf(o.id)
	switch o.id {
	case optService, optReal:
		return p.place(o, value)
	case optScheduler:
		p.scheduler = value
	case optForward:
		p.c.Forwarded, p.c.Forward = true, forwardOf(o)
	case optWeight:
		n, ok := number(value, model.MaxWeight)
		if !ok {
			return usagef("illegal weight specified")
		}
		p.c.Weight = n
	case optTunType:
		return tunType(value)
	default:
		p.flag(o.id)
	}
	return nil
}

// place enters an address. A service address also says the protocol.
func (p *parser) place(o *option, value string) error {
	at, ok := parsePlace(value)
	if o.id == optReal {
		p.c.Real = at
		if !ok {
			return errReal
		}
		return nil
	}
	p.c.Service, p.c.Protocol = at, model.TCP
	if o.short == 'u' {
		p.c.Protocol = model.UDP
	}
	if !ok {
		return errService
	}
	return nil
}

func (p *parser) flag(id optionID) {
	switch id {
	case optNumeric:
		p.c.Numeric = true
	case optExact:
		p.c.Exact = true
	case optNoSort:
		p.c.NoSort = true
	case optJSON:
		p.c.JSON = true
	case optConns:
		p.c.View = Conns
	case optTimeout:
		p.c.View = Timeouts
	case optStats:
		p.c.View = Stats
	case optRate:
		if !p.seen.has(optStats) { // which wins over --rate
			p.c.View = Rates
		}
	}
}

// finish makes the checks that need the whole line, in ipvsadm's order.
func (p *parser) finish() error {
	if p.c.Verb == SetTimeouts {
		if err := p.timeouts(); err != nil {
			return err
		}
	}
	if len(p.free) > 0 {
		return usagef("unexpected argument %s", p.free[0])
	}
	if err := p.legal(); err != nil {
		return err
	}
	return p.schedulerNamed()
}

// timeouts takes the three words of --set.
func (p *parser) timeouts() error {
	if len(p.free) < 3 {
		return usagef("--set option requires 3 timeout values")
	}
	t := &p.c.Timeouts
	for i, at := range []*model.Seconds{&t.TCP, &t.TCPFin, &t.UDP} {
		n, ok := number(p.free[i], uint32(model.MaxTimeout))
		if !ok {
			return usagef("invalid timeout value `%s' specified", p.free[i])
		}
		*at = model.Seconds(n)
	}
	p.free = p.free[3:]
	return nil
}

// schedulerNamed reads the scheduler last, because it is the kernel that knows them.
func (p *parser) schedulerNamed() error {
	if p.scheduler == "" { // also as written: the kernel's default, too
		return nil
	}
	s, err := model.ParseScheduler(p.scheduler)
	p.c.Scheduler = s
	if err == nil {
		return nil
	}
	text := textNoScheduler
	if slices.Contains(kernelSchedulers, p.scheduler) {
		text += "\n" + err.Error()
	}
	return &usage{exitRefused, text}
}

// kernelSchedulers are those of ip_vs, whose users deserve more than "not found".
var kernelSchedulers = []string{
	"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
}

func forwardOf(o *option) model.Forward {
	switch o.short {
	case 'i':
		return model.TUN
	case 'm':
		return model.NAT
	}
	return model.DR
}

// tunType accepts the only tunnel there is; ipvsadm -S writes it on every -i line.
func tunType(value string) error {
	switch value {
	case "ipip":
		return nil
	case "gue", "gre":
		return notCarried("--tun-type " + value)
	}
	return usagef("illegal tunnel type specified")
}

// number reads an integer as C's strtol does with base 10, from 0 to most.
func number(s string, most uint32) (uint32, bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	digits := strings.TrimPrefix(s, "+")
	if rest, minus := strings.CutPrefix(s, "-"); minus {
		digits, most = rest, 0
	}
	if !allDigits(digits) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil && n <= uint64(most)
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
