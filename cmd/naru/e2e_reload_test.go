package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"naru/internal/cli"
	"naru/internal/lab"
)

// fiveMistakes is a file with one on each of five lines.
const fiveMistakes = `vips: ours
services:
  - name: web
    vip: 192.168.1.5
    port: 80
    colour: blue
    reals: [{address: 192.168.1.11, weight: 70000}]
  - vip: 192.168.1.5
    port: 80
    scheduler: fastest
`

func TestFileWithFiveMistakesChangesNothing(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run(web("dr"))
	r.settled()
	holds := r.hold(3)
	saved, before := r.ipvsadm("-S", "-n"), r.machine()
	path := r.write(fiveMistakes)
	for _, args := range [][]string{{"reload"}, {"config", "check", path}, {"plan", path}} {
		res := r.try(lab.Director, "naru", args...)
		r.refused(res, cli.Usage, "ours", "colour", "70000", "is a service already", "fastest")
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(res.err), "\n"), func(line string) bool {
			return strings.HasPrefix(line, "naru: hint: ")
		})
		for i, at := range []string{":1:", ":6:", ":7:", ":8:", ":10:"} {
			if len(lines) != 5 || !strings.HasPrefix(lines[i], "naru: error: "+path+at) {
				t.Fatalf("naru %s says not in five lines where the mistakes are:\n%s", args[0], res.err)
			}
		}
	}
	if err := r.daemon.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.until("the log says that the signal's reload was refused", func() error {
		if log := r.log(); !strings.Contains(log, "reload refused") || !strings.Contains(log, "colour") {
			return fmt.Errorf("it says\n%s", log)
		}
		return nil
	})
	if now := r.ipvsadm("-S", "-n"); now != saved {
		t.Errorf("the table was\n%sand is\n%s", saved, now)
	}
	if now := r.machine(); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("the machine was\n%s\nand is\n%s", before, now)
	}
	for _, h := range holds {
		r.asks(h)
	}
	r.byTurns(r.ask(6), 3)
	r.stop()
	res := r.try(lab.Director, "naru", "run", "-c", path)
	r.refused(res, cli.Usage, "colour", "fastest")
	r.byTurns(r.ask(6), 3) // what the last daemon left goes on
}

func TestReloadBySignalAndByCommand(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run(web("dr"))
	r.settled()
	holds := r.hold(3)

	r.write("services:\n" + service("web", "tcp", 80, "rr", "dr", realsOf("dr", "")[:2]...) + service("dns", "udp", 53, "rr", "dr", realsOf("dr", "")...))
	if err := r.daemon.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.until("the signal's reload is done", func() error {
		if table := r.ipvsadm("-Ln"); !strings.Contains(table, "UDP  192.168.1.5:53 rr") {
			return fmt.Errorf("the table is\n%s", table)
		}
		return nil
	})
	r.settled()
	r.byTurns(r.ask(6), 2)
	r.byTurns(r.datagrams(6), 3)

	r.write(web("dr"))
	out := r.must(lab.Director, "naru", "reload")
	for _, want := range []string{"udp:192.168.1.5:53", "192.168.1.13:80"} {
		if !strings.Contains(out, want) {
			t.Errorf("reload says no %q:\n%s", want, out)
		}
	}
	if out := r.must(lab.Director, "naru", "reload"); !strings.Contains(out, "nothing changed") {
		t.Errorf("a second reload says\n%s", out)
	}
	r.settled()
	r.byTurns(r.ask(6), 3)
	kept := 0
	for _, h := range holds {
		if h.Real != lab.Real(3) { // whose real was gone for a while
			r.asks(h)
			kept++
		}
	}
	if kept != 2 {
		t.Errorf("%d conns are of the reals that stayed, want 2", kept)
	}
}

