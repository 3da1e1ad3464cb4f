package hostnet

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// lab is two network namespaces joined by a veth pair: the test runs in the
// director's, where the link is nrhn-d with 192.0.2.1/24; the peer's is nrhn-p.
type lab struct {
	t         *testing.T
	dir, peer netns.NsHandle
	there     *netlink.Handle // of the peer's namespace
	link      netlink.Link    // nrhn-d
	far       netlink.Link    // nrhn-p
}

// newLab makes a lab. It ties the test to its thread, which the runtime discards at
// the test's end, and with it the namespaces.
func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("network namespaces need root, and CI must not skip")
		}
		t.Skip("network namespaces need root")
	}
	runtime.LockOSThread()
	l := &lab{t: t}
	var err error
	l.peer, err = netns.New()
	l.ok(err)
	l.dir, err = netns.New()
	l.ok(err)
	l.there, err = netlink.NewHandleAt(l.peer)
	l.ok(err)
	t.Cleanup(func() { l.there.Close(); l.dir.Close(); l.peer.Close() })
	l.ok(netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "nrhn-d"}, PeerName: "nrhn-p",
		PeerNamespace: netlink.NsFd(l.peer),
	}))
	l.link, err = netlink.LinkByName("nrhn-d")
	l.ok(err)
	l.far, err = l.there.LinkByName("nrhn-p")
	l.ok(err)
	lo, err := netlink.LinkByName("lo")
	l.ok(err)
	l.ok(netlink.LinkSetUp(lo))
	l.ok(netlink.LinkSetUp(l.link))
	l.ok(l.there.LinkSetUp(l.far))
	l.ok(netlink.AddrAdd(l.link, netAddr("192.0.2.1/24")))
	return l
}

func (l *lab) ok(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// peerHolds adds addresses to the peer.
func (l *lab) peerHolds(prefixes ...string) {
	l.t.Helper()
	for _, p := range prefixes {
		l.ok(l.there.AddrAdd(l.far, netAddr(p)))
	}
}

// in runs f in a thread of its own in a namespace, and returns how to wait for it.
func (l *lab) in(ns netns.NsHandle, f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := netns.Set(ns)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return func() error { return <-done }
}

// addresses lists the IPv4 addresses of an interface of the director.
func (l *lab) addresses(name string) (all []string) {
	l.t.Helper()
	link, err := netlink.LinkByName(name)
	l.ok(err)
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	l.ok(err)
	for _, a := range addrs {
		all = append(all, a.IPNet.String())
	}
	return all
}

// sysctl reads one of the director's.
func (l *lab) sysctl(path string) string {
	l.t.Helper()
	v, err := linux{}.sysctl(path)
	l.ok(err)
	return v
}

func netAddr(prefix string) *netlink.Addr {
	return &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(prefix))}
}

func macOf(l netlink.Link) mac { return mac(l.Attrs().HardwareAddr) }

func hardware(m mac) net.HardwareAddr { return m[:] }

// memLedger is a ledger that outlives Managers, as a file does.
type memLedger []byte

func (m *memLedger) Load(v any) error {
	if *m == nil {
		return nil
	}
	return json.Unmarshal(*m, v)
}

func (m *memLedger) Save(v any) (err error) {
	*m, err = json.Marshal(v)
	return err
}

// eventually polls until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
