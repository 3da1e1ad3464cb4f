package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"naru/internal/cli"
	"naru/internal/compat/ipvsadm"
	"naru/internal/config"
	"naru/internal/lab"
)

// The tests here run the documentation: what README and docs/ show is what there is.

const checkout = "../.."

// document is a Markdown file, by its path from the top of the checkout.
type document struct {
	path, text string
}

func documents(t *testing.T) (all []document) {
	t.Helper()
	top := os.DirFS(checkout)
	paths := []string{"README.md", "CHANGELOG.md", "bpf/LICENSE"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md", "changelog/*.md", "changelog/*/*.md"} {
		found, err := fs.Glob(top, pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		text, err := fs.ReadFile(top, path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, document{path, string(text)})
	}
	if len(all) < 8 {
		t.Fatalf("only %d documents: this test looks in the wrong place", len(all))
	}
	return all
}

// block is fenced text.
type block struct{ kind, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func (d document) blocks() (all []block) {
	for _, m := range fence.FindAllStringSubmatch(d.text, -1) {
		all = append(all, block{m[1], m[2]})
	}
	return all
}

func TestFilesInDocumentsAreGood(t *testing.T) {
	seen := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks() {
			if b.kind != "yaml" {
				continue
			}
			seen++
			var err error
			if strings.HasPrefix(b.text, "vips:\n") { // a list: the director's is a word
				_, err = config.ParseReal(d.path, []byte(b.text))
			} else {
				_, err = config.Parse(d.path, []byte(b.text))
			}
			if err != nil {
				t.Errorf("%s: a file that it shows:\n%s%v", d.path, b.text, err)
			}
		}
	}
	if seen < 2 {
		t.Errorf("only %d files shown: this test looks in the wrong place", seen)
	}
}

// prompt begins a command that a block shows: of a shell, or of a node of the lab.
var prompt = regexp.MustCompile(`^(?:([a-z]+[0-9]?)[#$] )(.*)$`)

// code is a span of code in running text.
var code = regexp.MustCompile("`([^`\n]+)`")

// commandsIn returns every command of ours that a document shows.
func (d document) commandsIn() (all []string) {
	for _, b := range d.blocks() {
		for line := range strings.Lines(b.text) {
			line = strings.TrimSpace(line)
			if m := prompt.FindStringSubmatch(line); m != nil && b.kind == "console" {
				all = append(all, m[2])
			} else if b.kind == "sh" {
				all = append(all, line)
			}
		}
	}
	for line := range strings.Lines(d.text) {
		if text, indented := strings.CutPrefix(line, "    go run ./cmd/"); indented {
			all = append(all, strings.TrimSpace(text))
		}
	}
	for _, m := range code.FindAllStringSubmatch(fence.ReplaceAllString(d.text, ""), -1) {
		all = append(all, m[1])
	}
	return all
}

// words splits a command of ours into its arguments, without the shell's part of the
// line; nil if it is of another program.
func words(command string) []string {
	command, _, _ = strings.Cut(command, "#")
	command, _, _ = strings.Cut(command, " | ")
	command, _, _ = strings.Cut(command, " > ")
	command, _, _ = strings.Cut(command, " < ")
	all := strings.Fields(strings.TrimSuffix(strings.TrimSpace(command), "&"))
	for len(all) > 0 && (all[0] == "sudo" || strings.Contains(all[0], "=")) {
		all = all[1:]
	}
	if len(all) < 2 || (all[0] != "naru" && all[0] != "ipvsadm") || slices.Contains(all, "…") {
		return nil
	}
	return all
}

// wrong says why there is no such command.
func wrong(args []string) error {
	if args[0] == "naru" && args[1] != "ipvsadm" {
		root := newRoot(cli.Env{})
		root.InitDefaultHelpCmd()
		root.InitDefaultCompletionCmd()
		c, rest, err := root.Find(args[1:])
		if err != nil {
			return err
		}
		if err := c.ParseFlags(rest); err != nil {
			return err
		}
		if c.HasSubCommands() && c.Flags().NArg() > 0 {
			return cli.Errorf(cli.Usage, "%s has no command %s", c.CommandPath(), c.Flags().Arg(0))
		}
		return c.ValidateArgs(c.Flags().Args())
	}
	_, err := ipvsadm.Parse(args[slices.Index(args, "ipvsadm")+1:])
	return err
}

func TestCommandsInDocumentsExist(t *testing.T) {
	seen := 0
	for _, d := range documents(t) {
		for _, command := range d.commandsIn() {
			if args := words(command); args != nil {
				seen++
				if err := wrong(args); err != nil {
					t.Errorf("%s: %q: %v", d.path, command, err)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands seen: this test looks in the wrong place", seen)
	}
	for _, bad := range []string{"naru nonsense", "naru run --nonsense", "naru config nonsense", "naru off all",
		"ipvsadm -Q", "naru ipvsadm -A", "sudo naru real up --vpi 192.0.2.1"} {
		if wrong(words(bad)) == nil {
			t.Errorf("%q passes for a command", bad)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for _, d := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(d.text, -1) {
			if _, err := os.Stat(filepath.Join(checkout, filepath.Dir(d.path), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", d.path, m[1], err)
			}
		}
	}
}

// TestUnitsStartTheProgramThatIsInstalled holds the units to the place that README
// copies the program to.
func TestUnitsStartTheProgramThatIsInstalled(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(checkout, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^install .* (\S+)$`).FindSubmatch(readme)
	if m == nil {
		t.Fatal("README installs nothing")
	}
	units, err := filepath.Glob(filepath.Join(checkout, "packaging", "*.service"))
	if err != nil || len(units) < 2 {
		t.Fatalf("units %q: %v", units, err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		for _, exec := range regexp.MustCompile(`(?m)^Exec\w+=(\S+) (.*)$`).FindAllSubmatch(text, -1) {
			if string(exec[1]) != string(m[1]) {
				t.Errorf("%s starts %s, and README installs %s", unit, exec[1], m[1])
			}
			if err := wrong(words("naru " + string(exec[2]))); err != nil {
				t.Errorf("%s: %s: %v", unit, exec[0], err)
			}
		}
	}
}

// step is a command of a console block and the output shown for it.
type step struct{ node, command, want string }

func (d document) steps() (all []step) {
	for _, b := range d.blocks() {
		if b.kind != "console" {
			continue
		}
		for line := range strings.Lines(b.text) {
			if m := prompt.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				all = append(all, step{node: m[1], command: m[2]})
			} else if len(all) > 0 {
				all[len(all)-1].want += strings.TrimRight(line, " \n") + "\n"
			}
		}
	}
	return all
}

// TestFiveMinutes does what README's five minutes show, in a lab, which has README's
// addresses, and holds it to the output shown there.
func TestFiveMinutes(t *testing.T) {
	r := newRig(t)
	readme := documents(t)[0]
	for _, b := range readme.blocks() {
		if b.kind == "yaml" {
			r.write(b.text)
			break
		}
	}
	for _, s := range readme.steps() {
		r.show(s)
	}
	if r.daemon == nil {
		t.Error("README never starts the director")
	}
}

// show does a step. What only looks may need some time to show what is to be seen.
func (r *rig) show(s step) {
	r.Helper()
	if url, is := strings.CutPrefix(s.command, "curl http://"); is {
		if url != lab.VIP().String()+"/" {
			r.Fatalf("%s: the VIP is %s", s.command, lab.VIP())
		}
		s.match(r, r.ask(1)[0]+"\n")
		return
	}
	args := words(s.command)
	if args == nil {
		r.Fatalf("%q is no command of ours", s.command)
	}
	if strings.HasSuffix(s.command, "&") {
		daemon := r.Command(context.Background(), s.node, args[0], args[1:]...)
		daemon.Dir = r.dir
		r.start(daemon)
		r.ready()
		r.settled()
		return
	}
	looks := args[1] == "status" || strings.HasPrefix(args[1], "-L")
	got := r.in(s, args)
	if looks {
		deadline := time.Now().Add(patience)
		for !s.fits(got) && time.Now().Before(deadline) {
			time.Sleep(50 * time.Millisecond)
			got = r.in(s, args)
		}
	}
	s.match(r, got)
}

func (r *rig) in(s step, args []string) string {
	r.Helper()
	cmd := r.Command(r.Context(), s.node, args[0], args[1:]...)
	cmd.Dir, cmd.Env = r.dir, r.environ(s.node)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("%s# %s: %v\n%s", s.node, s.command, err, out)
	}
	return string(out)
}

// varying is what differs from one run, or one machine, to the next.
var varying = regexp.MustCompile(`(naru +)\S+(, instance )\S+(, process )\d+(, up )\d+s|(in some )\d+( MiB)`)

// settled takes out what varies, and the spaces that only fill columns.
func settled(text string) string {
	lines := strings.Split(varying.ReplaceAllString(text, "$1…$2…$3…$4…$5…$6"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// fits compares with what is shown, of which a last line "…" stands for any more.
func (s step) fits(got string) bool {
	if begin, open := strings.CutSuffix(s.want, "…\n"); open {
		return strings.HasPrefix(settled(got), settled(begin))
	}
	return settled(got) == settled(s.want)
}

func (s step) match(r *rig, got string) {
	r.Helper()
	if !s.fits(got) {
		r.Errorf("%s# %s\nREADME shows:\n%sand this is printed:\n%s", s.node, s.command, s.want, got)
	}
}
