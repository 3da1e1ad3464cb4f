package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
)

// File is one JSON document of a state directory. A File has one user at a time.
type File struct {
	dir  string
	name string
}

// File returns the file of this name, which need not exist.
func (d *Dir) File(name string) *File { return &File{d.path, name} }

func (f *File) path() string { return filepath.Join(f.dir, f.name) }

// Load reads the file into v, a pointer. A file that does not exist sets v to its zero
// value. One that cannot be understood does too, is moved aside and reported by a
// *CorruptError, so that the caller may go on without it.
func (f *File) Load(v any) error {
	target := reflect.ValueOf(v).Elem()
	target.SetZero()
	text, err := os.ReadFile(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	if err := decode(text, v); err != nil {
		target.SetZero()
		aside := f.path() + ".corrupt"
		if moved := os.Rename(f.path(), aside); moved != nil {
			return fmt.Errorf("load state %s: %w; keep it aside: %w", f.path(), err, moved)
		}
		return &CorruptError{Path: f.path(), Aside: aside, Cause: err}
	}
	return nil
}

// decode is strict: a field that this version does not know would be lost at the next Save.
func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more follows after the document")
	}
	return nil
}

// Save replaces the file by v as JSON. After success the new content survives a power
// failure; after an error the old one stays, unless it was only the directory that could
// not be put on disk.
func (f *File) Save(v any) error {
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("save state %s: %w", f.path(), err)
	}
	if err := f.replace(append(text, '\n')); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return fmt.Errorf("save state: no room left on the file system of %s: make room there (%w)", f.dir, err)
		}
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// replace writes a new file beside the old one and gives it the name once it is on disk.
func (f *File) replace(text []byte) error {
	temp, err := os.CreateTemp(f.dir, tempPrefix+f.name+"-*")
	if err != nil {
		return err
	}
	if _, err = temp.Write(text); err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.path())
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDir(f.dir)
}

// syncDir puts the directory's new names on disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CorruptError says that a file could not be understood and where it was moved.
type CorruptError struct {
	Path, Aside string
	Cause       error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("state %s cannot be understood (%v): it is kept as %s and this director goes on without what it held", e.Path, e.Cause, e.Aside)
}

// KeptAside returns where the file is now. That the error has this method tells a user of
// File who cannot import this package that it may go on.
func (e *CorruptError) KeptAside() string { return e.Aside }
