package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"naru/internal/api"
	"naru/internal/lab"
)

// logTail is how much of a log a failed line shows.
const logTail = 2000

// process is a program that stays: the daemon, or a real's servers. It has a session
// of its own, so that Ctrl-C reaches the demo alone and a kept cluster outlives it.
type process struct {
	cmd  interface{ Wait() error }
	proc *os.Process
	log  string
	done chan struct{}
	err  error // after done
}

// start runs the program in a node, its output in a log file of the demo's.
func (d *demo) start(node string, args ...string) (*process, error) {
	p := &process{log: filepath.Join(d.home(), node+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", node, err)
	}
	defer log.Close()
	cmd := d.lab.Command(context.Background(), node, d.naru, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start naru %s on %s: %w", args[0], node, err)
	}
	p.cmd, p.proc = cmd, cmd.Process
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.proc.Pid }

// kill ends the process the hard way and waits until it has.
func (p *process) kill() error {
	if err := p.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.pid(), err)
	}
	<-p.done
	return nil
}

// tail returns the end of the log, from the beginning of a line.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if cut := len(b) - logTail; cut > 0 {
		b = b[cut:]
		if _, rest, ok := bytes.Cut(b, []byte("\n")); ok {
			b = rest
		}
	}
	if len(b) == 0 {
		return "(empty)"
	}
	return string(b)
}

// until polls until ok returns nil, and else returns its last error after the limit.
func until(ctx context.Context, limit time.Duration, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ok(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (after %s)", err, limit)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// environment is the caller's without what would lead naru to another director, or to
// the caller's own supervisor.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == api.EnvInstance || name == "NOTIFY_SOCKET"
	})
}

// exec runs the program in a node to its end and returns what it printed. Its error is
// what it said on standard error.
func (d *demo) exec(ctx context.Context, node, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := d.lab.Command(ctx, node, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		said := strings.Join(strings.Fields(strings.ReplaceAll(errs.String(), "\n", "; ")), " ")
		return out.String(), fmt.Errorf("%s on %s: %w: %s", strings.Join(append([]string{filepath.Base(program)}, args...), " "), node, err, strings.TrimSuffix(said, ";"))
	}
	return out.String(), nil
}

// ipvsadm runs a command of ipvsadm's on the director, showing it first.
func (d *demo) ipvsadm(ctx context.Context, args ...string) (string, error) {
	d.say.command(lab.Director, append([]string{"ipvsadm"}, args...)...)
	return d.exec(ctx, lab.Director, filepath.Join(d.home(), "ipvsadm"), args...)
}
