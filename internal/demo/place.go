package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"naru/internal/api"
	"naru/internal/lab"
)

// DefaultInstance is the demo's instance if none is named.
const DefaultInstance = "demo"

// place is where on this machine a demo keeps what it makes, by its instance.
type place struct{ instance string }

// prefix is that of the network namespaces' names.
func (p place) prefix() string {
	if p.instance == DefaultInstance {
		return "naru-"
	}
	return "naru-" + p.instance + "-"
}

// home is the directory of configuration, logs and links.
func (p place) home() string { return "/run/naru-" + p.instance }

func (p place) config() string { return filepath.Join(p.home(), "naru.yaml") }

// realInstance names what naru real keeps on a real: all nodes share this machine's
// files, so each needs a name.
func (p place) realInstance(node string) string { return p.instance + "-" + node }

// flag is what naru demo needs to be told to mean this place.
func (p place) flag() string {
	if p.instance == DefaultInstance {
		return ""
	}
	return " --instance " + p.instance
}

// removeFiles removes the demo's files, and what its instances of naru keep: their
// namespaces are gone, so there is nothing that "naru off" could still do.
func (p place) removeFiles() error {
	names := []string{p.instance}
	for i := 1; i <= reals; i++ {
		names = append(names, p.realInstance(lab.Real(i)))
	}
	var errs []error
	for _, name := range names {
		if err := unix.Unmount(api.BPFDir(name), unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			errs = append(errs, fmt.Errorf("unmount %s: %w", api.BPFDir(name), err))
			continue // what is below belongs to the mount
		}
		errs = append(errs, os.RemoveAll(api.RunDir(name)), os.RemoveAll(api.StateDir(name)))
	}
	for _, parent := range []string{api.RunRoot, api.StateRoot} {
		os.Remove(parent) // succeeds only if nothing else is in it
	}
	return errors.Join(append(errs, os.RemoveAll(p.home()))...)
}
