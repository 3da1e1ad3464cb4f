package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// "ip netns exec" and units with a mount namespace of their own see another file system
// than the first process, which ends with them: a bpffs mounted there would take the
// pins along.

// MountPins makes dir a bpffs, in the outermost mount namespace, if it is none yet, and
// returns the path by which this process reaches it.
func MountPins(dir string) (string, error) {
	seen, err := pinPath(dir)
	if err != nil {
		return "", err
	}
	// The directory of all instances is everybody's to look into, an instance's is not.
	err = errors.Join(os.MkdirAll(filepath.Dir(filepath.Dir(seen)), 0o755), os.MkdirAll(seen, 0o700))
	if err != nil {
		return "", fmt.Errorf("make the directory of the pins: %w", err)
	}
	if isBPFFS(seen) {
		return seen, nil
	}
	if err := outside(func() error { return unix.Mount("bpf", dir, "bpf", 0, "mode=0700") }); err != nil {
		return "", fmt.Errorf("mount a bpffs on %s: %w", dir, err)
	}
	if !isBPFFS(seen) {
		return "", fmt.Errorf("mount a bpffs on %s: it is not there afterwards", dir)
	}
	return seen, nil
}

// UnmountPins removes the pins in dir and the bpffs itself. The tables, and with them
// all conns, end when no program uses them any more.
func UnmountPins(dir string) error {
	seen, err := pinPath(dir)
	if err != nil || !isBPFFS(seen) {
		return err
	}
	if err := removePins(seen); err != nil {
		return err
	}
	return outside(func() error { // the directory too: it may be a mount point in this namespace
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount the bpffs on %s: %w", dir, err)
		}
		return os.Remove(dir)
	})
}

// removePins removes the tables in a bpffs, but not the kernel's own files there
// (maps.debug, progs.debug: kernel/bpf/inode.c).
func removePins(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list pins: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".debug") {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove a pin: %w", err)
		}
	}
	return nil
}

// Pinned says whether dir holds a packet path.
func Pinned(dir string) (bool, error) {
	seen, err := pinPath(dir)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(filepath.Join(seen, lbMapSettings))
	return err == nil, nil
}

// pinPath returns how this process reaches dir of the outermost mount namespace.
func pinPath(dir string) (string, error) {
	outer, err := outermost()
	if err != nil || outer == "" {
		return dir, err
	}
	return outer + "/root" + dir, nil
}

// outermost returns the directory below /proc of a process in the outermost mount
// namespace that this one may enter, "" if that is its own. It is the first process's,
// or in a container that may not look at that one, of the furthest ancestor.
func outermost() (string, error) {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return "", fmt.Errorf("read this process's mount namespace: %w", err)
	}
	for _, pid := range slices.Backward(ancestors()) {
		proc := fmt.Sprintf("/proc/%d", pid)
		theirs, err := os.Readlink(proc + "/ns/mnt")
		if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read the mount namespace of process %d: %w", pid, err)
		}
		if theirs == own {
			proc = ""
		}
		return proc, nil
	}
	return "", nil // confined: what this process sees is all there is
}

// ancestors returns this process's parent, its parent and so on. The first process is
// everybody's last.
func ancestors() []int {
	var all []int
	for pid := os.Getppid(); pid > 1; {
		all = append(all, pid)
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		// proc_pid_stat(5): the name in parentheses may hold any character.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 {
			break
		}
		if pid, err = strconv.Atoi(fields[1]); err != nil {
			break
		}
	}
	return append(all, 1)
}

func isBPFFS(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.BPF_FS_MAGIC
}

// outside runs f in the outermost mount namespace, on a thread that is given up
// afterwards.
func outside(f func() error) error {
	outer, err := outermost()
	if err != nil {
		return err
	}
	if outer == "" {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- enter(outer, f)
	}()
	return <-done
}

func enter(proc string, f func() error) error {
	ns, err := os.Open(proc + "/ns/mnt")
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare the thread's working directory: %w", err)
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter the mount namespace of %s: %w", proc, err)
	}
	return f()
}
