package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"naru/internal/api"
)

// InUseError says that another daemon has the socket.
type InUseError struct {
	Socket string
	PID    int // 0 if it holds the lock but does not answer
}

// Error implements error.
func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("listen on %s: another naru holds it and does not answer", e.Socket)
	}
	return fmt.Sprintf("listen on %s: naru runs already, as process %d", e.Socket, e.PID)
}

// Hint says how to mend it.
func (e *InUseError) Hint() string {
	return "stop that one first, or give this one a name of its own by --instance"
}

// socket is a listening unix socket and the lock that makes it ours: two daemons
// that start at once could otherwise each remove what they take for a stale socket.
type socket struct {
	listener *net.UnixListener
	lock     *os.File
}

// The files beside the socket are opened by others than root only if its directory
// lets them in, which it does not.
const (
	dirMode    = 0o700
	socketMode = 0o600
)

// listen makes the directory and the socket in it, and marks the directory with the
// network namespace that commands will look for.
func listen(path string) (_ *socket, err error) {
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	lock, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err = errors.Join(os.Chmod(path, socketMode), markNetns(dir)); err != nil {
		l.Close()
		return nil, err
	}
	return &socket{l, lock}, nil
}

// close also removes the socket's file, so that commands are told at once that naru
// is not running. The lock's file stays: removing it would let two daemons each lock
// a file of that name.
func (s *socket) close() error {
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	s.lock.Close()
	return err
}

func makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make directory of the api: %w", err)
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory of the api: %w", err)
	}
	if err := os.Chmod(dir, dirMode); err != nil { // it may have been there, or the umask took bits away
		return fmt.Errorf("make directory of the api: %w", err)
	}
	return nil
}

// takeLock holds a file beside the socket for as long as this process lives
// (flock(2): the kernel lets go of it with the process, however that ends).
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, socketMode)
	if err != nil {
		return nil, fmt.Errorf("lock the api's socket: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock the api's socket: %w", err)
	}
	pid, _ := answering(path)
	return nil, &InUseError{path, pid}
}

// removeStale removes what a crashed daemon left at path. Anything that is not a
// socket, or that somebody answers, is left alone.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	if st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listen on %s: a file that is not a socket is in its place: move it away", path)
	}
	pid, err := answering(path)
	if err == nil {
		return &InUseError{path, pid}
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen on %s: cannot tell whether somebody answers there: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

// answering connects to a socket and returns the pid of whoever listens there.
func answering(path string) (int, error) {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	peer, err := api.PeerOf(c.(*net.UnixConn))
	return peer.PID, err
}

// markNetns writes the file that api.Discover compares. It outlives the daemon, as
// forwarding does, so that "naru off" finds the instance too.
func markNetns(dir string) error {
	inode, err := api.OwnNetns()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, filepath.Base(api.NetnsFile("")))
	if err := os.WriteFile(path, []byte(strconv.FormatUint(inode, 10)+"\n"), 0o644); err != nil {
		return fmt.Errorf("mark network namespace: %w", err)
	}
	return nil
}
