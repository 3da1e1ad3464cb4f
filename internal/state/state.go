// Package state keeps what a daemon must not forget in a directory of its own: each
// file is replaced whole or not at all, and only one daemon uses the directory at a time.
package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// lockName is the file whose lock says that a daemon uses the directory.
const lockName = "lock"

// tempPrefix begins the names of files being written. It is followed by the file's name
// and a random suffix.
const tempPrefix = ".new-"

// errHeld is what flock returns if another process holds the lock.
var errHeld = errors.New("the lock is held")

// Dir is a state directory.
type Dir struct{ path string }

// Open makes the directory if it is missing, for its owner only.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open state directory %s: it is not a directory", path)
	}
	return &Dir{path}, nil
}

// Path returns the directory's path.
func (d *Dir) Path() string { return d.path }

// Lock makes this process the only user of the directory until release is called or it
// ends, however it ends. It also removes what a daemon that died while writing left.
func (d *Dir) Lock() (release func() error, err error) {
	path := filepath.Join(d.path, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errHeld) {
			return nil, &LockedError{Path: d.path, PID: holder(path)}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := errors.Join(f.Truncate(0), writePID(f), d.sweep()); err != nil {
		return nil, errors.Join(fmt.Errorf("lock state directory: %w", err), f.Close())
	}
	return f.Close, nil // closing releases the lock; the file stays, so that nobody locks a removed one
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintf(f, "%d\n", os.Getpid())
	return err
}

// holder returns the process id that the lock's holder wrote, "" if it has not yet.
func holder(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// sweep removes files that were being written when their writer died.
func (d *Dir) sweep() error {
	left, err := filepath.Glob(filepath.Join(d.path, tempPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// LockedError says that another process uses the directory.
type LockedError struct {
	Path string
	PID  string // "" if unknown
}

// Error implements error.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID != "" {
		who = "process " + e.PID
	}
	return fmt.Sprintf("state directory %s is in use by %s: stop it, or give this one an instance name or state directory of its own", e.Path, who)
}
