package api

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"naru/internal/model"
)

// nobody is a user who owns nothing here.
const nobody = 65534

// asNobody calls f on a thread of that user, which ends with f. It needs root.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("not root, in CI")
		}
		t.Skip("not root: cannot become another user")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		keep := ^uintptr(0)
		// The raw call changes this thread alone, unlike syscall.Setresuid.
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, keep, nobody, keep); e != 0 {
			t.Errorf("become user %d: %v", nobody, e)
			return
		}
		f()
	}()
	<-done
}

func TestClientObeysOnlyRootAndItself(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o777), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "api.sock")
	var l net.Listener
	asNobody(t, func() {
		var err error
		if l, err = net.Listen("unix", path); err != nil {
			t.Error(err)
		}
	})
	if l == nil {
		t.FailNow()
	}
	defer l.Close()
	_, err := NewClient(path).Services(t.Context())
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != model.Denied {
		t.Errorf("error %v, want Denied: user %d serves the socket", err, nobody)
	}
}

func TestAForbiddenSocketIsNotUnreachable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	asNobody(t, func() {
		// A dial may be finished by another thread, but its connect(2) is made by this one.
		c := NewClient(filepath.Join(dir, "api.sock"))
		_, err = c.dial(t.Context())
	})
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != model.Denied || refused.Hint == "" {
		t.Errorf("error %v, want Denied with a hint", err)
	}
}
