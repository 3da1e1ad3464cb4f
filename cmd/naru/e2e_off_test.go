package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	tcx "github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"naru/internal/api"
	"naru/internal/lab"
)

func TestOffUndoesEverything(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		name    string
		forward string
		end     func(*rig) // before naru off
	}{
		{"with the daemon", "nat", func(*rig) {}},
		{"after a clean stop", "nat", (*rig).stop},
		{"after kill -9", "nat", func(r *rig) { r.daemon.kill() }},
		{"after kill -9 of dr", "dr", func(r *rig) { r.daemon.kill() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.sub(t)
			r.realsUp(tt.forward)
			before := r.machine()
			r.run(web(tt.forward))
			r.settled()
			r.ask(3)
			if during := r.machine(); cmp.Equal(before, during) {
				t.Fatal("the machine is the same while naru forwards: this test sees nothing")
			}
			tt.end(r)
			out := r.must(lab.Director, "naru", "off")
			for _, done := range []string{"took the packet path off eth0", "removed the tables", "remove 192.168.1.5/32 from eth0"} {
				if !strings.Contains(out, done) {
					t.Errorf("no %q in\n%s", done, out)
				}
			}
			if diff := cmp.Diff(before, r.machine()); diff != "" {
				t.Errorf("the machine before and after (-before +after):\n%s", diff)
			}
			r.nothingPinned()
			r.gone()
			if out := r.must(lab.Director, "naru", "off"); !strings.Contains(out, "nothing was on") {
				t.Errorf("a second off says\n%s", out)
			}
			r.realsDown()
		})
	}
}

// A sysctl that somebody changed since is not naru's to set back, nor is a VIP that was
// there before.
func TestOffLeavesWhatIsNotNarus(t *testing.T) {
	r := newRig(t)
	r.holdVIP()
	if err := r.Sysctl(lab.Director, "ipv4/ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	before := r.machine()
	r.run(web("nat"))
	r.settled()
	r.must(lab.Director, "naru", "off")
	if diff := cmp.Diff(before, r.machine()); diff != "" {
		t.Errorf("the machine before and after (-before +after):\n%s", diff)
	}
}

// machine is what naru could change on the director, in lines.
func (r *rig) machine() (lines []string) {
	r.Helper()
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	err := r.Do(lab.Director, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			a := l.Attrs()
			add("link %s %d %s mtu %d flags %x state %s", a.Name, a.Index, a.HardwareAddr, a.MTU, a.RawFlags, a.OperState)
			qdiscs, err := netlink.QdiscList(l)
			if err != nil {
				return err
			}
			for _, q := range qdiscs {
				add("qdisc %s of %s", q.Type(), a.Name)
			}
			for name, at := range map[string]ebpf.AttachType{"ingress": ebpf.AttachTCXIngress, "egress": ebpf.AttachTCXEgress} {
				held, err := tcx.QueryPrograms(tcx.QueryOptions{Target: a.Index, Attach: at})
				if err == nil && len(held.Programs) > 0 {
					add("%d programs at %s of %s", len(held.Programs), name, a.Name)
				}
			}
			for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
				filters, err := netlink.FilterList(l, parent)
				if err == nil && len(filters) > 0 {
					add("%d filters of %s", len(filters), a.Name)
				}
			}
		}
		addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			add("address %s of %d", a, a.LinkIndex)
		}
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		for _, route := range routes {
			add("route %s", route)
		}
		neighbours, err := netlink.NeighList(0, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, n := range neighbours {
			if n.Flags|n.FlagsExt != 0 || n.State&netlink.NUD_PERMANENT != 0 { // one that does not end by itself
				add("neighbour %s of %d flags %x %x", n.IP, n.LinkIndex, n.Flags, n.FlagsExt)
			}
		}
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	lines = append(lines, r.sysctls()...)
	slices.Sort(lines)
	return lines
}

// sysctls are those of the director's interfaces, and of forwarding.
func (r *rig) sysctls() (lines []string) {
	r.Helper()
	err := r.Do(lab.Director, func() error {
		return filepath.WalkDir("/proc/sys/net/ipv4", func(path string, e fs.DirEntry, err error) error {
			name := strings.TrimPrefix(path, "/proc/sys/net/ipv4/")
			if err != nil || e.IsDir() || !strings.HasPrefix(name, "conf/") && name != "ip_forward" && name != "ip_nonlocal_bind" {
				return err
			}
			value, err := os.ReadFile(path)
			if err != nil && !os.IsPermission(err) {
				return err
			}
			lines = append(lines, "sysctl "+name+" "+strings.TrimSpace(string(value)))
			return nil
		})
	})
	if err != nil {
		r.Fatal(err)
	}
	return lines
}

// nothingPinned fails if the bpffs or a pin is left.
func (r *rig) nothingPinned() {
	r.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(api.BPFDir(r.instance), &st); err == nil {
		r.Errorf("%s is still there, of file system %x", api.BPFDir(r.instance), st.Type)
	}
}
