package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// namespaces is where ip netns and everybody else look for named network namespaces.
const namespaces = "/run/netns"

// clean removes the namespaces of the prefix and the processes in them.
func clean(prefix string) error {
	entries, err := os.ReadDir(namespaces)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for namespaces: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if node, ok := strings.CutPrefix(e.Name(), prefix); ok && nodeName.MatchString(node) {
			errs = append(errs, removeNamespace(filepath.Join(namespaces, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func removeNamespace(path string) error {
	if err := endProcesses(path); err != nil {
		return err
	}
	// EINVAL: not a mount, because whoever made the file died before mounting.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove namespace: %w", err)
	}
	return nil
}

// endProcesses kills the processes whose network namespace is the one at path, but not
// this one. Each is held by a pidfd before it is looked at a second time, so that a
// number that has been given to another process cannot be hit.
func endProcesses(path string) error {
	want, err := identity(path)
	if err != nil {
		return fmt.Errorf("look at namespace: %w", err)
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("look for processes: %w", err)
	}
	var errs []error
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if in(pid, want) {
			errs = append(errs, endProcess(pid, want))
		}
	}
	return errors.Join(errs...)
}

func endProcess(pid int, ns inode) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // gone by itself
	}
	defer unix.Close(fd)
	if !in(pid, ns) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	for { // a pidfd is readable once its process has ended
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
		switch {
		case err == unix.EINTR:
		case n == 0:
			return fmt.Errorf("end process %d: it did not end within 5 s", pid)
		default:
			return nil
		}
	}
}

// inode identifies a namespace.
type inode struct{ dev, ino uint64 }

func in(pid int, ns inode) bool {
	got, err := identity(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err == nil && got == ns
}

func identity(path string) (inode, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return inode{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return inode{uint64(st.Dev), st.Ino}, nil
}
