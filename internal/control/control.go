// Package control owns what the director shall do. Three inputs are kept apart and
// merged by written rules: the file (what the configuration names), the edits (what
// ipvsadm and other clients of the API asked for) and the observations (what the host
// says). One goroutine, Run, owns them; everybody else asks it, or reads a Snapshot.
//
// The rules, on what the file owns:
//
//   - A real added to a file service is an edit, and stays over a reload.
//   - Editing a file real takes the weight as an override and never changes its forward.
//   - Deleting or changing what the file names is refused, naming the file and line; what
//     would change nothing is not refused.
//   - Clearing removes edits and overrides. File services stay, and a note says so.
//   - In a restore, which is any list of more than one edit, adding a service or real that
//     the file names is no edit if it is equal, and an override if only the weight
//     differs, so that what was saved can be restored.
//   - Setting a new file replaces exactly the file's part. Edits that have lost their
//     object, or whose object the file now names, end and are reported. A service that
//     was an edit and that the file now names keeps those reals that the file does not.
//
// An edit is saved before it is carried out and answered. If the tables then fail, it is
// answered with a note that says so, because it will be done: Control goes on trying,
// and Snapshot.Faults names the cause until it has succeeded. Everything refused was not
// done at all. Tables are compared with what they shall hold every second or more, which
// frees what was removed and heals what somebody else damaged.
package control

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"naru/internal/model"
	"naru/internal/plan"
)

// Tables are the packet path's tables: dataplane has the real ones.
type Tables interface {
	Read() (plan.Tables, error)
	Apply([]plan.Step) error // carries steps out in order, and stops at the first that fails
	Limits() plan.Limits
	Zero(services, reals []uint32) error // the counters of these ids
}

// Store keeps the edits over a restart: state.File is one. An error of Load with a
// method KeptAside says that nothing could be read but that one may go on.
type Store interface {
	Load(v any) error
	Save(v any) error
}

// Options are what a Control works with; all are required.
type Options struct {
	Tables Tables
	Store  Store
	Log    *slog.Logger
}

// Control owns the desired state. Its methods may be called from any goroutine; those
// with a context wait for Run.
type Control struct {
	Options
	requests chan func()
	host     atomic.Pointer[model.Host] // the newest not yet looked at
	poke     chan struct{}              // says that there is one
	ended    chan struct{}              // closed when Run has returned
	snapshot atomic.Pointer[Snapshot]

	// Owned by Run.
	desired desired
	started bool              // the file has been set
	tables  plan.Tables       // as last read or written
	redo    map[uint32]bool   // services whose entry a failed Apply may have left half written
	faults  map[string]string // by cause
	retry   time.Duration     // until the next attempt, 0 if nothing is pending
	took    time.Duration     // by the last comparison
}

// New returns a Control that does nothing before Run.
func New(o Options) *Control {
	c := &Control{
		Options:  o,
		requests: make(chan func()),
		poke:     make(chan struct{}, 1),
		ended:    make(chan struct{}),
		redo:     make(map[uint32]bool),
		faults:   make(map[string]string),
	}
	c.snapshot.Store(&Snapshot{next: make(chan struct{})})
	return c
}

// String names the task.
func (c *Control) String() string { return "control" }

// How long Run waits before it compares the tables again: when all is well, and after a
// failure at first and at most.
const (
	period   = time.Second
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
)

// Run owns the desired state until ctx ends. It leaves the tables alone before the first
// SetFile, so that a daemon that starts finds its conns. The error is of the Store.
func (c *Control) Run(ctx context.Context) error {
	defer close(c.ended)
	if err := c.load(); err != nil {
		return err
	}
	timer := time.NewTimer(period)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case request := <-c.requests:
			request()
		case <-c.poke:
			c.takeHost()
			c.reconcile()
		case <-timer.C:
			c.reconcile()
		}
		timer.Reset(c.pause())
	}
}

// pause returns the time until the next comparison. Large tables are compared less
// often, so that it costs a twentieth of a core at most.
func (c *Control) pause() time.Duration {
	if c.retry > 0 {
		return c.retry
	}
	return max(period, 20*c.took)
}

// do has Run call f and waits until it has. What Run has begun is waited for also when
// ctx ends, because it will be done.
func (c *Control) do(ctx context.Context, f func()) error {
	finished := make(chan struct{})
	select {
	case c.requests <- func() { defer close(finished); f() }:
		<-finished
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended:
		return &model.Refusal{Code: model.Internal, Message: "the director is stopping", Edit: -1}
	}
}

// SetHost replaces what the host says. Only the newest of many in a row is looked at.
func (c *Control) SetHost(h model.Host) {
	c.host.Store(&h)
	select {
	case c.poke <- struct{}{}:
	default: // one is waiting already, and will find h
	}
}

// takeHost looks at what the host said last, so that nothing is decided on less, and says
// whether that was news.
func (c *Control) takeHost() bool {
	h := c.host.Swap(nil)
	if h != nil {
		c.desired.host = *h
	}
	return h != nil
}

// Snapshot returns the current state. It never changes.
func (c *Control) Snapshot() *Snapshot { return c.snapshot.Load() }
