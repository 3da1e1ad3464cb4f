package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"naru/internal/hostnet"
)

// record is what an Agent remembers.
type record struct {
	// Host names the boot and the network namespace that the rest holds for: both
	// take everything with them when they end.
	Host   string          `json:"host"`
	VIPs   []entry         `json:"vips,omitempty"`   // by address
	Qdiscs []string        `json:"qdiscs,omitempty"` // interfaces that naru gave a clsact qdisc
	Ledger json.RawMessage `json:"ledger,omitempty"` // hostnet's
}

// entry is a VIP that is up, or about to be.
type entry struct {
	VIP
	Whole bool `json:"whole,omitempty"` // it is up because a file names it
}

// book is an open record.
type book struct {
	store  Store
	record record
}

// open loads the record, which is empty if it is not of this boot and namespace.
func open(store Store) (*book, error) {
	host, err := hostID()
	if err != nil {
		return nil, err
	}
	b := &book{store: store}
	if err := store.Load(&b.record); err != nil {
		return nil, fmt.Errorf("read the record of the VIPs that are up: %w", err)
	}
	if b.record.Host != host {
		b.record = record{Host: host}
	}
	return b, nil
}

func (b *book) save() error {
	if err := b.store.Save(b.record); err != nil {
		return fmt.Errorf("record the VIPs that are up: %w", err)
	}
	return nil
}

func (b *book) vips() []VIP {
	var all []VIP
	for _, e := range b.record.VIPs {
		all = append(all, e.VIP)
	}
	return all
}

// ledger is hostnet's part of the record.
func (b *book) ledger() hostnet.Ledger { return ledger{b} }

type ledger struct{ *book }

// Load implements hostnet.Ledger.
func (l ledger) Load(v any) error {
	if len(l.record.Ledger) == 0 {
		return nil
	}
	return json.Unmarshal(l.record.Ledger, v)
}

// Save implements hostnet.Ledger.
func (l ledger) Save(v any) (err error) {
	if l.record.Ledger, err = json.Marshal(v); err != nil {
		return err
	}
	return l.store.Save(l.record)
}

// hostID names this boot and network namespace. The namespace's cookie is never used
// again, as its inode number would be (netns_cookie, Linux 5.14).
func hostID() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read this boot's id: %w", err)
	}
	cookie, err := NetnsCookie()
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(boot)) + "/" + strconv.FormatUint(cookie, 10), nil
}

// NetnsCookie returns the number of the calling thread's network namespace.
func NetnsCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("read own network namespace: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("read own network namespace: %w", err)
	}
	return cookie, nil
}

// Instance returns the name under which the Agent of the calling thread's namespace
// keeps its record: "real" on the machine itself, and one of its own in any other
// namespace, since namespaces often share a file system.
func Instance() string {
	own, err := os.Readlink("/proc/thread-self/ns/net")
	first, err2 := os.Readlink("/proc/1/ns/net")
	cookie, err3 := NetnsCookie()
	if err3 != nil || err == nil && err2 == nil && own == first {
		return "real"
	}
	return "real-" + strconv.FormatUint(cookie, 10)
}
