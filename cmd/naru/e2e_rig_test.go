package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/lab"
	"naru/internal/lab/labtest"
)

// The e2e tests run the real program in the namespaces of a lab and drive it by real
// traffic. The test binary is the program: see TestMain.

const (
	slots = 8 // tests that may run at once, in as many runs of go test

	patience = 30 * time.Second // until something that must happen has happened
	answer   = 10 * time.Second // of one request: outlasts TCP's first retransmissions
)

// rig is a lab with a director's files.
type rig struct {
	*testing.T
	*lab.Lab
	instance string // of the director; a real's is followed by -real1
	dir      string // the configuration and the logs
	daemon   *daemonProcess
}

// newRig builds a lab whose reals serve, and removes all that naru made when the test
// ends.
func newRig(t *testing.T) *rig {
	t.Helper()
	labtest.Need(t)
	r := &rig{T: t}
	r.until("a lab is free", r.take)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	r.removeFiles() // of a run that crashed
	t.Cleanup(r.removeFiles)
	var err error
	if r.dir, err = os.MkdirTemp("", r.instance+"-"); err != nil { // t.TempDir is too long for a socket
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(r.dir) })
	t.Cleanup(r.end)
	labtest.Serve(t, r.Lab)
	return r
}

// take builds the first lab that no other run of these tests has.
func (r *rig) take() (err error) {
	for i := range slots {
		r.instance = fmt.Sprintf("nre%d", i)
		r.Lab, err = lab.New(lab.Options{Prefix: r.instance + "-"})
		if err == nil {
			return nil
		}
		if !errors.Is(err, lab.ErrInUse) {
			r.Fatal(err)
		}
	}
	return err
}

// sub is the rig for a part of the test, at whose end the director is off.
func (r *rig) sub(t *testing.T) *rig {
	s := &rig{T: t, Lab: r.Lab, instance: r.instance, dir: r.dir}
	t.Cleanup(func() {
		s.end()
		s.must(lab.Director, "naru", "off")
	})
	return s
}

// end ends the daemon, and shows its log if the test has failed.
func (r *rig) end() {
	if r.daemon == nil {
		return
	}
	r.daemon.kill()
	if strings.Contains(r.log(), "DATA RACE") { // with -race the daemon has it too
		r.Error("the daemon has a data race")
	}
	if r.Failed() {
		r.Logf("log of the daemon:\n%s", r.log())
	}
	os.Remove(r.logFile())
}

func (r *rig) removeFiles() {
	for _, node := range []string{"", "-" + lab.Real(1), "-" + lab.Real(2), "-" + lab.Real(3)} {
		name := r.instance + node
		if err := unix.Unmount(api.BPFDir(name), unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			r.Errorf("unmount the pins of %s: %v", name, err)
			continue // what is below belongs to the mount
		}
		for _, dir := range []string{api.RunDir(name), api.StateDir(name)} {
			if err := os.RemoveAll(dir); err != nil {
				r.Error(err)
			}
		}
	}
}

