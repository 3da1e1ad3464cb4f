package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"naru/internal/model"
)

// This file holds the kinds of values that our keys have.

// uints is an unsigned type of a number in a file.
type uints interface{ ~uint16 | ~uint32 }

// numberOf is a whole number from low to high, in decimal.
func numberOf[V uints](low, high V) value[V] {
	want := fmt.Sprintf("a number from %d to %d", low, high)
	return value[V]{
		schema: schema{"type": "integer", "minimum": low, "maximum": high},
		read: func(s scope, key string, n node) (V, bool) {
			plain, negative := strings.CutPrefix(n.text, "-")
			if n.kind != number || !decimal.MatchString(plain) {
				if n.kind == text && decimal.MatchString(plain) {
					s.fault(n.place, "leave the quotes out", "%s is %q", key, n.text)
				} else {
					s.wrong(n, key, want)
				}
				return 0, false
			}
			got, err := strconv.ParseUint(plain, 10, 64)
			if negative && got != 0 || err != nil || got < uint64(low) || got > uint64(high) {
				s.fault(n.place, "", "%s %s is out of range: use %d to %d", key, n.text, low, high)
				return 0, false
			}
			return V(got), true
		},
	}
}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

// oneOf is one of a few words; parse knows them, as a sentence if it does not.
func oneOf[V any](parse func(string) (V, error), words ...string) value[V] {
	want := strings.Join(words, " or ")
	if len(words) > 2 {
		want = "one of " + strings.Join(words, ", ")
	}
	return value[V]{
		schema: schema{"enum": words},
		read: func(s scope, key string, n node) (v V, ok bool) {
			if n.kind != text {
				s.wrong(n, key, want)
				return v, false
			}
			v, err := parse(n.text)
			if err != nil {
				s.fault(n.place, "", "%v", err)
				return v, false
			}
			return v, true
		},
	}
}

func protocolValue() value[model.Protocol] { return oneOf(model.ParseProtocol, "tcp", "udp") }

func forwardValue() value[model.Forward] { return oneOf(model.ParseForward, "dr", "nat", "tun") }

func schedulerValue() value[model.Scheduler] {
	return oneOf(model.ParseScheduler, model.Schedulers()...)
}

