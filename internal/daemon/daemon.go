// Package daemon is the director as a process: the one place that knows all parts and
// joins them. It starts them in an order in which nothing that forwards is ever
// interrupted, and ends them without ending the forwarding.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/config"
	"naru/internal/control"
	"naru/internal/dataplane"
	"naru/internal/hostnet"
	"naru/internal/metrics"
	"naru/internal/server"
	"naru/internal/state"
)

// DefaultConfig is the configuration that is read if none is named and it is there.
const DefaultConfig = "/etc/naru/naru.yaml"

// Options are what a director is started with.
type Options struct {
	Config   string // path; empty: DefaultConfig if it is there, else no file
	Instance string
	Log      *slog.Logger
	Version  string
}

// Task is a part that runs until its context ends, and returns nil then.
type Task interface {
	Run(context.Context) error
	String() string
}

// daemon is the joined parts.
type daemon struct {
	Options
	path    string // of the configuration, empty if there is none
	dp      *dataplane.Dataplane
	control *control.Control
	watcher *hostnet.Watcher
	sampler *metrics.Sampler
	server  *server.Server
	host    *host
	stop    context.CancelFunc
	closers []func() error
}

// Run is the director until ctx ends or something fails. Forwarding goes on
// afterwards; Off ends it.
func Run(ctx context.Context, o Options) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &daemon{Options: o, stop: stop}
	defer d.close()
	if err := d.open(ctx); err != nil {
		return err
	}
	return d.run(ctx)
}

// open builds the parts. Nothing on this machine changes before this is known to be
// the only daemon of the instance, and the configuration to be good.
func (d *daemon) open(ctx context.Context) error {
	dir, err := lockState(d.Instance)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, dir.release)
	d.path = configPath(d.Config)
	wanted, err := readConfig(d.path)
	if err != nil {
		return err
	}
	if err := preflight(ctx, wanted); err != nil {
		return err
	}
	pins, err := dataplane.MountPins(api.BPFDir(d.Instance))
	if err != nil {
		return unable(err)
	}
	d.dp, err = dataplane.Open(dataplane.Options{Dir: pins, Conns: wanted.Conns, NAT: needsNAT(wanted), DropMisses: wanted.Miss == config.MissDrop})
	if err != nil {
		return unable(err)
	}
	d.closers = append(d.closers, d.dp.Close)
	if d.dp.Capacity() != wanted.Conns {
		d.Log.Warn("the conn table keeps its size while it is in use", "conns", d.dp.Capacity(), "configured", wanted.Conns,
			"mend", "run naru off once, which ends all conns")
	}
	d.control = control.New(control.Options{Tables: d.dp, Store: dir.File(editsFile), Log: d.Log})
	d.watcher = hostnet.NewWatcher(d.Log)
	d.sampler = metrics.NewSampler(d.dp.Stats, d.Log)
	d.host = newHost(d, hostnet.New(dir.File(hostFile), d.Log), dir.File(hooksFile), wanted)
	d.server = server.New(server.Options{
		Socket: api.Socket(d.Instance), Version: d.Version, Instance: d.Instance, File: d.path,
		Control: d.control, Tables: d.dp, Rates: d.sampler.Rates, Hooks: d.host.hooks, Faults: d.faults,
		Reload: d.reload, Stop: d.stop, Log: d.Log,
	})
	if err := d.server.Listen(); err != nil {
		return err
	}
	d.closers = append(d.closers, d.server.Close)
	return nil
}

// close gives back what open took, the last first.
func (d *daemon) close() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		if err := d.closers[i](); err != nil {
			d.Log.Error("close", "cause", err)
		}
	}
}

// run runs the tasks. The file goes to control first; the host task then follows what
// control wants.
func (d *daemon) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range []Task{d.control, d.watcher, d.sampler, d.host, d.server, hangup{d}} {
		g.Go(func() error {
			if err := t.Run(ctx); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			return nil
		})
	}
	g.Go(func() error { return d.begin(ctx) })
	err := g.Wait()
	notify("STOPPING=1")
	d.Log.Info("ended; forwarding goes on", "mend", "naru off ends it")
	return err
}

// begin applies the file for the first time and then says that the director is ready.
func (d *daemon) begin(ctx context.Context) error {
	changes, err := d.apply(ctx, d.host.config())
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for _, c := range changes {
		d.Log.Info("apply", "change", c)
	}
	d.awaitReals(ctx)
	notify("READY=1")
	d.Log.Info("ready", "instance", d.Instance, "file", d.path, "version", d.Version)
	return nil
}

// awaitReals waits until the way to every real is known, so that who was told that the
// director is ready does not lose the first packets; but not long for one that may be
// dead.
func (d *daemon) awaitReals(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		s := d.control.Snapshot()
		if !slices.ContainsFunc(s.Services, func(v control.ServiceView) bool {
			return slices.ContainsFunc(v.Reals, func(r control.RealView) bool { return !r.Reachable })
		}) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.Superseded():
		}
	}
}

// hangup reloads on SIGHUP.
type hangup struct{ d *daemon }

func (hangup) String() string { return "reload by signal" }

func (h hangup) Run(ctx context.Context) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-signals:
			changes, err := h.d.reload(ctx)
			if err != nil {
				h.d.Log.Error("reload refused; nothing has changed", "cause", err)
			}
			for _, c := range changes {
				h.d.Log.Info("reload", "change", c)
			}
		}
	}
}

// faults is everything that is not as it should be.
func (d *daemon) faults() []string {
	return append(d.host.faults(), d.control.Snapshot().Faults...)
}

// The files of the state directory.
const (
	editsFile = "edits.json" // what ipvsadm asked for
	hostFile  = "host.json"  // what naru changed on this machine
	hooksFile = "hooks.json" // qdiscs that naru made
)

// lockedDir is a state directory that this process alone uses.
type lockedDir struct {
	*state.Dir
	release func() error
}

func lockState(instance string) (lockedDir, error) {
	dir, err := state.Open(api.StateDir(instance))
	if err != nil {
		return lockedDir{}, err
	}
	release, err := dir.Lock()
	return lockedDir{dir, release}, err
}

// unable marks what this machine's kernel or privileges do not allow.
func unable(err error) error {
	switch {
	case errors.Is(err, dataplane.ErrLayout):
		return cli.Errorf(cli.Failed, "%w", err)
	case errors.Is(err, dataplane.ErrKernel), errors.Is(err, os.ErrPermission):
		return cli.Errorf(cli.Unable, "%w", err)
	}
	return err
}

// Memory returns the bytes of kernel memory that a conn table of the capacity takes
// when NAT is among its forwards.
func Memory(conns uint32) uint64 { return dataplane.Memory(conns, true) }
