package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata expect")

// TestScripts reads each testdata/*.txtar: a naru.yaml or real.yaml, and either the
// faults or the configuration that come of it. If there are faults, the comment says
// whether the JSON Schema sees them ("schema: sees") or cannot ("schema: blind").
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("find scripts: %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	script, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	input := script.Files[0]
	section, got := read(t, input)
	if *update {
		script.Files = []txtar.File{input, {Name: section, Data: []byte(got)}}
		if err := os.WriteFile(file, txtar.Format(script), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if len(script.Files) != 2 || script.Files[1].Name != section {
		t.Fatalf("want sections %s and %s; the latter would be\n%s", input.Name, section, got)
	} else if diff := cmp.Diff(string(script.Files[1].Data), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", section, diff)
	}
	checkSchema(t, script, section == "config")
}

// read returns which section a file's reading belongs in, and its text.
func read(t *testing.T, input txtar.File) (section, dump string) {
	var err error
	switch input.Name {
	case "naru.yaml":
		var c *Config
		if c, err = Parse(input.Name, input.Data); err == nil {
			return "config", dumpConfig(c)
		}
	case "real.yaml":
		var c *RealConfig
		if c, err = ParseReal(input.Name, input.Data); err == nil {
			return "config", dumpReal(c)
		}
	default:
		t.Fatalf("the first section is %q: want naru.yaml or real.yaml", input.Name)
	}
	var faults Errors
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("error is %#v: want Errors", err)
	}
	return "faults", faults.Error() + "\n"
}

// dumpConfig writes a configuration with every default spelled out.
func dumpConfig(c *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "vips %s, miss %s, conns %d, timeouts %d %d %d\n",
		c.VIPs, c.Miss, c.Conns, c.Timeouts.TCP, c.Timeouts.TCPFin, c.Timeouts.UDP)
	for _, i := range c.Interfaces {
		fmt.Fprintf(&b, "line %d: interface %s hook %s\n", i.Line, i.Name, i.Hook)
	}
	for _, s := range c.Services {
		fmt.Fprintf(&b, "line %d: %s %s %q\n", s.Line, s.Key, s.Scheduler, s.Name)
		for i, r := range s.Reals {
			fmt.Fprintf(&b, "line %d:   %s %s weight %d %q\n", s.RealLines[i], r.Address, r.Forward, r.Weight, r.Name)
		}
	}
	return b.String()
}

func dumpReal(c *RealConfig) string {
	var b strings.Builder
	for _, v := range c.VIPs {
		fmt.Fprintf(&b, "line %d: %s %s directors %v gateway %s interface %q\n",
			v.Line, v.VIP, v.Forward, v.Directors, v.Gateway, v.Interface)
	}
	return b.String()
}

