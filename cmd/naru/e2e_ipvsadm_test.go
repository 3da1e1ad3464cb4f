package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"naru/internal/daemon"
	"naru/internal/lab"
)

// byHand is the part of LVS's guides that ipvsadm is not: the VIP on the director's
// interface. The daemon has no file, or an empty one where this machine has its own.
func (r *rig) byHand() {
	r.Helper()
	args := []string{"run"}
	if _, err := os.Stat(daemon.DefaultConfig); err == nil {
		args = append(args, "-c", r.write(""))
	}
	r.start(r.Command(context.Background(), lab.Director, "naru", args...))
	r.ready()
	r.holdVIP()
}

func (r *rig) holdVIP() {
	r.Helper()
	err := r.AddAddress(lab.Director, lab.Front, netip.PrefixFrom(lab.VIP(), 32))
	if err != nil && !strings.Contains(err.Error(), "exists") {
		r.Fatal(err)
	}
}

func TestIPVSAdmMakesAClusterByEachForward(t *testing.T) {
	r := newRig(t)
	if err := r.Serve(lab.Director, lab.DefaultPorts); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ forward, option, word string }{
		{"dr", "-g", "Route"}, {"nat", "-m", "Masq"}, {"tun", "-i", "Tunnel"},
	} {
		t.Run(tt.option, func(t *testing.T) {
			r := r.sub(t)
			r.setUpClassic(tt.forward)
			r.byHand()
			first, second := addressOf(tt.forward, 1).String(), addressOf(tt.forward, 2).String()
			r.ipvsadm("-A", "-t", "192.168.1.5:80", "-s", "wlc")
			r.ipvsadm("-a", "-t", "192.168.1.5:80", "-r", first+":80", tt.option, "-w", "5")
			r.ipvsadm("-a", "-t", "192.168.1.5:80", "-r", second+":80", tt.option, "-w", "10")
			r.settled()
			r.lists("TCP 192.168.1.5:80 wlc", "-> "+first+":80 "+tt.word+" 5 0 0", "-> "+second+":80 "+tt.word+" 10 0 0")

			holds := r.holdByWLC(150)
			r.lists("TCP 192.168.1.5:80 wlc", "-> "+first+":80 "+tt.word+" 5 50 0", "-> "+second+":80 "+tt.word+" 10 100 0")
			if err := holds.Close(); err != nil {
				t.Error(err)
			}

			r.ipvsadm("-E", "-t", "192.168.1.5:80", "-s", "rr")
			r.byTurns(r.ask(10), 2)
			r.ipvsadm("-a", "-t", "192.168.1.5:80", "-r", "127.0.0.1", tt.option)
			names := r.ask(9)
			r.byTurns(names, 3)
			if !slices.Contains(names, lab.Director) {
				t.Errorf("the director serves none of %q", names)
			}
			r.ipvsadm("-C")
			r.lists()
			if name, err := lab.Get(t.Context(), r.HTTP(lab.HTTPOptions{Timeout: answer}), vip(80)); err != nil || name != lab.Director {
				t.Errorf("without a service the VIP is the director's like any address: %q answers, %v", name, err)
			}
		})
	}
}

// setUpClassic sets the reals up as the guides do by hand, save that no kernel module
// takes tunnels apart.
func (r *rig) setUpClassic(forward string) {
	r.Helper()
	switch forward {
	case "dr":
		for i := 1; i <= 2; i++ {
			if err := r.ClassicReal(i); err != nil {
				r.Fatal(err)
			}
		}
	case "tun":
		r.realsUp("tun")
	}
}

// lists holds what ipvsadm -Ln shows below its heading against rows of words.
func (r *rig) lists(rows ...string) {
	r.Helper()
	r.until("ipvsadm -Ln shows the table", func() error {
		table := r.ipvsadm("-Ln")
		var have []string
		for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
			if i >= 3 {
				have = append(have, strings.Join(strings.Fields(line), " "))
			}
		}
		if !slices.Equal(have, rows) {
			return errors.New("it shows\n" + table)
		}
		return nil
	})
}

// holdByWLC opens conns and fails unless each goes where wlc sends it, which has real1
// with weight 5 and, added later and so taken first of equals, real2 with weight 10.
func (r *rig) holdByWLC(n int) lab.Holds {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	holds, err := r.Hold(ctx, n, netip.Addr{}, vip(80))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { holds.Close() })
	one, two := 0, 0
	for i, h := range holds {
		want := "real2"
		if one*10 < two*5 {
			want = "real1"
			one++
		} else {
			two++
		}
		if h.Real != want {
			r.Fatalf("conn %d with %d and %d held is %s's, want %s", i+1, one, two, h.Real, want)
		}
	}
	return holds
}

func TestIPVSAdmFindsTheDirectorOfItsNamespace(t *testing.T) {
	r := newRig(t)
	r.run(web("dr"))
	cmd := r.Command(t.Context(), lab.Director, "ipvsadm", "-Ln")
	cmd.Env = r.environ("") // no instance named
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "192.168.1.5:80 rr") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestIPVSAdmRestoreIsAllOrNothing(t *testing.T) {
	r := newRig(t)
	r.run("")
	r.ipvsadm("-A", "-t", "192.168.1.5:80", "-s", "wrr")
	r.ipvsadm("-a", "-t", "192.168.1.5:80", "-r", "192.168.1.11", "-g", "-w", "7")
	r.ipvsadm("-A", "-u", "192.168.1.5:53", "-s", "rr")
	saved := r.ipvsadm("-S", "-n")
	for name, text := range map[string]string{
		"a line that cannot be read":    "-A -t 192.168.1.5:8080 -s rr\n-A -t 192.168.1.5:8081 -s nonsense\n",
		"a line the director refuses":   "-A -t 192.168.1.5:8080 -s rr\n-a -t 192.168.1.5:9999 -r 192.168.1.12 -g\n",
		"a line that breaks the model":  "-A -t 192.168.1.5:8080 -s rr\n-a -t 192.168.1.5:8080 -r 192.168.1.12 -g -w 70000\n",
		"a line that does not belong":   "-A -t 192.168.1.5:8080 -s rr\n-L\n",
		"a real that is there already":  "-A -t 192.168.1.5:8080 -s rr\n-a -t 192.168.1.5:80 -r 192.168.1.11 -g\n",
		"a service that is there again": "-A -t 192.168.1.5:8080 -s rr\n-A -t 192.168.1.5:8080 -s rr\n",
	} {
		if res := r.feed(text, lab.Director, "ipvsadm", "-R"); res.code == 0 || !strings.Contains(res.err, "line 2") {
			t.Errorf("%s: exit %d:\n%s", name, res.code, res.err)
		}
		if now := r.ipvsadm("-S", "-n"); now != saved {
			t.Fatalf("%s: the table was\n%sand is\n%s", name, saved, now)
		}
	}
	r.ipvsadm("-C")
	if res := r.feed(saved, lab.Director, "ipvsadm", "-R"); res.code != 0 {
		t.Fatalf("exit %d:\n%s", res.code, res.err)
	}
	if now := r.ipvsadm("-S", "-n"); now != saved {
		t.Errorf("saved was\n%srestored\n%s", saved, now)
	}
}