func TestEditsOutliveReloadAndRestart(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	file := "services:\n" + service("web", "tcp", 80, "rr", "dr", realsOf("dr", "")[:2]...)
	r.run(file)
	r.settled()
	r.ipvsadm("-e", "-t", "192.168.1.5:80", "-r", "192.168.1.11:80", "-w", "7")
	r.ipvsadm("-a", "-t", "192.168.1.5:80", "-r", "192.168.1.13:80", "-g", "-w", "3")
	r.ipvsadm("-A", "-u", "192.168.1.5:53", "-s", "wrr")
	r.ipvsadm("--set", "600", "0", "0")
	edited := r.ipvsadm("-S", "-n")
	for _, want := range []string{"192.168.1.11:80 -g -w 7", "192.168.1.13:80 -g -w 3", "-A -u 192.168.1.5:53 -s wrr"} {
		if !strings.Contains(edited, want) {
			t.Fatalf("no %q in\n%s", want, edited)
		}
	}
	same := func(after string) {
		t.Helper()
		if now := r.ipvsadm("-S", "-n"); now != edited {
			t.Errorf("%s the table was\n%sand is\n%s", after, edited, now)
		}
		if timeouts := r.ipvsadm("-L", "--timeout"); !strings.Contains(timeouts, "600 120 300") {
			t.Errorf("%s: %s", after, timeouts)
		}
	}
	if out := r.must(lab.Director, "naru", "reload"); !strings.Contains(out, "nothing changed") {
		t.Errorf("reload of the same file says\n%s", out)
	}
	same("after a reload")
	r.stop()
	r.run(file)
	same("after a restart")
	r.daemon.kill()
	r.run(file)
	same("after kill -9")
	r.must(lab.Director, "naru", "off")
	r.run(file)
	same("after off")
}

func TestWhatTheFileOwnsStays(t *testing.T) {
	r := newRig(t)
	r.run(web("dr"))
	path := r.dir + "/naru.yaml"
	file := r.ipvsadm("-S", "-n")
	for _, args := range [][]string{
		{"-d", "-t", "192.168.1.5:80", "-r", "192.168.1.11:80"},
		{"-D", "-t", "192.168.1.5:80"},
		{"-E", "-t", "192.168.1.5:80", "-s", "wlc"},
	} {
		if res := r.try(lab.Director, "ipvsadm", args...); res.code == 0 || !strings.Contains(res.err, path+":2") {
			t.Errorf("ipvsadm %s: exit %d, names no place:\n%s", args, res.code, res.err)
		}
	}
	r.ipvsadm("-e", "-t", "192.168.1.5:80", "-r", "192.168.1.11:80", "-m", "-w", "5") // -m does not change its forward
	if table := r.ipvsadm("-S", "-n"); !strings.Contains(table, "192.168.1.11:80 -g -w 5") {
		t.Errorf("after -e the table is\n%s", table)
	}
	r.ipvsadm("-A", "-t", "192.168.1.5:8080")
	res := r.try(lab.Director, "ipvsadm", "-C")
	if res.code != 0 || strings.Count(res.err, "\n") != 1 || !strings.Contains(res.err, path) {
		t.Errorf("-C: exit %d, and says not in one line what stays:\n%s", res.code, res.err)
	}
	if table := r.ipvsadm("-S", "-n"); table != file {
		t.Errorf("after -C the table is\n%swant the file's\n%s", table, file)
	}
}

// Reload says which edit the file put an end to.
func TestReloadTellsWhichEditEnded(t *testing.T) {
	r := newRig(t)
	r.run("services:\n" + service("web", "tcp", 80, "rr", "dr", realsOf("dr", "")[:2]...))
	r.ipvsadm("-a", "-t", "192.168.1.5:80", "-r", "192.168.1.13:80", "-g", "-w", "3")
	if err := os.WriteFile(r.dir+"/naru.yaml", []byte(web("dr")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := r.must(lab.Director, "naru", "reload"); !strings.Contains(out, "edit ended: real 192.168.1.13:80") {
		t.Errorf("reload says\n%s", out)
	}
}
