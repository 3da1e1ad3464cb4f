package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"naru/internal/cli"
)

// TestMain makes the test binary also naru, and ipvsadm as a link would.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"naru": main, "ipvsadm": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exit": exits},
		Setup: func(env *testscript.Env) error {
			env.Setenv("NARU_INSTANCE", "naru-test-none") // nobody's: scripts must not find a real director
			return nil
		},
	})
}

// exits is the script command "exit CODE PROGRAM ARG...": the code is part of what is
// promised, and testscript's own exec does not show it.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM ARG...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		got = ended.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// commands returns every command there is.
func commands() []*cobra.Command {
	root := newRoot(cli.OS())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	all := []*cobra.Command{root}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	return all
}

func TestEveryCommandHelps(t *testing.T) {
	for _, c := range commands() {
		t.Run(c.CommandPath(), func(t *testing.T) {
			if strings.HasPrefix(c.CommandPath(), "naru ipvsadm") {
				return // its --help is ipvsadm's
			}
			var out, errOut strings.Builder
			e := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut, Getenv: os.Getenv}
			args := append(strings.Fields(c.CommandPath()), "--help")
			if code := run(e, args); code != cli.OK || errOut.Len() > 0 {
				t.Fatalf("exit %d, stderr:\n%s", code, errOut.String())
			}
			for _, want := range []string{"Usage:", "exit codes:", "--help"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in:\n%s", want, out.String())
				}
			}
		})
	}
}

// TestEveryCommandIsWrittenForAReader holds our own commands to rule 10 of the house
// style; cobra's completion commands follow cobra's.
func TestEveryCommandIsWrittenForAReader(t *testing.T) {
	for _, c := range commands() {
		if strings.Contains(c.CommandPath(), " completion") {
			continue
		}
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s: wants a short text, a long text and an example", c.CommandPath())
		}
		if strings.HasSuffix(c.Short, ".") || c.Short[:1] != strings.ToLower(c.Short[:1]) && !strings.HasPrefix(c.Short, "ARP") {
			t.Errorf("%s: %q: no capital, no full stop", c.CommandPath(), c.Short)
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len([]rune(line)) > 90 {
				t.Errorf("%s: help line is longer than 90 characters: %s", c.CommandPath(), line)
			}
		}
	}
}

func TestInvokedAs(t *testing.T) {
	for argv0, want := range map[string]string{
		"naru": "naru", "/sbin/ipvsadm": "ipvsadm", "./IPVSADM.EXE": "ipvsadm", "ipvsadm-save": "ipvsadm-save",
	} {
		if got := invokedAs(argv0); got != want {
			t.Errorf("invokedAs(%q) = %q, want %q", argv0, got, want)
		}
	}
}

func TestNoArgumentsAtAllIsAnError(t *testing.T) {
	var errOut strings.Builder
	if code := run(cli.Env{Stderr: &errOut, Getenv: os.Getenv}, nil); code != cli.Usage {
		t.Errorf("exit %d, want %d", code, cli.Usage)
	}
}

func TestVersionIsTheCommitUnlessReleased(t *testing.T) {
	setting := func(kv ...string) (all []debug.BuildSetting) {
		for i := 0; i < len(kv); i += 2 {
			all = append(all, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return all
	}
	for _, test := range []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"nothing known", debug.BuildInfo{}, "devel"},
		{"no commit", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "devel"},
		{"a commit", debug.BuildInfo{Settings: setting("vcs.revision", "0123456789abcdef", "vcs.modified", "false")}, "devel-0123456789ab"},
		{"a changed one", debug.BuildInfo{Settings: setting("vcs.revision", "0123456789abcdef", "vcs.modified", "true")}, "devel-0123456789ab-modified"},
		{"a release", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: setting("vcs.revision", "0123")}, "v1.2.3"},
	} {
		if got := versionOf(&test.info); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
