package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"naru/internal/decap"
	"naru/internal/hostnet"
	"naru/internal/model"
)

// memory is a Store in memory that can die around its n-th Save, as a process would.
type memory struct {
	text   []byte
	saves  int
	dieAt  int  // 0: never
	before bool // whether that Save is lost with it
}

var errKilled = errors.New("killed")

func (m *memory) Load(v any) error {
	if m.text == nil {
		return nil
	}
	return json.Unmarshal(m.text, v)
}

func (m *memory) Save(v any) (err error) {
	m.saves++
	if m.saves == m.dieAt && m.before {
		panic(errKilled)
	}
	if m.text, err = json.Marshal(v); err != nil {
		return err
	}
	if m.saves == m.dieAt {
		panic(errKilled)
	}
	return nil
}

// needs skips a test on a machine without something; in CI that is a fault.
func needs(t *testing.T, there bool, what string) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("CI") == "true":
		t.Fatalf("this test needs %s, and in CI it must not be skipped", what)
	default:
		t.Skipf("this test needs %s", what)
	}
}

// enterHost moves the test into a network namespace of its own, with one interface.
func enterHost(t *testing.T) {
	t.Helper()
	needs(t, os.Geteuid() == 0, "root")
	runtime.LockOSThread() // for good: the thread ends with the test
	ns, err := netns.New()
	if err != nil {
		t.Fatal("make a namespace:", err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "nrrl-p"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lo", "eth0", "nrrl-p"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
	addAddress(t, "eth0", "10.77.0.11/24", "")
	for _, iface := range []string{"all", "lo"} { // whatever the machine's defaults are
		writeSysctl(t, iface, arpIgnore, "0")
		writeSysctl(t, iface, arpAnnounce, "0")
	}
}

func addAddress(t *testing.T, iface, address, label string) {
	t.Helper()
	l, err := netlink.LinkByName(iface)
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	a.Label = label
	if err := netlink.AddrAdd(l, a); err != nil {
		t.Fatal(err)
	}
}

func writeSysctl(t *testing.T, iface, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/proc/sys", confKey(iface, name)), []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// snapshot is all of the host that an Agent may change, as text.
func snapshot(t *testing.T) string {
	t.Helper()
	ports, err := hostnet.Survey()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range ports {
		for _, h := range p.Holds {
			lines = append(lines, fmt.Sprintf("%s on %s", h.Prefix, h.Label))
		}
	}
	for _, iface := range []string{"all", "lo"} {
		for _, name := range []string{arpIgnore, arpAnnounce} {
			lines = append(lines, fmt.Sprintf("%s/%s = %d", iface, name, readSysctl(confKey(iface, name))))
		}
	}
	state, err := decap.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range state.Hooks {
		lines = append(lines, "decapsulation on "+h.Interface)
	}
	for _, v := range state.VIPs {
		lines = append(lines, fmt.Sprintf("decapsulation for %s from %v", v.Address, v.Directors))
	}
	return strings.Join(lines, "\n")
}

func wantHost(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(want, snapshot(t)); diff != "" {
		t.Errorf("host (-want +got):\n%s", diff)
	}
}

func newAgent(store Store) *Agent { return New(store, slog.New(slog.DiscardHandler)) }

func mustUp(t *testing.T, store Store, vips ...VIP) []string {
	t.Helper()
	done, err := newAgent(store).Up(t.Context(), vips, false)
	if err != nil {
		t.Fatal("up:", err)
	}
	return done
}

func mustDown(t *testing.T, store Store, vips ...string) []string {
	t.Helper()
	var addrs []netip.Addr
	for _, v := range vips {
		addrs = append(addrs, ip(v))
	}
	done, err := newAgent(store).Down(t.Context(), addrs...)
	if err != nil {
		t.Fatal("down:", err)
	}
	return done
}

const (
	before = `127.0.0.1/8 on lo
10.77.0.11/24 on eth0
all/arp_ignore = 0
all/arp_announce = 0
lo/arp_ignore = 0
lo/arp_announce = 0`
	silent = `all/arp_ignore = 1
all/arp_announce = 2
lo/arp_ignore = 1
lo/arp_announce = 2`
)

func TestUpIsIdempotentAndDownRestores(t *testing.T) {
	enterHost(t)
	wantHost(t, before)
	store := &memory{}
	vips := []VIP{
		{Address: ip("192.0.2.10")},
		{Address: ip("192.0.2.11"), Forward: model.TUN, Directors: []netip.Addr{ip("10.77.0.2")}},
	}
	up := "127.0.0.1/8 on lo\n192.0.2.10/32 on lo\n192.0.2.11/32 on lo\n10.77.0.11/24 on eth0\n" + silent +
		"\ndecapsulation on eth0\ndecapsulation for 192.0.2.11 from [10.77.0.2/32]"
	if done := mustUp(t, store, vips...); len(done) == 0 {
		t.Error("up does not say what it did")
	}
	wantHost(t, up)
	if done := mustUp(t, store, vips...); len(done) > 0 {
		t.Errorf("a second up did %q", done)
	}
	wantHost(t, up)
	mustDown(t, store)
	wantHost(t, before)
	if done := mustDown(t, store); len(done) > 0 {
		t.Errorf("a second down did %q", done)
	}
}

func TestUpSetsSysctlsFirst(t *testing.T) {
	enterHost(t)
	done := mustUp(t, &memory{}, VIP{Address: ip("192.0.2.10"), Forward: model.TUN})
	index := func(word string) int {
		return slices.IndexFunc(done, func(s string) bool { return strings.Contains(s, word) })
	}
	if sysctl, vip, program := index(arpIgnore), index("192.0.2.10/32"), index("attach"); sysctl < 0 || sysctl > vip || vip > program {
		t.Errorf("up went %q, want sysctls, then the VIP, then the program", done)
	}
}

func TestDownKeepsWhatOthersNeed(t *testing.T) {
	enterHost(t)
	store := &memory{}
	mustUp(t, store, VIP{Address: ip("192.0.2.10")}, VIP{Address: ip("192.0.2.11"), Forward: model.TUN})
	mustUp(t, store, VIP{Address: ip("192.0.2.12"), Forward: model.TUN})
	mustDown(t, store, "192.0.2.11")
	wantHost(t, "127.0.0.1/8 on lo\n192.0.2.10/32 on lo\n192.0.2.12/32 on lo\n10.77.0.11/24 on eth0\n"+silent+
		"\ndecapsulation on eth0\ndecapsulation for 192.0.2.12 from []")
	mustDown(t, store, "192.0.2.12", "192.0.2.99")
	wantHost(t, "127.0.0.1/8 on lo\n192.0.2.10/32 on lo\n10.77.0.11/24 on eth0\n"+silent)
	mustDown(t, store, "192.0.2.10")
	wantHost(t, before)
}

// TestForwardChanges: the same VIP by another forward leaves nothing of the first.
func TestForwardChanges(t *testing.T) {
	enterHost(t)
	store := &memory{}
	mustUp(t, store, VIP{Address: ip("192.0.2.10"), Forward: model.TUN})
	mustUp(t, store, VIP{Address: ip("192.0.2.10")})
	wantHost(t, "127.0.0.1/8 on lo\n192.0.2.10/32 on lo\n10.77.0.11/24 on eth0\n"+silent)
	_, err := newAgent(store).Up(t.Context(), []VIP{{Address: ip("192.0.2.10"), Forward: model.NAT, Gateway: ip("10.77.0.2")}}, false)
	if err == nil || !strings.Contains(err.Error(), "no way back") {
		t.Errorf("up by nat without a default route: %v", err)
	}
	wantHost(t, before)
}

// TestFoundIsLeft: what was there before naru is used, and is there afterwards.
func TestFoundIsLeft(t *testing.T) {
	for name, place := range map[string][2]string{"lo:0": {"lo", "lo:0"}, "tunl0": {"tunl0", "tunl0"}} {
		t.Run(name, func(t *testing.T) {
			enterHost(t)
			if _, err := netlink.LinkByName(place[0]); err != nil { // few kernels have tunl0: this stands for it
				stand := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "tunl0"}, PeerName: "nrrl-t"}
				if err := netlink.LinkAdd(stand); err != nil {
					t.Fatal(err)
				}
				if err := netlink.LinkSetARPOff(stand); err != nil {
					t.Fatal(err)
				}
			}
			addAddress(t, place[0], "192.0.2.10/32", place[1])
			writeSysctl(t, "all", arpIgnore, "2")
			found := snapshot(t)
			store := &memory{}
			mustUp(t, store, VIP{Address: ip("192.0.2.10")})
			if got := readSysctl(confKey("all", arpIgnore)); got != 2 {
				t.Errorf("arp_ignore %d, want the 2 that was found and serves as well", got)
			}
			s, err := newAgent(store).Status()
			if err != nil {
				t.Fatal(err)
			}
			if len(s.VIPs) != 1 || !slices.Equal(s.VIPs[0].On, []string{place[1]}) {
				t.Errorf("status has VIPs %v, want one on %s", s.VIPs, place[1])
			}
			mustDown(t, store)
			wantHost(t, found)
		})
	}
}

// TestVIPOnEthernet: an alias that answers ARP is left there, and is a fault.
func TestVIPOnEthernet(t *testing.T) {
	enterHost(t)
	addAddress(t, "eth0", "192.0.2.10/32", "eth0:0")
	_, err := newAgent(&memory{}).Up(t.Context(), []VIP{{Address: ip("192.0.2.10")}}, false)
	var f Fault
	if !errors.As(err, &f) || !strings.Contains(f.Text, "eth0:0") || !strings.Contains(f.Mend, "ip addr del 192.0.2.10/32 dev eth0") {
		t.Errorf("up: %v, want a fault about eth0:0 with its mend", err)
	}
	if !strings.Contains(snapshot(t), "192.0.2.10/32 on eth0:0") {
		t.Error("the alias is gone")
	}
}

// TestKilled: whenever the process dies, Down afterwards restores what was found, and
// another Up completes.
func TestKilled(t *testing.T) {
	needs(t, os.Geteuid() == 0, "root")
	vips := []VIP{{Address: ip("192.0.2.10")}, {Address: ip("192.0.2.11"), Forward: model.TUN}}
	for _, lost := range []bool{true, false} {
		for n := 1; n < 100; n++ {
			completed := false
			t.Run(fmt.Sprintf("save %d, lost %v", n, lost), func(t *testing.T) {
				enterHost(t)
				store := &memory{dieAt: n, before: lost}
				if completed = !killed(func() { mustUp(t, store, vips...) }); completed {
					return
				}
				store.dieAt = 0
				if n%2 == 0 {
					mustUp(t, store, vips...)
				}
				mustDown(t, store)
				wantHost(t, before)
			})
			if completed || t.Failed() {
				if n < 3 {
					t.Errorf("up completed with %d saves: nothing was tested", n-1)
				}
				break
			}
		}
	}
}

// TestKilledInDown: another Down completes what one that died began.
func TestKilledInDown(t *testing.T) {
	for n := 1; n <= 4; n++ {
		t.Run(fmt.Sprintf("save %d", n), func(t *testing.T) {
			enterHost(t)
			store := &memory{}
			mustUp(t, store, VIP{Address: ip("192.0.2.10"), Forward: model.TUN})
			store.saves, store.dieAt, store.before = 0, n, n%2 == 0
			killed(func() { mustDown(t, store) })
			store.dieAt = 0
			mustDown(t, store)
			wantHost(t, before)
		})
	}
}

func killed(do func()) (died bool) {
	defer func() {
		if r := recover(); r != nil {
			if r != errKilled {
				panic(r)
			}
			died = true
		}
	}()
	do()
	return false
}

// TestNothingHalfDone: a VIP that cannot be served is refused before anything is done.
func TestNothingHalfDone(t *testing.T) {
	enterHost(t)
	_, err := newAgent(&memory{}).Up(t.Context(), []VIP{{Address: ip("192.0.2.10")}, {Address: ip("192.0.2.11"), Forward: model.TUN, Interface: "nope"}}, false)
	if err == nil || !strings.Contains(err.Error(), `interface "nope" is not there`) {
		t.Errorf("up: %v, want that there is no interface nope", err)
	}
	wantHost(t, before)
}

// TestAnotherNamespace: a record of another namespace, or of another boot, is not
// about this one.
func TestAnotherNamespace(t *testing.T) {
	enterHost(t)
	store := &memory{}
	mustUp(t, store, VIP{Address: ip("192.0.2.10")})
	enterHost(t)
	if done := mustDown(t, store); len(done) > 0 {
		t.Errorf("down in another namespace did %q", done)
	}
	wantHost(t, before)
}

func TestNAT(t *testing.T) {
	enterHost(t)
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: ip("10.77.0.10").AsSlice()}); err != nil {
		t.Fatal(err)
	}
	store := &memory{}
	done := mustUp(t, store, VIP{Address: ip("192.0.2.10"), Forward: model.NAT, Gateway: ip("10.77.0.10")})
	if len(done) != 1 || !strings.Contains(done[0], "go back through 10.77.0.10") {
		t.Errorf("up by nat did %q, want the check and nothing else", done)
	}
	wantHost(t, before)
	_, err = newAgent(store).Up(t.Context(), []VIP{{Address: ip("192.0.2.10"), Forward: model.NAT, Gateway: ip("10.77.0.9")}}, false)
	var f Fault
	if !errors.As(err, &f) || !strings.Contains(f.Mend, "ip route replace default via 10.77.0.9 dev eth0") {
		t.Errorf("up by nat with another default gateway: %v, want a fault with its mend", err)
	}
}

