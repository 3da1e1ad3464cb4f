package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"naru/internal/api"
	"naru/internal/lab"
)

func TestPlanSaysWhatRunDoesAndThenNothing(t *testing.T) {
	r := newRig(t)
	r.realsUp("nat")
	before := r.machine()
	path := r.write(web("nat"))
	planned := r.must(lab.Director, "naru", "plan", path)
	for _, want := range []string{
		"add service tcp:192.168.1.5:80 rr", "add real 10.0.0.11:80", "add 192.168.1.5/32 to eth0 and announce it",
		"set net.ipv4.ip_forward to 1", "put the packet path on eth0", "put the packet path on eth1",
	} {
		if !strings.Contains(planned, want) {
			t.Errorf("no %q in\n%s", want, planned)
		}
	}
	if diff := cmp.Diff(before, r.machine()); diff != "" {
		t.Errorf("plan changed the machine (-before +after):\n%s", diff)
	}
	r.nothingPinned()
	if _, err := os.Stat(api.RunDir(r.instance)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("plan made %s (%v)", api.RunDir(r.instance), err)
	}

	r.run(web("nat"))
	r.settled()
	nothing := func(when string) {
		t.Helper()
		if again := r.must(lab.Director, "naru", "plan", path); strings.TrimSpace(again) != "nothing would change" {
			t.Errorf("%s, plan says\n%s", when, again)
		}
	}
	nothing("while it runs")
	r.stop()
	nothing("after a stop")
	changed := r.write("services:\n" + service("web", "tcp", 80, "wrr", "nat", realsOf("nat", "")[:2]...))
	if edited := r.must(lab.Director, "naru", "plan", changed); !strings.Contains(edited, "10.0.0.13:80") || !strings.Contains(edited, "wrr") {
		t.Errorf("of a changed file plan says\n%s", edited)
	}
	r.run(web("nat"))
	r.settled()
	nothing("after a restart")
	r.must(lab.Director, "naru", "off")
	if again := r.must(lab.Director, "naru", "plan", path); again != planned {
		t.Errorf("before the first start plan said\n%sand after off\n%s", planned, again)
	}
}

func TestSecondStartChangesNothing(t *testing.T) {
	r := newRig(t)
	r.realsUp("nat")
	r.run(web("nat"))
	r.settled()
	r.ask(3)
	saved, before := r.ipvsadm("-S", "-n"), r.machine()
	r.stop()
	os.Remove(r.logFile())
	r.run(web("nat"))
	r.settled()
	if log := r.log(); strings.Contains(log, "change=") {
		t.Errorf("it logs a change:\n%s", log)
	}
	if now := r.ipvsadm("-S", "-n"); now != saved {
		t.Errorf("the table was\n%sand is\n%s", saved, now)
	}
	if diff := cmp.Diff(before, r.machine()); diff != "" {
		t.Errorf("the machine after the first and the second start (-first +second):\n%s", diff)
	}
	services, err := r.services()
	if err != nil || services[0].Counters.Conns != 3 {
		t.Errorf("the counters do not go on: %v", services)
	}
}
