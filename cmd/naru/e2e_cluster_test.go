package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"naru/internal/lab"
)

// vip is the service that the client asks.
func vip(port uint16) netip.AddrPort { return netip.AddrPortFrom(lab.VIP(), port) }

// ask sends n requests to the VIP, each on a conn of its own, and returns who answered.
func (r *rig) ask(n int) []string {
	r.Helper()
	return r.askAt(vip(80), n)
}

func (r *rig) askAt(to netip.AddrPort, n int) []string {
	r.Helper()
	client := r.HTTP(lab.HTTPOptions{Timeout: answer})
	var names []string
	for i := range n {
		name, err := lab.Get(r.Context(), client, to)
		if err != nil {
			r.Fatalf("request %d to %s: %v", i+1, to, err)
		}
		names = append(names, name)
	}
	return names
}

// byTurns fails unless each run of so many answers names so many reals, always in the
// same order.
func (r *rig) byTurns(names []string, reals int) {
	r.Helper()
	round := slices.Sorted(slices.Values(names[:min(reals, len(names))]))
	turns := len(slices.Compact(round)) == reals
	for i := range names {
		turns = turns && names[i] == names[i%reals]
	}
	if !turns {
		r.Errorf("not by turns of %d: %q", reals, names)
	}
}

// realsUp makes every real one of a forward by naru real.
func (r *rig) realsUp(forward string) {
	r.Helper()
	args := []string{"real", "up", "--vip", lab.VIP().String(), "--forward", forward}
	switch forward {
	case "nat":
		args = append(args, "--gateway", lab.DirectorBack().String())
	case "tun":
		args = append(args, "--director", lab.DirectorFront().String())
	}
	for i := 1; i <= r.Reals(); i++ {
		r.must(lab.Real(i), "naru", args...)
	}
}

// realsDown undoes realsUp.
func (r *rig) realsDown() {
	r.Helper()
	for i := 1; i <= r.Reals(); i++ {
		r.must(lab.Real(i), "naru", "real", "down")
	}
}

// addressOf returns where a forward finds a real.
func addressOf(forward string, i int) netip.Addr {
	if forward == "nat" {
		return lab.RealBack(i)
	}
	return lab.RealFront(i)
}

// service is the text of a service in the configuration.
func service(name, protocol string, port uint16, scheduler, forward string, reals ...string) string {
	return fmt.Sprintf("  - {name: %s, protocol: %s, vip: %s, port: %d, scheduler: %s, forward: %s, reals: [%s]}\n",
		name, protocol, lab.VIP(), port, scheduler, forward, strings.Join(reals, ", "))
}

// realsOf are all reals' addresses, each followed by the suffix.
func realsOf(forward, suffix string) (all []string) {
	for i := 1; i <= 3; i++ {
		all = append(all, strconv.Quote(addressOf(forward, i).String()+suffix))
	}
	return all
}

// web is a configuration of one service over all reals by turns.
func web(forward string) string {
	return "services:\n" + service("web", "tcp", 80, "rr", forward, realsOf(forward, "")...)
}
