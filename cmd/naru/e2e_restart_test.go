package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"naru/internal/api"
	"naru/internal/lab"
)

func TestKilledDaemonFailsNoRequest(t *testing.T) {
	r := newRig(t)
	for _, forward := range []string{"dr", "nat", "tun"} {
		t.Run(forward, func(t *testing.T) {
			r := r.sub(t)
			r.realsUp(forward)
			r.run(web(forward))
			r.settled()
			saved := r.ipvsadm("-S", "-n")
			load := r.startLoad()
			load.more(50)
			r.daemon.kill()
			r.gone()
			load.more(100)
			r.run(web(forward))
			load.more(50)
			load.stop()
			if now := r.ipvsadm("-S", "-n"); now != saved {
				t.Errorf("the table was\n%sand is\n%s", saved, now)
			}
			r.countsAreTheTables()
			t.Logf("%s: %d requests on new conns, %d on held ones, one download", forward, load.fresh.Load(), load.held.Load())
			r.realsDown()
		})
	}
}

// The packet path keeps its records, its counters and its place in the round over a
// daemon's end, whichever way that comes.
func TestStoppedDaemonLeavesForwardingOn(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run(web("dr"))
	r.settled()
	holds := r.hold(3)
	r.stop()
	r.gone()
	r.byTurns(r.ask(6), 3)
	for _, h := range holds {
		r.asks(h)
	}
	r.run(web("dr"))
	r.settled()
	for _, h := range holds {
		r.asks(h)
	}
	services, err := r.services()
	if err != nil {
		t.Fatal(err)
	}
	if conns := services[0].Counters.Conns; conns != 3+6 {
		t.Errorf("%d conns counted, want 9: the counters go on", conns)
	}
	r.countsAreTheTables()
}

// "ip netns exec" gives a mount namespace of its own, which ends with the daemon.
func TestPinsSurviveADaemonOfIPNetnsExec(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	config := r.write(web("dr"))
	start := func() {
		r.start(r.Command(context.Background(), lab.Switch, "ip", "netns", "exec", r.instance+"-"+lab.Director, "naru", "run", "-c", config))
		r.ready()
		r.settled()
	}
	start()
	holds := r.hold(3)
	load := r.startLoad()
	load.more(30)
	r.daemon.kill()
	load.more(60)
	start()
	load.more(30)
	load.stop()
	for _, h := range holds {
		r.asks(h)
	}
	r.countsAreTheTables()
	r.daemon.kill()
	if out := r.must(lab.Switch, "ip", "netns", "exec", r.instance+"-"+lab.Director, "naru", "off", "--instance", r.instance); !strings.Contains(out, "removed the tables") {
		t.Errorf("off from a namespace like the daemon's says\n%s", out)
	}
	if left, _ := filepath.Glob(api.BPFDir(r.instance) + "/*"); len(left) > 0 {
		t.Errorf("pins are left: %q", left)
	}
}
