package agent

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"naru/internal/decap"
	"naru/internal/hostnet"
)

// facts are what the host is like now.
type facts struct {
	ports    []hostnet.Port
	sysctl   func(key string) int
	nextHop  func(from, to netip.Addr) (gateway netip.Addr, iface string, err error)
	decap    decap.State
	decapErr error // why decap is not known
}

// look gathers the facts.
func look() (facts, error) {
	f := facts{sysctl: readSysctl, nextHop: hostnet.NextHop}
	var err error
	if f.ports, err = hostnet.Survey(); err != nil {
		return f, err
	}
	f.decap, f.decapErr = decap.Read()
	return f, nil
}

// effective returns what a per-interface sysctl amounts to: the greater of conf/all
// and the interface's own (IN_DEV_MAXCONF in include/linux/inetdevice.h).
func (f facts) effective(iface, name string) int {
	return max(f.sysctl(confKey("all", name)), f.sysctl(confKey(iface, name)))
}

// readSysctl returns a numeric sysctl, or -1 for one that cannot be read.
func readSysctl(key string) int {
	b, err := os.ReadFile(filepath.Join("/proc/sys", key))
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return n
}
