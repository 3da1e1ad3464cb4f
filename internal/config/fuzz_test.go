package config

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// seed adds the inputs of the scripts with the name, and the reference.
func seed(f *testing.F, name string, more ...[]byte) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		script, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if script.Files[0].Name == name {
			f.Add(script.Files[0].Data)
		}
	}
	for _, data := range more {
		f.Add(data)
	}
}

// checkErrors holds what is said about a file that is refused to its contract.
func checkErrors(t *testing.T, data []byte, err error) {
	var faults Errors
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("error is %#v: want Errors", err)
	}
	lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 1
	for _, e := range faults {
		if e.File != "f" || e.Text == "" || e.Line < 1 || e.Column < 1 || e.Line > lines {
			t.Errorf("fault without a place in %d lines: %+v", lines, e)
		}
	}
}

// FuzzParse: no file makes Parse panic, reading is a function of the file, and what is
// taken is within every rule.
func FuzzParse(f *testing.F) {
	seed(f, "naru.yaml", Reference())
	f.Fuzz(func(t *testing.T, data []byte) {
		kept := bytes.Clone(data)
		c, err := Parse("f", data)
		again, errAgain := Parse("f", data)
		if !bytes.Equal(kept, data) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			checkErrors(t, data, err)
			if errAgain == nil || err.Error() != errAgain.Error() {
				t.Fatalf("a second reading differs:\n%v\n%v", err, errAgain)
			}
			return
		}
		if diff := cmp.Diff(dumpConfig(c), dumpConfig(again)); diff != "" {
			t.Fatalf("a second reading differs:\n%s", diff)
		}
		for i := range c.Services {
			s := &c.Services[i]
			if faults := s.Check(); faults != nil || len(s.RealLines) != len(s.Reals) || s.Line < 1 {
				t.Fatalf("service %d was taken with %v: %+v", i, faults, s)
			}
		}
		if c.Conns < MinConns || c.Conns > MaxConns || c.Timeouts.TCP < 1 || c.Timeouts.TCPFin < 1 || c.Timeouts.UDP < 1 {
			t.Fatalf("settings out of range were taken: %+v", c)
		}
	})
}

// FuzzParseReal is the same for the real server's file.
func FuzzParseReal(f *testing.F) {
	seed(f, "real.yaml", RealReference())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseReal("f", data)
		if err != nil {
			checkErrors(t, data, err)
			return
		}
		for _, v := range c.VIPs {
			if faults := CheckRealVIP(v); faults != nil || v.Line < 1 {
				t.Fatalf("%+v was taken with %v", v, faults)
			}
		}
	})
}