// until polls until ok returns nil, and fails the test with its last error.
func (r *rig) until(what string, ok func() error) {
	r.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s: not within %s: %v", what, patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// result is what a program said and returned.
type result struct {
	out, err string
	code     int
}

// try runs naru or ipvsadm in a node to its end. The instance is the node's own.
func (r *rig) try(node, program string, args ...string) result {
	r.Helper()
	return r.feed("", node, program, args...)
}

// feed is try with standard input.
func (r *rig) feed(stdin, node, program string, args ...string) result {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	cmd := r.Command(ctx, node, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.Env = r.environ(node)
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		r.Fatalf("%s %q in %s: %v", program, args, node, err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs a program that has to succeed and returns its output.
func (r *rig) must(node, program string, args ...string) string {
	r.Helper()
	res := r.try(node, program, args...)
	if res.code != 0 {
		r.Fatalf("%s %s in %s: exit %d\n%s%s", program, strings.Join(args, " "), node, res.code, res.out, res.err)
	}
	return res.out
}

// ipvsadm is ipvsadm on the director.
func (r *rig) ipvsadm(args ...string) string {
	r.Helper()
	return r.must(lab.Director, "ipvsadm", args...)
}

// refused runs naru on the director, which has to refuse with the code and every text.
func (r *rig) refused(res result, code int, texts ...string) {
	r.Helper()
	if res.code != code {
		r.Errorf("exit %d, want %d:\n%s%s", res.code, code, res.out, res.err)
	}
	for _, text := range texts {
		if !strings.Contains(res.err, text) {
			r.Errorf("no %q in:\n%s", text, res.err)
		}
	}
}

// environ leads naru to the node's own instance. The tests of discovery have none.
func (r *rig) environ(node string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == api.EnvInstance || name == "NOTIFY_SOCKET"
	})
	switch {
	case node == lab.Director:
		return append(env, api.EnvInstance+"="+r.instance)
	case strings.HasPrefix(node, "real"):
		return append(env, api.EnvInstance+"="+r.instance+"-"+node)
	}
	return env
}

// write writes the director's configuration and returns its path.
func (r *rig) write(text string) string {
	r.Helper()
	path := filepath.Join(r.dir, "naru.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	return path
}

// daemonProcess is naru run.
type daemonProcess struct {
	*os.Process
	wait  func() error
	ready *net.UnixConn // where it says so, as to systemd
	ended chan struct{}
	err   error // after ended
}

// run starts the daemon on a configuration and waits until it says that it is ready.
func (r *rig) run(config string) {
	r.Helper()
	r.start(r.Command(context.Background(), lab.Director, "naru", "run", "-c", r.write(config)))
	r.ready()
}

// start starts the daemon by a command.
func (r *rig) start(cmd *lab.Cmd) {
	r.Helper()
	socket := filepath.Join(r.dir, "notify")
	os.Remove(socket)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		r.Fatal(err)
	}
	log, err := os.OpenFile(r.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(r.environ(lab.Director), "NOTIFY_SOCKET="+socket)
	if err := cmd.Start(); err != nil {
		r.Fatal(err)
	}
	p := &daemonProcess{Process: cmd.Process, wait: cmd.Wait, ready: conn, ended: make(chan struct{})}
	go func() {
		p.err = p.wait()
		close(p.ended)
	}()
	r.daemon = p
}

// ready waits until the daemon says that it is, or has ended.
func (r *rig) ready() {
	r.Helper()
	buf := make([]byte, 4096)
	r.until("the daemon is ready", func() error {
		select {
		case <-r.daemon.ended:
			r.Fatalf("the daemon ended: %v\n%s", r.daemon.err, r.log())
		default:
		}
		r.daemon.ready.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := r.daemon.ready.Read(buf)
		if err == nil && !strings.Contains(string(buf[:n]), "READY=1") {
			err = fmt.Errorf("it says %q", buf[:n])
		}
		return err
	})
}

func (r *rig) logFile() string { return filepath.Join(r.dir, "log") }

// log returns what all daemons of the test logged.
func (r *rig) log() string {
	b, err := os.ReadFile(r.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// kill ends the daemon the hard way.
func (p *daemonProcess) kill() {
	p.Kill() // fails only if it has ended
	<-p.ended
	p.ready.Close()
}

// stop ends the daemon as systemd does.
func (r *rig) stop() {
	r.Helper()
	if err := r.daemon.Signal(unix.SIGTERM); err != nil {
		r.Fatal(err)
	}
	select {
	case <-r.daemon.ended:
	case <-time.After(patience):
		r.Fatalf("SIGTERM does not end the daemon:\n%s", r.log())
	}
	r.daemon.ready.Close()
	if r.daemon.err != nil {
		r.Fatalf("the daemon ended with %v:\n%s", r.daemon.err, r.log())
	}
}

// services returns the table as the API shows it.
func (r *rig) services() ([]api.Service, error) {
	client := api.NewClient(api.Socket(r.instance))
	defer client.Close()
	table, err := client.Services(r.Context())
	return table.Services, err
}

func (r *rig) status() api.Status {
	r.Helper()
	client := api.NewClient(api.Socket(r.instance))
	defer client.Close()
	status, err := client.Status(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return status
}

// settled waits until the director holds every VIP, has the way to every real and
// holds the packet path.
func (r *rig) settled() {
	r.Helper()
	r.until("the director reaches its reals", func() error {
		services, err := r.services()
		if err != nil {
			return err
		}
		for _, s := range services {
			if !s.Held {
				return fmt.Errorf("%s is not held", s.Key)
			}
			for _, real := range s.Reals {
				if !real.Reachable {
					return fmt.Errorf("the way to %s is not known", real.Address)
				}
			}
		}
		status := r.status()
		if len(status.Hooks) == 0 || len(status.Faults) > 0 {
			return fmt.Errorf("hooks %v, faults %q", status.Hooks, status.Faults)
		}
		return nil
	})
}

// gone fails unless no daemon answers.
func (r *rig) gone() {
	r.Helper()
	if res := r.try(lab.Director, "naru", "status"); res.code != cli.Unreachable {
		r.Errorf("status without a daemon: exit %d, want %d:\n%s%s", res.code, cli.Unreachable, res.out, res.err)
	}
}
