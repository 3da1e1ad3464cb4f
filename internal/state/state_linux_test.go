package state

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

type document struct {
	Name   string         `json:"name"`
	Counts map[string]int `json:"counts,omitempty"`
}

func open(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "naru", "default"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenMakesADirectoryForItsOwnerOnly(t *testing.T) {
	d := open(t)
	info, err := os.Stat(d.Path())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Open(d.Path()); err != nil {
		t.Errorf("open it again: %v", err)
	}
	file := filepath.Join(d.Path(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestLoadReturnsWhatWasSaved(t *testing.T) {
	f := open(t).File("edits.json")
	got := document{Name: "left over"}
	if err := f.Load(&got); err != nil || got.Name != "" {
		t.Errorf("a missing file gives %v, %v", got, err)
	}
	for _, name := range []string{"first", "second"} {
		if err := f.Save(document{Name: name, Counts: map[string]int{"a": 1}}); err != nil {
			t.Fatal(err)
		}
		got = document{Counts: map[string]int{"b": 2}}
		if err := f.Load(&got); err != nil || got.Name != name || len(got.Counts) != 1 {
			t.Errorf("got %v, %v", got, err)
		}
	}
	info, err := os.Stat(f.path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestCorruptFileIsKeptAside(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "cut": `{"name": "x`, "unknown field": `{"nome": "x"}`, "wrong type": `{"name": 1}`, "more": `{} {}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t).File("edits.json")
			if err := os.WriteFile(f.path(), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			got := document{Name: "left over"}
			err := f.Load(&got)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || got.Name != "" {
				t.Fatalf("got %v, %v", got, err)
			}
			if !strings.Contains(err.Error(), f.path()) || !strings.Contains(err.Error(), corrupt.KeptAside()) {
				t.Errorf("the error does not name the files: %v", err)
			}
			if kept, err := os.ReadFile(f.path() + ".corrupt"); err != nil || string(kept) != text {
				t.Errorf("kept %q, %v", kept, err)
			}
			if err := f.Load(&got); err != nil {
				t.Errorf("load again: %v", err)
			}
		})
	}
}

func TestUnreadableFileIsNotTakenForCorrupt(t *testing.T) {
	f := open(t).File("edits.json")
	if err := os.Mkdir(f.path(), 0o700); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if err := f.Load(&document{}); err == nil || errors.As(err, &corrupt) {
		t.Errorf("got %v", err)
	}
}

func TestFailedSaveLeavesTheOldContent(t *testing.T) {
	d := open(t)
	f := d.File("edits.json")
	if err := f.Save(document{Name: "old"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(func() {}); err == nil {
		t.Error("a function was saved as JSON")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := syscall.Rlimit{Cur: 4096, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	err := f.Save(document{Name: strings.Repeat("x", 8192)})
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Fatal("a file beyond the limit was saved")
	}
	var got document
	if err := f.Load(&got); err != nil || got.Name != "old" {
		t.Errorf("got %v, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.Path(), tempPrefix+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestFullFileSystemIsNamed saves on a file system without room.
func TestFullFileSystemIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("mounting a small file system needs root")
		}
		t.Skip("mounting a small file system needs root")
	}
	d := open(t)
	if err := syscall.Mount("naru-state-test", d.Path(), "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.Path(), 0) })
	f := d.File("edits.json")
	if err := f.Save(document{Name: "old"}); err != nil {
		t.Fatal(err)
	}
	err := f.Save(document{Name: strings.Repeat("x", 1<<17)})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("got %v", err)
	}
	var got document
	if err := f.Load(&got); err != nil || got.Name != "old" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestLockKeepsASecondDaemonOut(t *testing.T) {
	d := open(t)
	left := filepath.Join(d.Path(), tempPrefix+"edits.json-123")
	if err := os.WriteFile(left, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	release, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("a file left half written is still there")
	}
	_, err = d.Lock()
	var locked *LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("got %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = d.Lock()
	if err != nil {
		t.Fatalf("lock after release: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

// TestMain lets the test program be the daemon that dies with the lock.
func TestMain(m *testing.M) {
	if path := os.Getenv("NARU_STATE_TEST_LOCK"); path != "" {
		d, err := Open(path)
		if err == nil {
			_, err = d.Lock()
		}
		fmt.Println("locked", err)
		select {}
	}
	os.Exit(m.Run())
}

func TestLockEndsWithItsHolder(t *testing.T) {
	d := open(t)
	daemon := exec.Command(os.Args[0])
	daemon.Env = append(os.Environ(), "NARU_STATE_TEST_LOCK="+d.Path())
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill() })
	var line string
	if _, err := fmt.Fscanln(out, &line, new(string)); err != nil || line != "locked" {
		t.Fatalf("the other daemon says %q, %v", line, err)
	}
	_, err = d.Lock()
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != fmt.Sprint(daemon.Process.Pid) {
		t.Errorf("got %v, want process %d", err, daemon.Process.Pid)
	}
	_ = daemon.Process.Kill()
	_ = daemon.Wait()
	release, err := d.Lock()
	if err != nil {
		t.Fatalf("lock after its holder was killed: %v", err)
	}
	_ = release()
}
