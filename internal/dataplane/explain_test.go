package dataplane

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestLoadingErrorsSayWhatToDo: a kernel that is too old, a privilege that is missing
// and tables of another build are told apart, though the kernel says EPERM or EACCES to
// two of them.
func TestLoadingErrorsSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want error
		text string
	}{
		"a helper the kernel does not have": {fmt.Errorf("program: %w", ebpf.ErrNotSupported), ErrKernel, "Linux 6.1"},
		"a verifier that refuses":           {fmt.Errorf("program: %w", &ebpf.VerifierError{Cause: unix.EACCES}), ErrKernel, "Linux 6.1"},
		"no privilege":                      {fmt.Errorf("map create: %w", unix.EPERM), os.ErrPermission, "CAP_BPF"},
		"another layout":                    {fmt.Errorf("map: %w", ebpf.ErrMapIncompatible), ErrLayout, "naru off"},
		"anything else":                     {errors.New("out of memory"), nil, "load the packet path"},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(c.err)
			if c.want != nil && !errors.Is(got, c.want) || !strings.Contains(got.Error(), c.text) {
				t.Errorf("got %q", got)
			}
		})
	}
}