// A name is an argument of commands, a label of metrics and a word in sentences, so
// it has no blanks, no colon (a service's key has them) and no leading dash.
var namePattern = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9][A-Za-z0-9._-]{0,%d}$`, maxName-1))

// nameValue is the name of a service or real. It may not read as an address, by
// which commands name reals too.
func nameValue() value[string] {
	return value[string]{
		schema: schema{"type": "string", "pattern": namePattern.String()},
		read: func(s scope, key string, n node) (string, bool) {
			if n.kind != text {
				s.wrong(n, key, "a word such as web-1, in quotes if it looks like a number")
				return "", false
			}
			if !namePattern.MatchString(n.text) {
				s.fault(n.place, fmt.Sprintf("use 1 to %d letters, digits, dots, dashes and underscores, a letter or digit first", maxName),
					"%s %q cannot be used", key, n.text)
				return "", false
			}
			if _, err := netip.ParseAddr(n.text); err == nil {
				s.fault(n.place, "give it a name of its own", "%s %q reads as an address", key, n.text)
				return "", false
			}
			return n.text, true
		},
	}
}

// The schema's idea of an address is rough and knows IPv4 only, as this version does;
// package model judges what it is good for.
const addressPattern = `^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`

// addrValue is an address without a port.
func addrValue(example string) value[netip.Addr] {
	return value[netip.Addr]{
		schema: schema{"type": "string", "pattern": addressPattern + "$"},
		read: func(s scope, key string, n node) (netip.Addr, bool) {
			if n.kind != text {
				s.wrong(n, key, "an address such as "+example)
				return netip.Addr{}, false
			}
			addr, err := netip.ParseAddr(n.text)
			if err == nil {
				return addr, true
			}
			hint := "write one such as " + example
			if ap, err := netip.ParseAddrPort(n.text); err == nil {
				hint = fmt.Sprintf("leave the port out: %s", ap.Addr())
			} else if p, err := netip.ParsePrefix(n.text); err == nil {
				hint = fmt.Sprintf("leave /%d out: %s", p.Bits(), p.Addr())
			}
			s.fault(n.place, hint, "%s %q is not an address", key, n.text)
			return addr, false
		},
	}
}

// addrPortValue is an address, with or without a port; without one the port is 0.
func addrPortValue(example string) value[netip.AddrPort] {
	alone := addrValue(example)
	return value[netip.AddrPort]{
		schema: schema{"type": "string", "pattern": addressPattern + "(:[0-9]+)?$"},
		read: func(s scope, key string, n node) (netip.AddrPort, bool) {
			if n.kind == text {
				if ap, err := netip.ParseAddrPort(n.text); err == nil {
					if ap.Port() == 0 { // 0 would read as none
						s.fault(n.place, "", "port 0 is out of range: use 1 to 65535")
						return ap, false
					}
					return ap, true
				}
			}
			addr, ok := alone.read(s, key, n)
			return netip.AddrPortFrom(addr, 0), ok
		},
	}
}

var durationPattern = regexp.MustCompile(`^([0-9]+h)?([0-9]+m)?([0-9]+s)?$`)

// secondsValue is an idle time: a number of seconds, or hours, minutes and seconds.
func secondsValue() value[model.Seconds] {
	const want = "a number of seconds, or a time such as 15m"
	plain := numberOf(1, model.MaxTimeout)
	return value[model.Seconds]{
		schema: schema{"anyOf": []schema{plain.schema,
			{"type": "string", "pattern": durationPattern.String(), "minLength": 2}}},
		read: func(s scope, key string, n node) (model.Seconds, bool) {
			if n.kind == number {
				return plain.read(s, key, n)
			}
			if n.kind != text || n.text == "" || !durationPattern.MatchString(n.text) {
				s.wrong(n, key, want)
				return 0, false
			}
			got, err := time.ParseDuration(n.text)
			if err != nil || got < time.Second || got > model.MaxTimeout.Duration() {
				s.fault(n.place, "", "%s %s is out of range: use 1s to %.0fh", key, n.text, model.MaxTimeout.Duration().Hours())
				return 0, false
			}
			return model.Seconds(got / time.Second), true
		},
	}
}

// interfaceFault says why a link cannot have the name, as dev_valid_name of the kernel
// (net/core/dev.c) has it, or "".
func interfaceFault(name string) string {
	bad := func(r rune) bool {
		return r == '/' || r == ':' || r > unicode.MaxASCII || unicode.IsSpace(r) || unicode.IsControl(r)
	}
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsFunc(name, bad):
		return fmt.Sprintf("interface %q cannot be the name of one", name)
	case len(name) > maxInterface:
		return fmt.Sprintf("interface %q is longer than %d characters", name, maxInterface)
	}
	return ""
}

// interfacePattern says the same to a schema.
var interfacePattern = fmt.Sprintf(`^[^/:\s\p{C}]{1,%d}$`, maxInterface)

// interfaceValue is the name of a link of this machine.
func interfaceValue() value[string] {
	return value[string]{
		schema: schema{"type": "string", "pattern": interfacePattern},
		read: func(s scope, key string, n node) (string, bool) {
			if n.kind != text {
				s.wrong(n, key, "the name of an interface such as eth0")
				return "", false
			}
			if why := interfaceFault(n.text); why != "" {
				s.fault(n.place, "write a name that ip link shows", "%s", why)
				return "", false
			}
			return n.text, true
		},
	}
}

// listOf is a list; label is what an item is called in sentences. Items that cannot
// be read keep their place in the list, so that numbers in later faults are the file's.
func listOf[V any](want string, item value[V], label func(i int, n node) string) value[[]V] {
	return value[[]V]{
		schema: orNull(schema{"type": "array", "items": item.schema}),
		read: func(s scope, key string, n node) ([]V, bool) {
			if n.kind != list && n.kind != empty {
				s.wrong(n, key, want)
				return nil, false
			}
			all := true
			out := make([]V, len(n.items))
			for i, one := range n.items {
				var ok bool
				out[i], ok = item.read(s, label(i, one), one)
				all = all && ok
			}
			return out, all
		},
	}
}
