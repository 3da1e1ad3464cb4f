package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"naru/internal/api"
)

func TestListenReplacesAStaleSocketOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "api.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)

	// While it is answered, though nobody holds the lock, it stays.
	s := New(options(&fake{}, path))
	var inUse *InUseError
	if err := s.Listen(); !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Fatalf("Listen beside a living socket: %v, want *InUseError naming process %d", err, os.Getpid())
	}
	left.Close()

	if err := s.Listen(); err != nil {
		t.Fatalf("Listen on a stale socket: %v", err)
	}
	defer s.Close()

	err = New(options(&fake{}, path)).Listen()
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || !strings.Contains(inUse.Hint(), "--instance") {
		t.Errorf("second Listen: %v, want *InUseError", err)
	}
	want := fmt.Sprintf("listen on %s: naru runs already, as process %d", path, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestListenLeavesOtherFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(options(&fake{}, path)).Listen(); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("Listen = %v, want a refusal to replace a file", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "mine" {
		t.Error("the file was touched")
	}
}

func TestAfterAFailedListenTheLockIsFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(options(&fake{}, path))
	if s.Listen() == nil {
		t.Fatal("Listen replaced a file")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Errorf("second try: %v", err)
	}
	s.Close()
}

func TestOnlyTheOwnerCanReachTheSocket(t *testing.T) {
	_, path := start(t, &fake{})
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		st, err := os.Stat(name)
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", name, st.Mode().Perm(), err, want)
		}
	}
}

func TestTheDirectoryNamesTheNamespace(t *testing.T) {
	_, path := start(t, &fake{})
	own, err := api.OwnNetns()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "netns"))
	if err != nil || string(b) != fmt.Sprintln(own) {
		t.Errorf("netns holds %q, %v, want %d", b, err, own)
	}
}

// nobody is a user who owns nothing here.
const nobody = 65534

func TestOtherUsersAreDenied(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("not root, in CI")
		}
		t.Skip("not root: cannot become another user")
	}
	_, path := start(t, &fake{})
	// As if somebody had opened the way to the socket.
	for _, p := range []string{filepath.Dir(filepath.Dir(filepath.Dir(path))), filepath.Dir(filepath.Dir(path)), filepath.Dir(path)} {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	conn := make(chan net.Conn, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		keep := ^uintptr(0)
		unix.RawSyscall(unix.SYS_SETRESUID, keep, nobody, keep) // of this thread alone
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Error(err)
		}
		conn <- c
	}()
	c := <-conn
	if c == nil {
		return
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	a, err := client.Get("http://naru" + api.PathServices)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusForbidden {
		t.Errorf("status %d for user %d, want 403", a.StatusCode, nobody)
	}
}

func TestRunEndsThoughAReaderDawdles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the whole patience of a shutdown")
	}
	f := &fake{conns: 10_000_000}
	path := filepath.Join(t.TempDir(), "api.sock")
	s := New(options(f, path))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET " + api.PathConns + " HTTP/1.1\r\nHost: naru\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 16)); err != nil { // the answer has begun
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("Run did not end")
	}
}
