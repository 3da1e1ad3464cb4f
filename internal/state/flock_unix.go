//go:build unix

package state

import (
	"errors"
	"os"
	"syscall"
)

// flock takes the file's lock, which the kernel gives back when its holder ends.
func flock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errHeld
	}
	return err
}
