package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"naru/internal/cli"
	"naru/internal/lab/labtest"
)

// demoCommand returns naru demo as an instance of the test's own, so that a developer's
// kept demo stays, and a function that says what the demo has left on the machine.
func demoCommand(t *testing.T, args ...string) (*exec.Cmd, func() []string) {
	t.Helper()
	labtest.Need(t)
	const instance = "demotest"
	naru, err := exec.LookPath("naru") // testscript.Main's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command(naru, "demo", "--clean", "--instance", instance).CombinedOutput(); err != nil {
			t.Errorf("naru demo --clean: %v\n%s", err, out)
		}
	})
	left := func() (names []string) {
		for _, pattern := range []string{"/run/netns/naru-" + instance + "-*", "/run/naru-" + instance,
			"/run/naru/" + instance + "*", "/var/lib/naru/" + instance + "*"} {
			found, _ := filepath.Glob(pattern) // the patterns are well formed
			names = append(names, found...)
		}
		return names
	}
	return exec.CommandContext(t.Context(), naru, append([]string{"demo", "--instance", instance}, args...)...), left
}

func TestDemoPassesAndLeavesNothing(t *testing.T) {
	demo, left := demoCommand(t)
	out, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("naru demo: %v\n%s", err, out)
	}
	for _, want := range []string{"ok     dr: ", "ok     nat: ", "ok     tun: ", "ok     weight 0: ", "ok     kill -9: ", "ok     naru off: ", "every line passed"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if names := left(); len(names) > 0 {
		t.Errorf("left over: %q", names)
	}
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	demo, left := demoCommand(t)
	var out strings.Builder
	demo.Stdout, demo.Stderr = &out, &out
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); len(left()) < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the demo builds nothing")
		}
	}
	demo.Process.Signal(os.Interrupt)
	demo.Wait()
	if code := demo.ProcessState.ExitCode(); code != 1 || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("exit %d:\n%s", code, &out)
	}
	if names := left(); len(names) > 0 {
		t.Errorf("left over: %q", names)
	}
}

func TestKeptDemoStaysUntilCleaned(t *testing.T) {
	demo, left := demoCommand(t, "--keep")
	demo.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := demo.CombinedOutput() // ends only if no child holds the pipe
	if err != nil {
		t.Fatalf("naru demo --keep: %v\n%s", err, out)
	}
	for _, hint := range []string{"curl http://192.168.1.5/", "ipvsadm -Ln", "demo --clean --instance demotest"} {
		if !strings.Contains(string(out), hint) {
			t.Errorf("no %q in\n%s", hint, out)
		}
	}
	if names := left(); len(names) < 6 {
		t.Errorf("only these stay: %q", names)
	}
	if out, err := exec.Command(demo.Path, "demo", "--clean", "--instance", "demotest").CombinedOutput(); err != nil {
		t.Fatalf("naru demo --clean: %v\n%s", err, out)
	}
	if names := left(); len(names) > 0 {
		t.Errorf("left over: %q", names)
	}
}

func TestDemoFlagsThatExclude(t *testing.T) {
	var errOut strings.Builder
	e := cli.Env{Stdin: strings.NewReader(""), Stdout: &errOut, Stderr: &errOut, Getenv: os.Getenv}
	if code := run(e, []string{"naru", "demo", "--keep", "--clean"}); code != 2 || !strings.Contains(errOut.String(), "exclude") {
		t.Errorf("exit %d: %s", code, &errOut)
	}
}
