package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ours says which package may import which others of ours. It is the architecture: a
// new edge is a change of this table, made in review. A package without a row fails.
var ours = map[string][]string{
	"internal/model": {},
	"internal/cli":   {},
	"internal/sched": {},
	"internal/state": {},
	"internal/lab":   {},
	"internal/hook":  {},

	"internal/config":    {"model"},
	"internal/hostnet":   {"model"},
	"internal/api":       {"model"},
	"internal/plan":      {"model", "sched"},
	"internal/decap":     {"hook"},
	"internal/dataplane": {"model", "plan", "hook"},
	"internal/control":   {"model", "plan"},
	"internal/metrics":   {"model", "plan"},
	"internal/agent":     {"model", "config", "hostnet", "decap"},
	"internal/server":    {"model", "api", "control", "metrics", "plan"},
	"internal/demo":      {"model", "api", "cli", "lab"},

	"internal/compat/ipvsadm": {"model", "api", "cli"},

	"internal/daemon": {"model", "api", "cli", "config", "control", "dataplane", "hook", "hostnet", "metrics", "plan", "server", "state"},

	"cmd/naru": {"model", "agent", "api", "cli", "compat/ipvsadm", "config", "daemon", "demo", "state"},

	"internal/dataplane/dptest": {"model", "plan", "sched"},
	"internal/lab/labtest":      {"lab"},
}

// helpers are packages that only tests import. They may import what tests may.
var helpers = []string{"internal/dataplane/dptest", "internal/lab/labtest"}

// theirs says which packages alone may import each module that is not ours. Tests may
// import any that go.mod has.
var theirs = map[string][]string{
	"github.com/cilium/ebpf":          {"internal/dataplane", "internal/decap", "internal/hook"},
	"github.com/vishvananda/netlink":  {"internal/hook", "internal/hostnet", "internal/lab"},
	"github.com/vishvananda/netns":    {"internal/lab"},
	"github.com/spf13/cobra":          {"cmd/naru"},
	"github.com/spf13/pflag":          {"cmd/naru"},
	"github.com/goccy/go-yaml":        {"internal/config"},
	"golang.org/x/sync/errgroup":      {"internal/daemon"},
	"golang.org/x/sys/unix":           {anyone},
	"github.com/gopacket/gopacket":    {testsOnly},
	"github.com/google/go-cmp":        {testsOnly},
	"github.com/rogpeppe/go-internal": {testsOnly},
}

const (
	anyone    = "*"
	testsOnly = "-"
)

// TestImportsFollowTheTables parses the import clauses by itself: what a child process
// such as go list reads, Go's cache of test results does not see. So it also sees the
// files of every operating system.
func TestImportsFollowTheTables(t *testing.T) {
	found := make(map[string]bool)
	for file, imports := range importsOf(t, "..") {
		pkg := path.Dir(file)
		found[pkg] = true
		if _, known := ours[pkg]; !known {
			t.Errorf("%s: package %s has no row in the table of this test", file, pkg)
			continue
		}
		for _, imported := range imports {
			if why := forbidden(pkg, imported); why != "" {
				t.Errorf("%s: imports %s: %s", file, imported, why)
			}
		}
	}
	if len(found) < 5 {
		t.Fatalf("only %d packages found: this test looks in the wrong place", len(found))
	}
}

// forbidden says why a package may not import another, "" if it may.
func forbidden(pkg, imported string) string {
	if name, is := strings.CutPrefix(imported, "naru/"); is {
		if !slices.Contains(ours[pkg], strings.TrimPrefix(name, "internal/")) {
			return "the table does not let " + pkg + " import it"
		}
		return ""
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for module, importers := range theirs {
		if imported != module && !strings.HasPrefix(imported, module+"/") {
			continue
		}
		if slices.Contains(importers, anyone) || slices.Contains(importers, pkg) || slices.Contains(helpers, pkg) {
			return ""
		}
		return "the table does not let " + pkg + " import this module"
	}
	return "this module has no row in the table"
}

// importsOf returns the imports of every Go file below root that is not a test, by the
// file's path from there.
func importsOf(t *testing.T, root string) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name != "." && (strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") || e.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		imports := []string{}
		for _, i := range parsed.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, imported)
		}
		all[name] = imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTheTableHasNoCycle keeps the table itself honest.
func TestTheTableHasNoCycle(t *testing.T) {
	state := make(map[string]int) // 1: being visited, 2: done
	var visit func(pkg string, trail []string)
	visit = func(pkg string, trail []string) {
		trail = append(trail, pkg)
		switch state[pkg] {
		case 1:
			t.Fatalf("cycle: %s", strings.Join(trail, " → "))
		case 2:
			return
		}
		state[pkg] = 1
		for _, next := range ours[pkg] {
			next = "internal/" + next
			if _, known := ours[next]; !known {
				t.Errorf("the row of %s names %s, which has no row", pkg, next)
			}
			visit(next, trail)
		}
		state[pkg] = 2
	}
	for pkg := range ours {
		visit(pkg, nil)
	}
}

// TestForbiddenSeesWhatIsForbidden shows that the tables can fail.
func TestForbiddenSeesWhatIsForbidden(t *testing.T) {
	for _, test := range []struct {
		pkg, imported string
		may           bool
	}{
		{"internal/model", "net/netip", true},
		{"internal/model", "naru/internal/plan", false},
		{"internal/plan", "naru/internal/sched", true},
		{"internal/agent", "naru/internal/dataplane", false},
		{"internal/control", "github.com/cilium/ebpf/link", false},
		{"internal/dataplane", "github.com/cilium/ebpf/link", true},
		{"internal/dataplane", "github.com/cilium/ebpfother", false},
		{"internal/server", "golang.org/x/sys/unix", true},
		{"internal/server", "golang.org/x/sync/errgroup", false},
		{"internal/server", "github.com/gopacket/gopacket", false},
		{"cmd/naru", "naru/internal/compat/ipvsadm", true},
		{"cmd/naru", "naru/internal/dataplane", false},
		{"internal/daemon", "naru/internal/dataplane/dptest", false},
		{"internal/dataplane/dptest", "github.com/google/go-cmp/cmp", true},
	} {
		if may := forbidden(test.pkg, test.imported) == ""; may != test.may {
			t.Errorf("may %s import %s? %v, want %v", test.pkg, test.imported, may, test.may)
		}
	}
}