// runScript runs a script of Script's as an administrator would.
func runScript(t *testing.T, keep, text, what string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "real.sh")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", file, what)
	c.Env = append(os.Environ(), "NARU_KEEP="+keep)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("sh real.sh %s: %v\n%s", what, err, out)
	}
	return string(out)
}

// TestLinuxScript: the script does by hand what Up does, is recognised by Status, and
// undoes what it did.
func TestLinuxScript(t *testing.T) {
	enterHost(t)
	_, err := exec.LookPath("ip")
	needs(t, err == nil, "iproute2, which the script calls")
	keep := filepath.Join(t.TempDir(), "keep")
	addAddress(t, "lo", "192.0.2.11/32", "lo:0")
	found := snapshot(t)
	text, err := Script([]VIP{{Address: ip("192.0.2.10")}, {Address: ip("192.0.2.11")}}, Linux)
	if err != nil {
		t.Fatal(err)
	}
	runScript(t, keep, text, "up")
	up := "127.0.0.1/8 on lo\n192.0.2.11/32 on lo:0\n192.0.2.10/32 on lo\n10.77.0.11/24 on eth0\n" + silent
	wantHost(t, up)
	runScript(t, keep, text, "up")
	wantHost(t, up)
	s, err := newAgent(&memory{}).Status()
	if err != nil || len(s.Classic) != 2 || len(s.Faults) > 0 {
		t.Errorf("status %+v (%v), want two VIPs set up by hand and no fault", s, err)
	}
	runScript(t, keep, text, "down")
	wantHost(t, found)
	if out := runScript(t, keep, text, "down"); out != "" {
		t.Errorf("a second down did:\n%s", out)
	}
}
