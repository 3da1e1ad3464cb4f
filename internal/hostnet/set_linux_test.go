package hostnet

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func TestRealSideOnARealKernel(t *testing.T) {
	l := newLab(t)
	m := New(new(memLedger), slog.New(slog.DiscardHandler))
	if changes, err := m.Set(t.Context(), wantReal); err != nil || len(changes) != 3 {
		t.Fatalf("Set: %v, %v", changes, err)
	}
	if got := l.sysctl("net/ipv4/conf/all/arp_ignore") + l.sysctl("net/ipv4/conf/all/arp_announce"); got != "12" {
		t.Errorf("arp_ignore and arp_announce are %s", got)
	}
	if got := l.addresses("lo"); !slices.Contains(got, "192.0.2.10/32") {
		t.Errorf("lo has %v", got)
	}
	if changes, err := m.Set(t.Context(), wantReal); err != nil || len(changes) != 0 {
		t.Errorf("second Set: %v, %v", changes, err)
	}
	if changes, err := m.Clear(t.Context()); err != nil || len(changes) != 3 {
		t.Errorf("Clear: %v, %v", changes, err)
	}
	if got := l.sysctl("net/ipv4/conf/all/arp_ignore") + l.sysctl("net/ipv4/conf/all/arp_announce"); got != "00" {
		t.Errorf("after Clear arp_ignore and arp_announce are %s", got)
	}
	if diff := cmp.Diff([]string{"127.0.0.1/8"}, l.addresses("lo")); diff != "" {
		t.Errorf("lo after Clear (-want +got)\n%s", diff)
	}
}

// dying is a ledger of a process that dies right after writing ahead.
type dying struct{ *memLedger }

func (d dying) Save(v any) error {
	if err := d.memLedger.Save(v); err != nil {
		return err
	}
	panic(errKilled)
}

func TestDeathBetweenLedgerAndActionOnARealKernel(t *testing.T) {
	l := newLab(t)
	ledger := new(memLedger)
	want := Want{
		Addresses: []Address{silent("192.0.2.10/32", "nrhn-d")},
		Sysctls:   []Sysctl{{Key: "net/ipv4/conf/nrhn-d/arp_ignore", Value: "1"}},
	}
	func() {
		defer func() { recover() }()
		New(dying{ledger}, slog.New(slog.DiscardHandler)).Set(t.Context(), want)
	}()
	if !strings.Contains(string(*ledger), "192.0.2.10/32") {
		t.Fatalf("nothing was written ahead: %s", *ledger)
	}
	m := New(ledger, slog.New(slog.DiscardHandler))
	if changes, err := m.Clear(t.Context()); err != nil || len(changes) != 0 {
		t.Errorf("Clear after a death before anything was done: %v, %v", changes, err)
	}
	// Dead after the action: the ledger of before, the host of after.
	if _, err := New(ledger, slog.New(slog.DiscardHandler)).Set(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if changes, err := New(ledger, slog.New(slog.DiscardHandler)).Clear(t.Context()); err != nil || len(changes) != 2 {
		t.Errorf("Clear: %v, %v", changes, err)
	}
	if diff := cmp.Diff([]string{"192.0.2.1/24"}, l.addresses("nrhn-d")); diff != "" || l.sysctl("net/ipv4/conf/nrhn-d/arp_ignore") != "0" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAVIPOfAnotherMachineIsRefused(t *testing.T) {
	l := newLab(t)
	l.peerHolds("192.0.2.10/32")
	want := Want{Addresses: []Address{
		announced("192.0.2.10/32", "nrhn-d"), announced("192.0.2.11/32", "nrhn-d"), announced("192.0.2.12/32", "nrhn-9"),
	}}
	_, err := New(new(memLedger), slog.New(slog.DiscardHandler)).Set(t.Context(), want)
	for _, text := range []string{
		"VIP 192.0.2.10: somebody else (" + l.far.Attrs().HardwareAddr.String() + ") answers for it on nrhn-d: ",
		`interface "nrhn-9" is not there`,
	} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error lacks %q: %v", text, err)
		}
	}
	if diff := cmp.Diff([]string{"192.0.2.1/24", "192.0.2.11/32"}, l.addresses("nrhn-d")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestConflict(t *testing.T) {
	l := newLab(t)
	if _, found, err := Conflict(t.Context(), "nrhn-d", vip); found || err != nil {
		t.Errorf("free VIP: %v, %v", found, err)
	}
	l.peerHolds("192.0.2.10/32")
	if owner, found, err := Conflict(t.Context(), "nrhn-d", vip); !found || err != nil || !slices.Equal(owner, l.far.Attrs().HardwareAddr) {
		t.Errorf("taken VIP: %v, %v, %v", owner, found, err)
	}
	if _, found, err := Conflict(t.Context(), "lo", vip); found || err != nil {
		t.Errorf("lo has no ARP: %v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Conflict(ctx, "nrhn-d", netip.MustParseAddr("192.0.2.13")); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	l.ok(netlink.LinkSetDown(l.link))
	if _, _, err := Conflict(t.Context(), "nrhn-d", vip); err == nil || !strings.Contains(err.Error(), `"nrhn-d" is down`) {
		t.Errorf("down: %v", err)
	}
}

// TestAddingAVIPMovesItsNeighbours gives the peer a neighbour entry of another machine
// for the VIP, which only an announcement replaces at once.
func TestAddingAVIPMovesItsNeighbours(t *testing.T) {
	l := newLab(t)
	l.peerHolds("192.0.2.21/24")
	l.ok(l.there.NeighSet(&netlink.Neigh{
		LinkIndex: l.far.Attrs().Index, IP: net.IP(vip.AsSlice()), HardwareAddr: hardware(other), State: netlink.NUD_REACHABLE,
	}))
	want := Want{Addresses: []Address{announced("192.0.2.10/32", "nrhn-d")}}
	if _, err := New(new(memLedger), slog.New(slog.DiscardHandler)).Set(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the peer's entry for the VIP names the director", func() bool {
		entries, err := l.there.NeighList(l.far.Attrs().Index, netlink.FAMILY_V4)
		l.ok(err)
		return slices.ContainsFunc(entries, func(n netlink.Neigh) bool {
			return addrOf(n.IP) == vip && slices.Equal(n.HardwareAddr, l.link.Attrs().HardwareAddr)
		})
	})
}
