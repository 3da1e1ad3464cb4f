// Package labtest gives tests a lab, or a good reason to skip.
package labtest

import (
	"os"
	"testing"

	"naru/internal/lab"
)

// Need skips the test where a lab cannot run. Where the environment says CI, that is
// a failure: a skip there would hide that nothing was tested.
func Need(t testing.TB) {
	t.Helper()
	err := lab.Able()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("CI must be able to run a lab: %v", err)
	default:
		t.Skipf("needs a lab: %v", err)
	}
}

// New builds a lab that is removed when the test ends.
func New(t testing.TB, o lab.Options) *lab.Lab {
	t.Helper()
	Need(t)
	l, err := lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return l
}

// Serve runs the servers of every real on the default ports.
func Serve(t testing.TB, l *lab.Lab) {
	t.Helper()
	for i := 1; i <= l.Reals(); i++ {
		if err := l.Serve(lab.Real(i), lab.DefaultPorts); err != nil {
			t.Fatal(err)
		}
	}
}
