package main

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"naru/internal/lab"
)

// A real that comes back as another machine has another MAC. Most say so by gratuitous
// ARP; of one that does not the kernel finds out, here sooner than by default.
func TestChangedMACIsFollowed(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		name, forward, link string
		node, sysctl, value string
	}{
		{"announced", "dr", lab.Front, lab.Real(2), "ipv4/conf/eth0/arp_notify", "1"},
		{"silently", "nat", lab.Back, lab.Director, "ipv4/neigh/eth1/base_reachable_time_ms", "500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.sub(t)
			r.realsUp(tt.forward)
			for name, value := range map[string]string{tt.sysctl: tt.value, "ipv4/neigh/eth1/delay_first_probe_time": "1"} {
				if err := r.Sysctl(tt.node, name, value); err != nil {
					t.Fatal(err)
				}
			}
			r.run(web(tt.forward))
			r.settled()
			r.byTurns(r.ask(3), 3)
			mac := net.HardwareAddr{2, 0, 0, 0, 7, byte(len(tt.forward))}
			if err := r.onLink(lab.Real(2), tt.link, func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, mac) }); err != nil {
				t.Fatal(err)
			}
			r.allAnswer("after a real's MAC has changed")
			r.realsDown()
		})
	}
}

func TestLinkDownAndUpRecovers(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run(web("dr"))
	r.settled()
	down, up := netlink.LinkSetDown, netlink.LinkSetUp
	for _, tt := range []struct{ what, node, link string }{
		{"the director's interface", lab.Director, lab.Front},
		{"the carrier of the director's interface", lab.Switch, lab.Director + "-0"},
		{"the carrier of a real's interface", lab.Switch, lab.Real(2) + "-0"},
	} {
		for _, set := range []func(netlink.Link) error{down, up} {
			if err := r.onLink(tt.node, tt.link, set); err != nil {
				t.Fatalf("%s: %v", tt.what, err)
			}
		}
		r.allAnswer(tt.what + " came back")
	}
}

// An interface that is down for a while holds the packet path again when it is up.
func TestInterfaceDownForAWhileRecovers(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	r.run(web("dr"))
	r.settled()
	if err := r.onLink(lab.Director, lab.Front, netlink.LinkSetDown); err != nil {
		t.Fatal(err)
	}
	r.until("status tells a fault", func() error {
		if status := r.status(); len(status.Faults) == 0 {
			return fmt.Errorf("hooks %v and no fault", status.Hooks)
		}
		return nil
	})
	if err := r.onLink(lab.Director, lab.Front, netlink.LinkSetUp); err != nil {
		t.Fatal(err)
	}
	r.allAnswer("the interface is up again")
	r.settled()
	r.byTurns(r.ask(6), 3)
}

// onLink changes a link of a node.
func (r *rig) onLink(node, name string, change func(netlink.Link) error) error {
	return r.Do(node, func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return change(l)
	})
}

// allAnswer waits until six requests in a row are answered, by every real.
func (r *rig) allAnswer(when string) {
	r.Helper()
	client := r.HTTP(lab.HTTPOptions{Timeout: time.Second})
	began := time.Now()
	r.until(when+" all reals answer", func() error {
		count := map[string]int{}
		for range 6 {
			name, err := lab.Get(r.Context(), client, vip(80))
			if err != nil {
				return err
			}
			count[name]++
		}
		if len(count) != 3 {
			return fmt.Errorf("%v answer", count)
		}
		return nil
	})
	r.Logf("%s all reals answer within %s", when, time.Since(began).Round(time.Millisecond))
}