func TestEmptyFileIsTheDefaults(t *testing.T) {
	want := &Config{VIPs: DefaultVIPs, Miss: DefaultMiss, Conns: DefaultConns, Timeouts: defaultTimeouts()}
	for _, text := range []string{"", "\n", "# only a comment\n", "---\n", "{}\n", "null\n", "services:\n", "services: []\ninterfaces: {}\ntimeouts:\n", "\ufeff# with a byte order mark\n"} {
		got, err := Parse("naru.yaml", []byte(text))
		if err != nil {
			t.Errorf("parse %q: %v", text, err)
		} else if diff := cmp.Diff(want, got, cmp.Comparer(sameLists)); diff != "" {
			t.Errorf("parse %q (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{"", "# only a comment\n", "vips:\n", "vips: []\n"} {
		if got, err := ParseReal("real.yaml", []byte(text)); err != nil || len(got.VIPs) != 0 {
			t.Errorf("parse real %q: %+v, %v", text, got, err)
		}
	}
}

// sameLists holds an empty list equal to none.
func sameLists(a, b []Interface) bool { return len(a) == 0 && len(b) == 0 }

func TestFiveFaultsOfDifferentKindsAreFive(t *testing.T) {
	text := strings.Join([]string{
		"miss: rst",
		"conn: 5000", // 2:1 unknown key
		"services:",
		"  - {name: a, vip: 192.0.2.10, port: 80}",
		"  - name: b",
		"    vip: 192.0.2.10",
		"    port: eighty",                // 7:11 wrong type
		"  - {vip: 192.0.2.10, port: 80}", // 8:5 duplicate service
		"  - vip: 192.0.2.11",
		"    port: 81",
		"    reals:",
		"      - {address: 192.0.2.21, weight: 70000}", // 12:39 out of range
		"      - 192.0.2.22:8081",                      // 13:9 port mapping with dr
	}, "\n")
	_, err := Parse("naru.yaml", []byte(text))
	var faults Errors
	errors.As(err, &faults)
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%d:%d", f.Line, f.Column))
	}
	if diff := cmp.Diff([]string{"2:1", "7:11", "8:5", "12:39", "13:9"}, got); diff != "" {
		t.Errorf("places (-want +got):\n%s\n%v", diff, err)
	}
}

// Places are counted as an editor does: in characters, whatever ends a line.
func TestPlacesAreThoseOfAnEditor(t *testing.T) {
	for text, want := range map[string]string{
		"vips: own\r\nconns: 1\r\n":      "f:2:8: conns 1 is out of range: use 1024 to 16777216",
		"\ufeffconns: 1\n":               "f:1:8: conns 1 is out of range: use 1024 to 16777216",
		"interfaces: {é: {}, a: {x: 1}}": "f:1:14: interfaces: interface \"é\" cannot be the name of one: write a name that ip link shows\nf:1:25: interface a: unknown key \"x\": known here: hook",
		"# é\n\xff":                      "f:2:1: here is a byte that is not UTF-8: save the file as UTF-8",
	} {
		if _, err := Parse("f", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("parse %q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// A file that would exhaust the library's stack, memory or time is refused instead.
func TestDeepNestingIsRefused(t *testing.T) {
	var steps strings.Builder
	for i := range 2000 {
		steps.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	texts := map[string]string{"steps": steps.String(), "line": strings.Repeat("[", 1<<20)}
	for _, part := range []string{"[", "{a:", "-", "?", "a:", `"a":`, "!t", "&a", "*a", "- &a", "- !t", "? !t", "? -", "%YAML 1.2", "&a !t"} {
		texts[part] = strings.Repeat(part+" ", maxLine/(len(part)+1))
		texts[part+" by lines"] = strings.Repeat(part+"\n", 1<<13)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			var faults Errors
			if _, err := Parse("f", []byte(text)); !errors.As(err, &faults) {
				t.Fatalf("error is %v", err)
			}
			if deep := []string{"steps", "-", "?", "[", "{a:", "- !t", "!t by lines", "[ by lines"}; slices.Contains(deep, name) && !strings.Contains(faults[0].Text, "too deeply") {
				t.Error("not found to be deep")
			}
			t.Logf("%d faults, the first: %.200s", len(faults), faults[0])
		})
	}
}

// JSON is YAML, and a long file of it is not a deep one.
func TestLongFilesAreNotDeep(t *testing.T) {
	var b strings.Builder
	b.WriteString("{\"services\": [\n")
	for i := range 500 {
		fmt.Fprintf(&b, "{\"vip\": \"192.0.2.10\", \"port\": %d, \"reals\": [\"192.0.2.21\", \"192.0.2.22\"]},\n", i+1)
	}
	b.WriteString("]}\n")
	if c, err := Parse("naru.yaml", []byte(b.String())); err != nil || len(c.Services) != 500 {
		t.Errorf("parse JSON: %v", err)
	}
	_, err := ParseReal("real.yaml", []byte("vips:\n"+strings.Repeat("-\n", 500)))
	if faults, _ := err.(Errors); len(faults) != 500 {
		t.Errorf("500 empty entries have %d faults: %v", len(faults), err)
	}
}

func TestErrorReadsAsOneSentence(t *testing.T) {
	e := Error{File: "naru.yaml", Line: 12, Column: 7, Path: `services[0] "web": real 2`, Text: "weight 70000 is out of range", Hint: "use 0 to 65535"}
	want := `naru.yaml:12:7: services[0] "web": real 2: weight 70000 is out of range: use 0 to 65535`
	if e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
	if e := (Error{File: "naru.yaml", Text: "odd"}); e.Error() != "naru.yaml: odd" {
		t.Errorf("without a place: %s", e)
	}
}

// Each line of a caller that prints joined errors one by one is one fault.
func TestErrorsUnwrapIntoEach(t *testing.T) {
	_, err := Parse("f", []byte("a: 1\nb: 2\n"))
	many, ok := err.(interface{ Unwrap() []error })
	if !ok || len(many.Unwrap()) != 2 {
		t.Fatalf("error is %#v: want two", err)
	}
	var one Error
	if !errors.As(err, &one) || one.Line != 1 {
		t.Errorf("first is %+v", one)
	}
}
