package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"

	"naru/internal/lab"
)

// native is a file whose interfaces hold the packet path at the XDP hook.
func native(rest string, legs ...string) string {
	var b strings.Builder
	b.WriteString("interfaces:\n")
	for _, leg := range []string{lab.Front, lab.Back} {
		hook := "tc"
		for _, l := range legs {
			if l == leg {
				hook = "native"
			}
		}
		b.WriteString("  " + leg + ": {hook: " + hook + "}\n")
	}
	return b.String() + rest
}

// TestEachForwardCarriesWebUDPAndBulkByNativeXDP: frames come in, and for nat go out, at
// the hook of either kind.
func TestEachForwardCarriesWebUDPAndBulkByNativeXDP(t *testing.T) {
	r := newRig(t)
	sum := sumOf(bulk() / 4)
	for _, tt := range []struct {
		name, forward string
		takes         bool // the other ends of the links take XDP frames; else TC sends
		legs          []string
	}{
		{"dr", "dr", true, []string{lab.Front, lab.Back}},
		{"nat", "nat", true, []string{lab.Front, lab.Back}},
		{"tun", "tun", true, []string{lab.Front, lab.Back}},
		{"nat-in-by-xdp-back-by-tc", "nat", true, []string{lab.Front}},
		{"nat-in-by-tc-back-by-xdp", "nat", true, []string{lab.Back}},
		{"dr-sent-by-tc", "dr", false, []string{lab.Front, lab.Back}},
		{"nat-sent-by-tc", "nat", false, []string{lab.Front, lab.Back}},
		{"tun-sent-by-tc", "tun", false, []string{lab.Front, lab.Back}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.sub(t)
			for _, leg := range tt.legs {
				if err := r.Card(lab.Director, leg, tt.takes); err != nil {
					t.Fatal(err)
				}
			}
			r.realsUp(tt.forward)
			r.run(native(web(tt.forward)+service("dns", "udp", 53, "rr", tt.forward, realsOf(tt.forward, "")...), tt.legs...))
			r.settled()
			for _, h := range r.status().Hooks {
				want := "tcx"
				if strings.Contains(strings.Join(tt.legs, " "), h.Interface) {
					want = "xdp"
				}
				if h.Kind != want {
					t.Errorf("%s holds the packet path by %s (%s), want %s", h.Interface, h.Kind, h.Choice, want)
				}
			}
			r.byTurns(r.ask(9), 3)
			r.byTurns(r.datagrams(6), 3)
			down := r.download(vip(80), bulk()/4, sum)
			up := r.upload(vip(80), bulk()/4, sum)
			t.Logf("%s: %d MB down in %.2f s, up in %.2f s", tt.name, bulk()/4>>20, down.Seconds(), up.Seconds())
			for exit, n := range r.status().Exits {
				if n > 0 && strings.HasPrefix(exit, "drop_") {
					t.Errorf("%s: %d packets", exit, n)
				}
			}
			r.realsDown()
		})
	}
}

// TestForeignXDPProgramStaysAndTCServes: an interface that is asked to hold the packet
// path at its XDP hook, where another program is.
func TestForeignXDPProgramStaysAndTCServes(t *testing.T) {
	r := newRig(t)
	r.realsUp("dr")
	foreign, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "firewall", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
	})
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	r.xdp(lab.Front, foreign.FD())
	r.run(native(web("dr"), lab.Front))
	r.until("the director serves", func() error {
		_, err := lab.Get(t.Context(), r.HTTP(lab.HTTPOptions{Timeout: answer}), vip(80))
		return err
	})
	status := r.must(lab.Director, "naru", "status")
	for _, text := range []string{
		`! attach the packet path: eth0 is not attached by native XDP but at TC: the XDP program "firewall" is there already`,
		`eth0 (tcx, as the XDP program "firewall" is there already): listed in the configuration`,
	} {
		if !strings.Contains(status, text) {
			t.Errorf("no %q in\n%s", text, status)
		}
	}
	r.xdp(lab.Front, -1) // its owner takes it off
	r.must(lab.Director, "naru", "reload")
	r.until("eth0 holds the packet path by XDP", func() error {
		if hooks := r.status().Hooks; len(hooks) != 2 || hooks[0].Kind != "xdp" {
			return fmt.Errorf("hooks %v", hooks)
		}
		return nil
	})
	if out := r.must(lab.Director, "naru", "off"); !strings.Contains(out, "took the packet path off eth0") {
		t.Errorf("off says\n%s", out)
	}
	if left := r.xdpOf(lab.Front); left != 0 {
		t.Errorf("XDP program %d is left on eth0", left)
	}
}

// xdp puts a program on the XDP hook of a link of the director, or with -1 takes off
// what is there.
func (r *rig) xdp(link string, fd int) {
	r.Helper()
	err := r.Do(lab.Director, func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFd(l, fd)
	})
	if err != nil {
		r.Fatal(err)
	}
}

// xdpOf returns the id of the program on the XDP hook of a link of the director, 0 for none.
func (r *rig) xdpOf(link string) (id uint32) {
	r.Helper()
	err := r.Do(lab.Director, func() error {
		l, err := netlink.LinkByName(link)
		if err == nil && l.Attrs().Xdp != nil {
			id = l.Attrs().Xdp.ProgId
		}
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	return id
}
