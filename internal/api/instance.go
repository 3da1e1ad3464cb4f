package api

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// DefaultInstance is the name of the only daemon of an ordinary machine.
const DefaultInstance = "default"

// EnvInstance is the environment variable that names the instance to talk to.
const EnvInstance = "NARU_INSTANCE"

// RunRoot and StateRoot hold one directory per instance. The first is gone after a
// boot, as the packet path's tables are; the second is not.
const (
	RunRoot   = "/run/naru"
	StateRoot = "/var/lib/naru"
)

// maxInstance keeps socket paths far below the 108 bytes of sockaddr_un (unix(7)).
const maxInstance = 32

// RunDir returns the directory of what the running instance needs: socket, pins.
func RunDir(instance string) string { return filepath.Join(RunRoot, instance) }

// Socket returns the path of the instance's API socket.
func Socket(instance string) string { return filepath.Join(RunDir(instance), "api.sock") }

// NetnsFile returns the path of the file that holds the inode number of the network
// namespace which the instance directs, so that commands run there find it.
func NetnsFile(instance string) string { return filepath.Join(RunDir(instance), "netns") }

// BPFDir returns where the instance's own bpffs is mounted.
func BPFDir(instance string) string { return filepath.Join(RunDir(instance), "bpf") }

// StateDir returns the directory of what the instance keeps over a boot.
func StateDir(instance string) string { return filepath.Join(StateRoot, instance) }

// CheckInstance says why a name cannot be an instance's: it becomes a directory.
func CheckInstance(name string) error {
	if name == "" || len(name) > maxInstance {
		return fmt.Errorf("instance %q: a name has 1 to %d characters", name, maxInstance)
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("instance %q: a name has only a-z, 0-9 and the hyphen", name)
		}
	}
	return nil
}

// Discover returns the instance a command means when its flags name none: that of
// NARU_INSTANCE; else the one that directs the caller's network namespace, so that
// "ip netns exec director ipvsadm -Ln" needs no option; else the default.
func Discover(getenv func(string) string) (string, error) {
	if name := getenv(EnvInstance); name != "" {
		return name, CheckInstance(name)
	}
	own, err := OwnNetns()
	if err != nil {
		return DefaultInstance, nil // no /proc: nothing to tell instances apart by
	}
	return discover(RunRoot, own)
}

// discover chooses among the instances of a namespace. A crash leaves a file behind
// and the kernel gives its inode number to the next namespace, so one that answers
// goes before one that does not. A namespace without a director is not given that of
// another: whoever types "ipvsadm -C" there does not mean the host's.
func discover(root string, own uint64) (string, error) {
	found := ""
	entries, _ := os.ReadDir(root) // none: no instance was ever started
	for _, e := range entries {
		name := e.Name()
		if CheckInstance(name) != nil || readNetns(filepath.Join(root, name, "netns")) != own {
			continue
		}
		if answers(filepath.Join(root, name, "api.sock")) {
			return name, nil
		}
		if found == "" || name == DefaultInstance {
			found = name
		}
	}
	if found != "" {
		return found, nil
	}
	if readNetns(filepath.Join(root, DefaultInstance, "netns")) != 0 {
		return "", errors.New("no naru directs this network namespace, and the default one directs another: name an instance by --instance or " + EnvInstance)
	}
	return DefaultInstance, nil
}

func answers(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// readNetns returns 0, no inode's number, for a file it cannot read.
func readNetns(path string) uint64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// NetnsOf returns the inode number of the network namespace that the instance was last
// started in, 0 if it never was.
func NetnsOf(instance string) uint64 { return readNetns(NetnsFile(instance)) }

// OwnNetns returns the inode number of the calling thread's network namespace, by
// which the kernel names it (namespaces(7)).
func OwnNetns() (uint64, error) {
	link, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return 0, fmt.Errorf("read own network namespace: %w", err)
	}
	number, ok := strings.CutPrefix(strings.TrimSuffix(link, "]"), "net:[")
	if !ok {
		return 0, fmt.Errorf("read own network namespace: %q is not of the form net:[N]", link)
	}
	return strconv.ParseUint(number, 10, 64)
}
