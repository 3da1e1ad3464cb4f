package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/lab"
)

func TestInterfaceThatIsNotThereIsRefused(t *testing.T) {
	r := newRig(t)
	before := r.machine()
	path := r.write("interfaces:\n  eth0: {}\n  eth9: {}\n" + web("dr"))
	for _, args := range [][]string{{"run", "-c", path}, {"plan", path}} {
		r.refused(r.try(lab.Director, "naru", args...), cli.Usage, "line 3", `"eth9" is not there`)
	}
	if diff := cmp.Diff(before, r.machine()); diff != "" {
		t.Errorf("the machine before and after (-before +after):\n%s", diff)
	}
	r.nothingPinned()

	r.run(web("dr"))
	saved := r.ipvsadm("-S", "-n")
	r.write("interfaces:\n  eth9: {}\nservices: []\n")
	r.refused(r.try(lab.Director, "naru", "reload"), cli.Usage, "line 2", `"eth9" is not there`)
	if now := r.ipvsadm("-S", "-n"); now != saved {
		t.Errorf("the table was\n%sand is\n%s", saved, now)
	}
}

func TestListedInterfacesAreTheOnlyOnes(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run("interfaces: {eth1: {}}\n" + web("dr"))
	r.settled()
	hooks := r.status().Hooks
	if len(hooks) != 1 || hooks[0].Interface != lab.Back {
		t.Errorf("hooks: %+v, want eth1 alone", hooks)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run(web("dr"))
	r.settled()
	before := r.machine()
	res := r.try(lab.Director, "naru", "run", "-c", r.write("services: []\n"))
	r.refused(res, cli.Failed, fmt.Sprint(r.daemon.Pid))
	if diff := cmp.Diff(before, r.machine()); diff != "" {
		t.Errorf("the machine before and after (-before +after):\n%s", diff)
	}
	r.byTurns(r.ask(6), 3)
}

func TestCommandsThatNeedRootSaySo(t *testing.T) {
	r := newRig(t)
	for _, args := range [][]string{{"run"}, {"plan"}, {"off"}, {"real", "up", "--vip", "192.168.1.5"}, {"real", "status"}} {
		cmd := exec.Command("/proc/self/exe", args...) // whose directory nobody may enter
		cmd.Args[0] = "naru"
		cmd.Dir = "/"
		cmd.Env = r.environ(lab.Director)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		var ended *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
			t.Fatal(err)
		}
		code := cmd.ProcessState.ExitCode()
		r.refused(result{err: errs.String(), code: code}, cli.Unable, "needs root", "naru: hint: try 'sudo naru "+args[0])
	}
}

func TestRealWhoseMACNeverResolvesIsSaidAndCounted(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run("services:\n" + service("web", "tcp", 80, "rr", "dr", "192.168.1.11", "192.168.1.99"))
	r.until("status says that a MAC is not known", func() error {
		out := r.must(lab.Director, "naru", "status")
		for line := range strings.Lines(out) {
			if strings.Contains(line, "192.168.1.99") && strings.Contains(line, "no MAC known") {
				return nil
			}
		}
		return errors.New(out)
	})
	r.until("the other real is reached", func() error {
		services, err := r.services()
		if err == nil && !slices.ContainsFunc(services[0].Reals, func(real api.Real) bool { return real.Reachable }) {
			err = errors.New("it is not")
		}
		return err
	})
	client := r.HTTP(lab.HTTPOptions{Timeout: 300 * time.Millisecond})
	r.until("one request is answered and one dropped", func() error {
		answered := 0
		for range 2 {
			if name, err := lab.Get(t.Context(), client, vip(80)); err == nil && name == lab.Real(1) {
				answered++
			}
		}
		if exits := r.status().Exits; answered != 1 || exits["drop_no_neighbour"] == 0 {
			return fmt.Errorf("%d of 2 answered, exits %v", answered, exits)
		}
		return nil
	})
}

func TestWeightZeroKeepsHeldConns(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run(web("dr"))
	r.settled()
	holds := r.hold(3)
	r.ipvsadm("-e", "-t", "192.168.1.5:80", "-r", "192.168.1.12:80", "-w", "0")
	names := r.ask(8)
	r.byTurns(names, 2)
	if slices.Contains(names, lab.Real(2)) {
		t.Errorf("real2 with weight 0 got new conns: %q", names)
	}
	for _, h := range holds {
		r.asks(h)
	}
	r.ipvsadm("-e", "-t", "192.168.1.5:80", "-r", "192.168.1.12:80", "-w", "1")
	r.byTurns(r.ask(6), 3)
}
