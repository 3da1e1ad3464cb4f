package control

import (
	"fmt"

	"naru/internal/model"
)

// File is what the configuration file names.
type File struct {
	Name     string // as errors and owners spell it
	Services []FileService
	Timeouts model.Timeouts // a 0 is the default
}

// FileService is a service of the file, and where it is written.
type FileService struct {
	model.Service
	Line      int
	RealLines []int // one for each real, or none
}

// owner says where the service is written.
func (f *File) owner(s *FileService) model.Owner {
	return model.Owner{Kind: model.FileOwner, File: f.Name, Line: s.Line}
}

// realOwner says where the service's real i is written.
func (f *File) realOwner(s *FileService, i int) model.Owner {
	o := f.owner(s)
	if i < len(s.RealLines) {
		o.Line = s.RealLines[i]
	}
	return o
}

// place says in messages where something is written.
func place(o model.Owner) string {
	switch {
	case o.File == "":
		return "the configuration file"
	case o.Line == 0:
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// timeouts returns the file's, with the defaults of those it leaves out.
func (f *File) timeouts() model.Timeouts { return overlay(model.DefaultTimeouts, f.Timeouts) }

// overlay returns base with those of over that are set.
func overlay(base, over model.Timeouts) model.Timeouts {
	set := func(t *model.Seconds, o model.Seconds) {
		if o != 0 {
			*t = o
		}
	}
	set(&base.TCP, over.TCP)
	set(&base.TCPFin, over.TCPFin)
	set(&base.UDP, over.UDP)
	return base
}

// fileIndex is a File that was checked, with its services by key.
type fileIndex struct {
	File
	byKey map[model.Key]*FileService
}

// check refuses a file that breaks a rule. The configuration's reader has told the
// mistakes of a whole file before; this keeps the tables safe from any other caller.
func check(f File) (fileIndex, *model.Refusal) {
	x := fileIndex{File: f, byKey: make(map[model.Key]*FileService, len(f.Services))}
	for i := range f.Services {
		s := &f.Services[i]
		if faults := s.Check(); len(faults) > 0 {
			return x, refuse(model.Invalid, "", "%s: service %s: %s", place(f.owner(s)), s.Title(), faults[0].Text)
		}
		if other := x.byKey[s.Key]; other != nil {
			return x, refuse(model.Invalid, "remove one of them",
				"%s: service %s is written already at %s", place(f.owner(s)), s.Key, place(f.owner(other)))
		}
		x.byKey[s.Key] = s
	}
	if r := checkTimeouts(f.Timeouts); r != nil {
		return x, r
	}
	return x, nil
}

func checkTimeouts(t model.Timeouts) *model.Refusal {
	for _, v := range []model.Seconds{t.TCP, t.TCPFin, t.UDP} {
		if v > model.MaxTimeout {
			return refuse(model.Invalid, "", "timeout %d s is out of range: use 1 to %d", v, model.MaxTimeout)
		}
	}
	return nil
}

// refuse makes a Refusal that concerns no edit in particular.
func refuse(code model.Code, hint, format string, args ...any) *model.Refusal {
	return &model.Refusal{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint, Edit: -1}
}
