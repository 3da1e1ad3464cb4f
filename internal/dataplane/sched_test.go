package dataplane

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"naru/internal/model"
)

// opened opens n conns, from the same client and successive ports, and returns which
// reals took them.
func opened(t *testing.T, d *Dataplane, from netip.Addr, port, n int) string {
	t.Helper()
	var who []string
	for i := range n {
		c := netip.AddrPortFrom(from, uint16(port+i))
		send(t, d, build(t, frame{protocol: model.TCP, syn: true, from: c}))
		conn, ok := table(t, d)[c]
		if !ok {
			t.Fatalf("conn %d was not made: %v", i, counted(t, d))
		}
		who = append(who, fmt.Sprint(conn.Real.Addr().As4()[3]-10))
	}
	return strings.Join(who, " ")
}

// TestSchedulers holds what each scheduler decides for reals of these weights to what
// ip_vs of Linux 6.1 and 6.12 decides for the same, the reals being added one by one
// and the conns held. ip_vs lists the newest real first.
func TestSchedulers(t *testing.T) {
	for _, c := range []struct {
		scheduler model.Scheduler
		weights   []uint32
		want      string
	}{
		{model.RR, []uint32{1, 2, 3}, "3 2 1 3 2 1 3 2 1 3 2 1"},
		{model.RR, []uint32{1, 0, 1}, "3 1 3 1 3 1"},
		{model.WRR, []uint32{1, 2, 3}, "3 2 1 3 3 2 3 2 1 3 3 2"},
		{model.WRR, []uint32{5, 0}, "1 1 1"},
		{model.LC, []uint32{1, 2, 3}, "3 2 1 3 2 1 3 2 1 3 2 1"},
		{model.WLC, []uint32{1, 2, 3}, "3 2 1 3 2 3 3 2 1 3 2 3"},
	} {
		t.Run(fmt.Sprint(c.scheduler, c.weights), func(t *testing.T) {
			d := open(t, Options{})
			other := service{protocol: model.UDP, scheduler: c.scheduler, weights: []uint32{1}}.want()
			set(t, d, other) // so that the list does not begin at slot 0
			for n := range c.weights {
				want := service{protocol: model.TCP, scheduler: c.scheduler, weights: c.weights[:n+1]}.want()
				want.Services = append(want.Services, other.Services...)
				set(t, d, want)
			}
			if got := opened(t, d, client.Addr(), 20000, len(strings.Fields(c.want))); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestHashSchedulers holds sh and mh to what ip_vs of Linux 6.1 and 6.12 decides for
// these addresses, in the rings that package sched builds.
func TestHashSchedulers(t *testing.T) {
	for scheduler, want := range map[model.Scheduler]string{
		model.SH: "3 2 1 3 1 3 3 3 3",
		model.MH: "2 3 3 1 3 3 3 3 3",
	} {
		t.Run(scheduler.String(), func(t *testing.T) {
			d := open(t, Options{})
			w := service{protocol: model.TCP, scheduler: scheduler, weights: []uint32{1, 2, 3}}.want()
			for i := range w.Services[0].Reals {
				w.Services[0].Reals[i].Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(11 + i)}), 53)
			}
			w.Services[0].Port, w.Services[0].Protocol = 53, model.UDP
			set(t, d, w)
			var got []string
			for host := byte(1); host <= 9; host++ {
				from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, host}), 20000)
				send(t, d, build(t, frame{protocol: model.UDP, from: from, to: netip.AddrPortFrom(vip, 53)}))
				got = append(got, fmt.Sprint(table(t, d)[from].Real.Addr().As4()[3]-10))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestWeightZeroTakesNoNewConns quiesces each real in turn: the others take the new
// conns, and the conns that are there stay where they are.
func TestWeightZeroTakesNoNewConns(t *testing.T) {
	for _, scheduler := range []model.Scheduler{model.WLC, model.RR, model.WRR, model.LC} {
		t.Run(scheduler.String(), func(t *testing.T) {
			d := open(t, Options{})
			set(t, d, service{protocol: model.TCP, scheduler: scheduler, weights: []uint32{1, 1}}.want())
			opened(t, d, client.Addr(), 20000, 4)
			before := table(t, d)
			set(t, d, service{protocol: model.TCP, scheduler: scheduler, weights: []uint32{0, 1}}.want())
			if got := opened(t, d, client.Addr(), 21000, 4); got != "2 2 2 2" {
				t.Errorf("new conns went to %s", got)
			}
			for from := range before {
				_, out := send(t, d, build(t, frame{protocol: model.TCP, ack: true, from: from}))
				if want := realMAC(int(before[from].Real.Addr().As4()[3]) - 10); [6]byte(out[:6]) != want {
					t.Errorf("a packet of %s went to %x, want %x", from, out[:6], want)
				}
			}
		})
	}
}
