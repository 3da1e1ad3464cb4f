package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"naru/internal/cli"
	"naru/internal/lab"
)

func TestWatchAddsNoAddressAndSendsNoARP(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	heard := r.listenARP()
	before := r.addresses(lab.Director)
	r.run("vips: watch\n" + web("dr"))
	r.until("status says that the VIP is not held", func() error {
		if out := r.must(lab.Director, "naru", "status"); !strings.Contains(out, "VIP not held") {
			return errors.New(out)
		}
		return nil
	})
	r.until("the packet path is on", func() error {
		if len(r.status().Hooks) == 0 {
			return errors.New("no hook")
		}
		return nil
	})
	if diff := cmp.Diff(before, r.addresses(lab.Director)); diff != "" {
		t.Errorf("addresses (-before +after):\n%s", diff)
	}

	r.holdVIP() // as keepalived would, later
	r.settled()
	r.byTurns(r.ask(6), 3)
	r.must(lab.Director, "naru", "reload")
	r.stop()
	r.run("vips: watch\n" + web("dr"))
	r.settled()
	if err := r.dropAddress(lab.Director, lab.VIP()); err != nil {
		t.Fatal(err)
	}
	r.until("a VIP that moved away is noticed", func() error {
		services, err := r.services()
		if err == nil && services[0].Held {
			err = errors.New("it counts as held")
		}
		return err
	})
	r.must(lab.Director, "naru", "off")
	for _, frame := range heard() {
		if frame.from == lab.Director && !frame.asked {
			t.Errorf("naru said in ARP that it has the VIP: %+v", frame)
		}
	}
}

func TestOwnAddsTheVIPAndAnnouncesIt(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	stale := net.HardwareAddr{2, 0, 0, 0, 0, 99} // of whoever had the VIP before
	if err := r.setNeighbour(lab.Client, lab.VIP(), stale); err != nil {
		t.Fatal(err)
	}
	heard := r.listenARP()
	r.run(web("dr"))
	r.settled()
	if held := r.addresses(lab.Director); !strings.Contains(strings.Join(held, " "), "192.168.1.5/32 eth0") {
		t.Errorf("the director has %q", held)
	}
	r.until("the announcements are heard", func() error {
		for _, op := range []int{1, 2} {
			found := false
			for _, frame := range heard() {
				found = found || frame.from == lab.Director && frame.op == op && !frame.asked
			}
			if !found {
				return fmt.Errorf("none of operation %d in %+v", op, heard())
			}
		}
		return nil
	})
	r.byTurns(r.ask(6), 3) // also where the client knew another machine by the VIP
}

func TestOwnRefusesAVIPThatAnotherMachineAnswersFor(t *testing.T) {
	r := newRig(t)
	if err := r.AddAddress(lab.Real(1), lab.Front, netip.PrefixFrom(lab.VIP(), 32)); err != nil {
		t.Fatal(err) // without naru real up: it answers ARP
	}
	before := r.machine()
	path := r.write(web("dr"))
	for _, args := range [][]string{{"run", "-c", path}, {"plan", path}} {
		res := r.try(lab.Director, "naru", args...)
		r.refused(res, cli.Failed, "VIP 192.168.1.5", "02:00:c0:a8:01:0b", "on eth0", "naru: hint: ")
		if diff := cmp.Diff(before, r.machine()); diff != "" {
			t.Errorf("naru %s changed the machine (-before +after):\n%s", args[0], diff)
		}
	}
	r.nothingPinned()
	r.gone()

	r.run("services: []\n")
	before = r.machine()
	r.write(web("dr"))
	res := r.try(lab.Director, "naru", "reload")
	r.refused(res, cli.Failed, "VIP 192.168.1.5", "02:00:c0:a8:01:0b", "naru: hint: ")
	if diff := cmp.Diff(before, r.machine()); diff != "" {
		t.Errorf("a refused reload changed the machine (-before +after):\n%s", diff)
	}
	r.lists()
	if err := r.dropAddress(lab.Real(1), lab.VIP()); err != nil {
		t.Fatal(err)
	}
	r.must(lab.Director, "naru", "reload")
	r.settled()
}

func TestVIPOfNoNetworkIsRefused(t *testing.T) {
	r := newRig(t)
	path := r.write("services: [{vip: 203.0.113.5, port: 80, reals: [192.168.1.11]}]\n")
	r.refused(r.try(lab.Director, "naru", "run", "-c", path), cli.Usage, "VIP 203.0.113.5", "no interface")
	r.nothingPinned()
}

// addresses are a node's, with their interfaces.
func (r *rig) addresses(node string) (lines []string) {
	r.Helper()
	err := r.Do(node, func() error {
		all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
		for _, a := range all {
			lines = append(lines, fmt.Sprint(a))
		}
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	return lines
}

// dropAddress takes an address off a node's front link.
func (r *rig) dropAddress(node string, a netip.Addr) error {
	return r.Do(node, func() error {
		front, err := netlink.LinkByName(lab.Front)
		if err != nil {
			return err
		}
		return netlink.AddrDel(front, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}})
	})
}

func (r *rig) setNeighbour(node string, a netip.Addr, mac net.HardwareAddr) error {
	return r.Do(node, func() error {
		front, err := netlink.LinkByName(lab.Front)
		if err != nil {
			return err
		}
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: front.Attrs().Index, IP: a.AsSlice(), HardwareAddr: mac, State: netlink.NUD_STALE})
	})
}

// claim is an ARP frame that speaks for the VIP, or answers for it.
type claim struct {
	from  string // node
	op    int
	asked bool // an answer to one machine that had asked
}

// listenARP hears at the client every ARP frame whose sender has the VIP, until the
// test ends.
func (r *rig) listenARP() func() []claim {
	r.Helper()
	var fd int
	err := r.Do(lab.Client, func() error {
		front, err := net.InterfaceByName(lab.Front)
		if err != nil {
			return err
		}
		protocol := uint16(unix.ETH_P_ARP>>8 | unix.ETH_P_ARP<<8&0xff00)
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: front.Index})
	})
	if err != nil {
		r.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "arp")
	var (
		mu   sync.Mutex
		all  []claim
		done = make(chan struct{})
	)
	r.Cleanup(func() { socket.Close(); <-done })
	director := []byte{2, 0, 192, 168, 1, 10}
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, err := socket.Read(b)
			if err != nil {
				return
			}
			if n < 42 || !bytes.Equal(b[28:32], lab.VIP().AsSlice()) {
				continue
			}
			c := claim{op: int(b[21]), asked: b[0]&1 == 0}
			if bytes.Equal(b[22:28], director) {
				c.from = lab.Director
			}
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
		}
	}()
	return func() []claim {
		mu.Lock()
		defer mu.Unlock()
		return append([]claim(nil), all...)
	}
}
