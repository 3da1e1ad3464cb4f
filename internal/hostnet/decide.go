package hostnet

import (
	"fmt"
	"maps"
	"slices"
)

// host is what was found on the host.
type host struct {
	links   map[string]link
	held    []Address
	sysctls map[string]reading // by path: all that are wanted or recorded
}

// reading is a sysctl's value, or why it cannot be read.
type reading struct {
	value string
	err   error
	gone  bool // there is no such sysctl
}

func (h host) holds(a Address) (held, exactly bool) {
	for _, x := range h.held {
		if x.Interface == a.Interface && x.Prefix.Addr() == a.Prefix.Addr() {
			held = true
			exactly = exactly || x.Prefix == a.Prefix
		}
	}
	return held, exactly
}

// verb is what a step does.
type verb uint8

// The verbs, in the order in which they are carried out. The last two touch only
// the ledger, or nothing.
const (
	removeAddress verb = iota
	setSysctl
	addAddress
	restoreSysctl
	forget
	keep
)

// step is one change to the host or the ledger.
type step struct {
	verb    verb
	text    string
	address Address      // of address steps
	path    string       // of sysctl steps
	value   string       // to write
	record  sysctlRecord // of setSysctl: the entry to write ahead
	arp     bool         // of addAddress: probe and announce
	err     error        // why it was not done
}

// failed returns a step that cannot be carried out.
func failed(v verb, format string, args ...any) step {
	return step{verb: v, err: fmt.Errorf(format, args...)}
}

// decide compares what is wanted, what the ledger says and what the host is like.
// Its steps are in the order in which they must be carried out; those that cannot
// be have their error already.
func decide(want Want, was record, h host) []step {
	steps := slices.Concat(
		decideSysctls(want.Sysctls, was, h), dropSysctls(want.Sysctls, was, h),
		decideAddresses(want.Addresses, was, h), dropAddresses(want.Addresses, was, h))
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.verb) - int(b.verb) })
	return steps
}

// bare returns the address as the ledger knows it.
func (a Address) bare() Address { return Address{Prefix: a.Prefix, Interface: a.Interface} }

// decideAddresses decides about the wanted addresses.
func decideAddresses(want []Address, was record, h host) (steps []step) {
	seen := map[Address]bool{}
	for _, a := range want {
		if seen[a.bare()] {
			continue
		}
		seen[a.bare()] = true
		l, there := h.links[a.Interface]
		held, _ := h.holds(a)
		switch {
		case !there:
			steps = append(steps, failed(addAddress, "add %s: interface %q is not there: name one that \"ip link\" lists", a.Prefix, a.Interface))
		case held && !was.has(a):
			steps = append(steps, step{verb: keep, address: a, text: fmt.Sprintf("keep %s: it was there before naru and stays", a)})
		case held:
		case a.Announce && l.ARP && a.Prefix.Addr().Is4():
			steps = append(steps, step{verb: addAddress, address: a, arp: true, text: fmt.Sprintf("add %s to %s and announce it", a.Prefix, a.Interface)})
		default:
			steps = append(steps, step{verb: addAddress, address: a, text: fmt.Sprintf("add %s to %s", a.Prefix, a.Interface)})
		}
	}
	return steps
}

// dropAddresses decides about the recorded addresses that are no longer wanted.
func dropAddresses(want []Address, was record, h host) (steps []step) {
	for _, a := range was.addresses() {
		if slices.ContainsFunc(want, func(w Address) bool { return w.bare() == a }) {
			continue
		}
		if _, exactly := h.holds(a); exactly {
			steps = append(steps, step{verb: removeAddress, address: a, text: fmt.Sprintf("remove %s from %s", a.Prefix, a.Interface)})
		} else {
			steps = append(steps, step{verb: forget, address: a})
		}
	}
	return steps
}

// decideSysctls decides about the wanted sysctls.
func decideSysctls(want []Sysctl, was record, h host) (steps []step) {
	seen := map[string]Sysctl{}
	for _, s := range want {
		path, err := sysctlPath(s.Key)
		if err != nil {
			steps = append(steps, step{verb: setSysctl, err: err})
			continue
		}
		first, twice := seen[path]
		seen[path] = s
		if !twice {
			steps = append(steps, raise(s, path, was, h.sysctls[path]))
		} else if first.Value != s.Value || first.AtLeast != s.AtLeast {
			steps = append(steps, failed(setSysctl, "set %s: it is wanted as %s and as %s", s.Key, first.Value, s.Value))
		}
	}
	return steps
}

// raise decides about a wanted sysctl.
func raise(s Sysctl, path string, was record, now reading) step {
	name := sysctlName(path)
	switch {
	case now.gone:
		return failed(setSysctl, "set %s to %s: this kernel or host has no such sysctl", name, s.Value)
	case now.err != nil:
		return failed(setSysctl, "read sysctl %s: %w", name, now.err)
	case s.serves(now.value):
		return step{verb: keep}
	}
	entry := sysctlRecord{Found: now.value, Written: []string{s.Value}}
	if old, ours := was.Sysctls[path]; ours && slices.Contains(old.Written, now.value) {
		entry = sysctlRecord{Found: old.Found, Written: []string{now.value, s.Value}}
	}
	return step{
		verb: setSysctl, path: path, value: s.Value, record: entry,
		text: fmt.Sprintf("set %s to %s (found %s)", name, s.Value, now.value),
	}
}

// dropSysctls decides about the recorded sysctls that are no longer wanted.
func dropSysctls(want []Sysctl, was record, h host) (steps []step) {
	for _, path := range slices.Sorted(maps.Keys(was.Sysctls)) {
		if !slices.ContainsFunc(want, func(s Sysctl) bool {
			p, err := sysctlPath(s.Key)
			return err == nil && p == path
		}) {
			steps = append(steps, restore(path, was.Sysctls[path], h.sysctls[path]))
		}
	}
	return steps
}

// restore decides about one of them.
func restore(path string, entry sysctlRecord, now reading) step {
	name := sysctlName(path)
	switch {
	case now.gone, now.err == nil && now.value == entry.Found:
		return step{verb: forget, path: path}
	case now.err != nil:
		return failed(restoreSysctl, "read sysctl %s: %w", name, now.err)
	case slices.Contains(entry.Written, now.value):
		return step{
			verb: restoreSysctl, path: path, value: entry.Found,
			text: fmt.Sprintf("restore %s to %s", name, entry.Found),
		}
	}
	return step{
		verb: forget, path: path,
		text: fmt.Sprintf("leave %s at %s: somebody changed it since naru had set it to %s", name, now.value, entry.Written[len(entry.Written)-1]),
	}
}
