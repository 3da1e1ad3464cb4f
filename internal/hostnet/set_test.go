package hostnet

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var byValue = cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}, Address{})

func silent(prefix, iface string) Address {
	return Address{Prefix: netip.MustParsePrefix(prefix), Interface: iface}
}

func announced(prefix, iface string) Address {
	return Address{Prefix: netip.MustParsePrefix(prefix), Interface: iface, Announce: true}
}

// wantReal is what a real wants, wantDirector what a director does.
var (
	wantReal = Want{
		Addresses: []Address{silent("192.0.2.10/32", "lo")},
		Sysctls: []Sysctl{
			{Key: "net.ipv4.conf.all.arp_ignore", Value: "1", AtLeast: true},
			{Key: "net.ipv4.conf.all.arp_announce", Value: "2", AtLeast: true},
		},
	}
	wantDirector = Want{
		Addresses: []Address{announced("192.0.2.10/32", "eth0"), announced("192.0.2.11/32", "eth1")},
		Sysctls:   []Sysctl{{Key: "net.ipv4.ip_forward", Value: "1"}},
	}
)

func TestSetKeepsTheOrderOfTheARPProblem(t *testing.T) {
	m := newMemory()
	m.mustSet(t, wantReal)
	m.mustSet(t, Want{})
	want := []string{
		"save", // before anything is touched
		"set net/ipv4/conf/all/arp_ignore 1", "set net/ipv4/conf/all/arp_announce 2", "add 192.0.2.10/32 on lo",
		"remove 192.0.2.10/32 on lo", "set net/ipv4/conf/all/arp_announce 0", "set net/ipv4/conf/all/arp_ignore 0",
		"save", // after all is undone
	}
	if diff := cmp.Diff(want, m.said); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSetSaysWhatItDoes(t *testing.T) {
	m := newMemory()
	m.held = append(m.held, silent("192.0.2.11/32", "eth1"))
	planned, err := m.manager().Plan(wantDirector)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{
		{Text: "set net.ipv4.ip_forward to 1 (found 0)"},
		{Text: "add 192.0.2.10/32 to eth0 and announce it"},
		{Text: "keep 192.0.2.11/32 on eth1: it was there before naru and stays", Kept: true},
	}
	if diff := cmp.Diff(want, planned); diff != "" {
		t.Errorf("Plan (-want +got)\n%s", diff)
	}
	if len(m.said) > 0 {
		t.Errorf("Plan changed the host: %q", m.said)
	}
	if diff := cmp.Diff(want, m.mustSet(t, wantDirector)); diff != "" {
		t.Errorf("Set (-want +got)\n%s", diff)
	}
	m.said = nil
	if diff := cmp.Diff(want[2:], m.mustSet(t, wantDirector)); diff != "" || len(m.said) > 0 {
		t.Errorf("second Set changed %q (-want +got)\n%s", m.said, diff)
	}
	cleared := m.mustSet(t, Want{})
	if diff := cmp.Diff([]Change{{Text: "remove 192.0.2.10/32 from eth0"}, {Text: "restore net.ipv4.ip_forward to 0"}}, cleared); diff != "" {
		t.Errorf("Clear (-want +got)\n%s", diff)
	}
}

// TestDeathAtAnyMomentIsUndone kills the process before every single change, of the
// host and of the ledger, and lets the next process either clear or go on.
func TestDeathAtAnyMomentIsUndone(t *testing.T) {
	weaker := Want{Sysctls: []Sysctl{{Key: "net.ipv4.conf.all.arp_ignore", Value: "1"}}}
	stronger := Want{Addresses: wantReal.Addresses, Sysctls: []Sysctl{{Key: "net.ipv4.conf.all.arp_ignore", Value: "2"}}}
	sequences := map[string][]Want{
		"real":       {wantReal},
		"director":   {wantDirector},
		"real gone":  {wantReal, {}},
		"moved":      {wantDirector, {Addresses: []Address{announced("192.0.2.10/32", "eth1")}}},
		"stronger":   {wantReal, stronger},
		"and back":   {wantReal, stronger, weaker},
		"not anyone": {wantReal, wantDirector, {}, wantReal},
	}
	for name, sequence := range sequences {
		t.Run(name, func(t *testing.T) {
			for budget := 0; ; budget++ {
				clean := newMemory()
				held, sysctls := clean.host()
				m := newMemory()
				m.budget = budget
				last, killed := Want{}, false
				for _, want := range sequence {
					last = want
					if _, _, killed = m.set(t, want); killed {
						break
					}
				}
				m.budget = -1
				clean.mustSet(t, last)
				m.mustSet(t, last)
				checkHost(t, m, clean, budget)
				m.mustSet(t, Want{})
				if diff := cmp.Diff(held, m.held, byValue); diff != "" {
					t.Fatalf("killed before change %d: addresses not as before naru (-want +got)\n%s", budget, diff)
				}
				if diff := cmp.Diff(sysctls, m.sysctls); diff != "" {
					t.Fatalf("killed before change %d: sysctls not as before naru (-want +got)\n%s", budget, diff)
				}
				if !killed {
					return
				}
			}
		})
	}
}

// TestDeathThenClear is the same without a Set between death and Clear.
func TestDeathThenClear(t *testing.T) {
	for budget := 0; ; budget++ {
		m := newMemory()
		held, sysctls := m.host()
		m.budget = budget
		_, _, killed := m.set(t, wantReal)
		if !killed {
			_, _, killed = m.set(t, wantDirector)
		}
		m.budget = -1
		m.mustSet(t, Want{})
		if diff := cmp.Diff(held, m.held, byValue) + cmp.Diff(sysctls, m.sysctls); diff != "" {
			t.Fatalf("killed before change %d (-want +got)\n%s", budget, diff)
		}
		if !killed {
			return
		}
	}
}

func checkHost(t *testing.T, got, want *memory, budget int) {
	t.Helper()
	sorted := cmpopts.SortSlices(func(a, b Address) bool { return a.String() < b.String() })
	if diff := cmp.Diff(want.held, got.held, byValue, sorted) + cmp.Diff(want.sysctls, got.sysctls); diff != "" {
		t.Fatalf("killed before change %d, then set again (-want +got)\n%s", budget, diff)
	}
}

func TestWhatIsNotOursStays(t *testing.T) {
	m := newMemory()
	m.held = append(m.held, silent("192.0.2.10/32", "eth0"))
	m.sysctls["net/ipv4/ip_forward"] = "1"
	held, sysctls := m.host()
	m.mustSet(t, wantDirector)
	m.mustSet(t, Want{})
	if diff := cmp.Diff(held, m.held, byValue) + cmp.Diff(sysctls, m.sysctls); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestASysctlChangedByOthersStaysAndIsReported(t *testing.T) {
	m := newMemory()
	m.mustSet(t, wantReal)
	m.sysctls["net/ipv4/conf/all/arp_ignore"] = "8"
	changes := m.mustSet(t, Want{})
	want := Change{Text: "leave net.ipv4.conf.all.arp_ignore at 8: somebody changed it since naru had set it to 1", Kept: true}
	if !slices.Contains(changes, want) || m.sysctls["net/ipv4/conf/all/arp_ignore"] != "8" {
		t.Errorf("arp_ignore is %s, changes %v, want %v", m.sysctls["net/ipv4/conf/all/arp_ignore"], changes, want)
	}
	if m.sysctls["net/ipv4/conf/all/arp_announce"] != "0" {
		t.Errorf("arp_announce not restored beside it")
	}
	if again := m.mustSet(t, Want{}); len(again) > 0 {
		t.Errorf("reported twice: %v", again)
	}
}

func TestAGreaterValueServes(t *testing.T) {
	m := newMemory()
	m.sysctls["net/ipv4/conf/all/arp_ignore"] = "2"
	m.mustSet(t, wantReal)
	if got := m.sysctls["net/ipv4/conf/all/arp_ignore"]; got != "2" {
		t.Errorf("arp_ignore lowered to %s", got)
	}
}

func TestABootUndoesEverything(t *testing.T) {
	m := newMemory()
	m.mustSet(t, wantDirector)
	after := newMemory()
	after.ledger = m.ledger
	after.sysctls["kernel/random/boot_id"] = "boot-2"
	after.held = append(after.held, silent("192.0.2.10/32", "eth0")) // now by the host's own configuration
	held, _ := after.host()
	after.mustSet(t, Want{})
	if diff := cmp.Diff(held, after.held, byValue); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFaultsAreAllReportedAndTheRestIsDone(t *testing.T) {
	m := newMemory()
	m.readonly = map[string]bool{"net/ipv4/conf/all/arp_ignore": true}
	m.owners = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("192.0.2.12"): {2, 2, 2, 2, 2, 2}}
	m.refuse = map[Address]error{silent("192.0.2.13/32", "eth0"): syscall.EPERM}
	_, err, _ := m.set(t, Want{
		Addresses: []Address{
			silent("192.0.2.10/32", "lo"), announced("192.0.2.11/32", "eth0"), announced("192.0.2.12/32", "eth0"),
			announced("192.0.2.13/32", "eth0"), announced("192.0.2.14/32", "eth9"),
		},
		Sysctls: []Sysctl{
			{Key: "net.ipv4.conf.all.arp_ignore", Value: "1"}, {Key: "net.ipv4.ip_forward", Value: "1"},
			{Key: "net.ipv4.ip_forward", Value: "0"}, {Key: "net.ipv4.conf.eth9.rp_filter", Value: "0"}, {Key: "net..x", Value: "1"},
		},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"set net.ipv4.conf.all.arp_ignore to 1 (found 0): /proc/sys is read-only here, as in a container: set net.ipv4.conf.all.arp_ignore=1 on the host or when starting the container",
		"set net.ipv4.ip_forward: it is wanted as 1 and as 0",
		"set net.ipv4.conf.eth9.rp_filter to 0: this kernel or host has no such sysctl",
		`sysctl "net..x" is not a key`,
		"add 192.0.2.10/32 to lo: held back, because without every sysctl set the host might answer ARP for it",
		"VIP 192.0.2.12: somebody else (02:02:02:02:02:02) answers for it on eth0: take it off",
		"add 192.0.2.13/32 to eth0 and announce it: not permitted: run as root, or with CAP_NET_ADMIN",
		`add 192.0.2.14/32: interface "eth9" is not there: name one`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if got, want := m.held[1:], []Address{silent("192.0.2.11/32", "eth0")}; !cmp.Equal(got, want, byValue) {
		t.Errorf("added %v, want %v", got, want)
	}
	m.refuse, m.said = nil, nil
	m.held = append(m.held, silent("192.0.2.13/32", "eth0")) // somebody else adds what naru could not
	m.mustSet(t, Want{})
	if len(m.held) != 2 || m.held[1] != silent("192.0.2.13/32", "eth0") {
		t.Errorf("after Clear: %v", m.held)
	}
}

// TestAskedAddressesAreNotAskedAboutAgain: its owner, who came since, is not noticed now
// as he would not be a second later.
func TestAskedAddressesAreNotAskedAboutAgain(t *testing.T) {
	m := newMemory()
	m.owners = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("192.0.2.12"): {2, 2, 2, 2, 2, 2}}
	asked := announced("192.0.2.12/32", "eth0")
	asked.Asked = true
	m.mustSet(t, Want{Addresses: []Address{asked}})
	if want := "announce 192.0.2.12 on eth0"; !slices.Contains(m.said, want) {
		t.Errorf("said %q, want %q among it", m.said, want)
	}
}

func TestSysctlsWaitForStuckAddresses(t *testing.T) {
	m := newMemory()
	m.mustSet(t, wantReal)
	m.refuse = map[Address]error{silent("192.0.2.10/32", "lo"): syscall.EPERM}
	if _, err, _ := m.set(t, Want{}); err == nil || m.sysctls["net/ipv4/conf/all/arp_ignore"] != "1" {
		t.Errorf("arp_ignore %s while the VIP is still there; err %v", m.sysctls["net/ipv4/conf/all/arp_ignore"], err)
	}
	m.refuse = nil
	m.mustSet(t, Want{})
	if m.sysctls["net/ipv4/conf/all/arp_ignore"] != "0" || len(m.held) != 1 {
		t.Errorf("second Clear left %v %v", m.held, m.sysctls)
	}
}

func TestACancelledSetLeavesNoTrace(t *testing.T) {
	m := newMemory()
	held, sysctls := m.host()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.manager().Set(ctx, wantDirector); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff(held, m.held, byValue) + cmp.Diff(sysctls, m.sysctls); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if want := `{"boot":"boot-1"}`; string(m.ledger) != want {
		t.Errorf("ledger %s, want %s", m.ledger, want)
	}
}

func TestSysctlPath(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.ip_forward":               "net/ipv4/ip_forward",
		"net/ipv4/conf/eth0.100/arp_ignore": "net/ipv4/conf/eth0.100/arp_ignore",
		"net.ipv4.conf.eth0/100.arp_ignore": "net/ipv4/conf/eth0.100/arp_ignore",
		"net/ipv4/../../../etc/passwd":      "",
		"/net/ipv4/ip_forward":              "",
		"net..ipv4":                         "",
		"":                                  "",
	} {
		got, err := sysctlPath(key)
		if got != want && err == nil || (err != nil) != (want == "") {
			t.Errorf("sysctlPath(%q) = %q, %v; want %q", key, got, err, want)
		}
	}
	if got := sysctlName("net/ipv4/conf/eth0.100/arp_ignore"); got != "net/ipv4/conf/eth0.100/arp_ignore" {
		t.Errorf("name %q", got)
	}
}
