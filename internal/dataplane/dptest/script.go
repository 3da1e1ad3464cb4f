package dptest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Command carries out one line of a script and returns what is to be seen of it.
type Command func(line string, file func(name string) string) string

// Script is one testdata/*.txtar: a section "run" of commands and a section "out" of each
// command after "> " and then what it returned, beside sections that commands name.
type Script struct {
	path    string
	archive *txtar.Archive
}

// Scripts calls test with every script of the calling package.
func Scripts(t *testing.T, test func(*testing.T, *Script)) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("find scripts: %v, %d found", err, len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			test(t, &Script{path, archive})
		})
	}
}

// Run gives each line of the section "run" to the command, and compares with the section
// "out". With UPDATE=1 in the environment it rewrites that section instead.
func (s *Script) Run(t *testing.T, run Command) {
	var out bytes.Buffer
	file := func(name string) string { return string(s.section(t, name).Data) }
	for line := range strings.Lines(file("run")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		out.WriteString("> " + line + "\n")
		if text := run(line, file); text != "" {
			out.WriteString(strings.TrimSuffix(text, "\n") + "\n")
		}
	}
	if os.Getenv("UPDATE") != "" {
		s.section(t, "out").Data = out.Bytes()
		if err := os.WriteFile(s.path, txtar.Format(s.archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(file("out"), "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", s.path, diff)
	}
}

func (s *Script) section(t *testing.T, name string) *txtar.File {
	for i := range s.archive.Files {
		if s.archive.Files[i].Name == name {
			return &s.archive.Files[i]
		}
	}
	t.Fatalf("%s has no section %q", s.path, name)
	return nil
}
