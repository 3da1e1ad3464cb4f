package hostnet

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
)

// errKilled is what a memory panics with when its budget is spent.
const errKilled = "killed"

// memory is a host and a ledger that can be killed before any change to either.
type memory struct {
	links    map[string]link
	held     []Address
	sysctls  map[string]string
	readonly map[string]bool // sysctls that answer EROFS
	refuse   map[Address]error
	owners   map[netip.Addr]net.HardwareAddr // who else answers on the LAN
	ledger   []byte
	budget   int // changes left before death; negative is no limit
	said     []string
}

func newMemory() *memory {
	return &memory{
		links: map[string]link{"lo": {}, "eth0": {ARP: true}, "eth1": {ARP: true}},
		sysctls: map[string]string{
			"kernel/random/boot_id": "boot-1", "net/ipv4/ip_forward": "0",
			"net/ipv4/conf/all/arp_ignore": "0", "net/ipv4/conf/all/arp_announce": "0",
		},
		held:   []Address{{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Interface: "eth0"}},
		budget: -1,
	}
}

func (m *memory) change(what string) {
	if m.budget == 0 {
		panic(errKilled)
	}
	m.budget--
	m.said = append(m.said, what)
}

func (m *memory) Load(v any) error {
	if m.ledger == nil {
		return nil
	}
	return json.Unmarshal(m.ledger, v)
}

func (m *memory) Save(v any) (err error) {
	m.change("save")
	m.ledger, err = json.Marshal(v)
	return err
}

func (m *memory) look() (map[string]link, []Address, error) {
	return m.links, slices.Clone(m.held), nil
}

func (m *memory) add(a Address) error {
	if err := m.refuse[a.bare()]; err != nil {
		return err
	}
	if slices.Contains(m.held, a.bare()) {
		return errThere
	}
	m.change("add " + a.String())
	m.held = append(m.held, a.bare())
	return nil
}

func (m *memory) remove(a Address) error {
	if err := m.refuse[a.bare()]; err != nil {
		return err
	}
	m.change("remove " + a.String())
	m.held = slices.DeleteFunc(m.held, func(x Address) bool { return x == a.bare() })
	return nil
}

func (m *memory) sysctl(path string) (string, error) {
	v, there := m.sysctls[path]
	if !there {
		return "", syscall.ENOENT
	}
	return v, nil
}

func (m *memory) setSysctl(path, value string) error {
	if m.readonly[path] {
		return syscall.EROFS
	}
	m.change("set " + path + " " + value)
	m.sysctls[path] = value
	return nil
}

// probe finds the host itself too: all its interfaces are on one LAN here.
func (m *memory) probe(_ string, vip netip.Addr) (waiter, error) {
	if slices.ContainsFunc(m.held, func(a Address) bool { return a.Prefix.Addr() == vip }) {
		return func(context.Context) (net.HardwareAddr, bool, error) { return own[:], true, nil }, nil
	}
	return func(ctx context.Context) (net.HardwareAddr, bool, error) {
		owner, found := m.owners[vip]
		return owner, found, ctx.Err()
	}, nil
}

func (m *memory) announce(iface string, vip netip.Addr) error {
	m.change("announce " + vip.String() + " on " + iface)
	return nil
}

// host returns everything but the ledger, to compare.
func (m *memory) host() (held []Address, sysctls map[string]string) {
	return slices.Clone(m.held), maps.Clone(m.sysctls)
}

// manager returns a Manager as a new process has it.
func (m *memory) manager() *Manager {
	return &Manager{ledger: m, log: slog.New(slog.NewTextHandler(io.Discard, nil)), kernel: m, lan: m}
}

// set runs one Set, which may be killed.
func (m *memory) set(t *testing.T, want Want) (changes []Change, err error, killed bool) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			if r != errKilled {
				panic(r)
			}
			killed = true
		}
	}()
	changes, err = m.manager().Set(t.Context(), want)
	return changes, err, false
}

func (m *memory) mustSet(t *testing.T, want Want) []Change {
	t.Helper()
	changes, err, _ := m.set(t, want)
	if err != nil {
		t.Fatalf("Set(%v): %v", want, err)
	}
	return changes
}
