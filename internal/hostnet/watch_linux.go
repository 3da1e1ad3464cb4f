package hostnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"naru/internal/model"
)

// Changes come in bursts, and a host with many routes never rests: a Watcher waits
// for the burst to end, and spends no more than a tenth of its time looking, unless
// one look takes longer than a tenth of the longest rest.
const (
	settleTime = 20 * time.Millisecond
	restFactor = 10
	restLimit  = time.Second
	// rescanTime is when to look again though nothing was heard.
	rescanTime = 30 * time.Second
)

// Watcher follows what the host says about reals and VIPs: routes, links, neighbours
// and addresses. It makes the kernel keep the neighbours on the way to reals resolved,
// and leaves their entries in place when it stops, because forwarding goes on;
// ForgetNeighbours ends that.
type Watcher struct {
	log     *slog.Logger
	wants   chan interest   // the latest, not yet seen by Run
	updates chan model.Host // the latest, not yet received

	// Of Run's goroutine:
	want    interest
	known   map[hopKey]mac
	managed map[hopKey]bool // entries to remove when they are no longer on any way
	last    model.Host
	told    bool // last has been sent
}

// NewWatcher returns a Watcher that has nothing to watch.
func NewWatcher(log *slog.Logger) *Watcher {
	return &Watcher{
		log:   log,
		wants: make(chan interest, 1), updates: make(chan model.Host, 1),
		known: map[hopKey]mac{},
	}
}

// String names the task.
func (w *Watcher) String() string { return "host watcher" }

// Watch sets what to watch: all of it, instead of what was set before. It may be
// called at any time from any goroutine, and does not wait.
func (w *Watcher) Watch(reals, vips []netip.Addr) {
	want := interest{slices.Clone(reals), slices.Clone(vips)}
	for {
		select {
		case w.wants <- want:
			return
		case <-w.wants: // unseen and out of date
		}
	}
}

// Updates delivers the whole state whenever it has changed, the latest only: one not
// received in time is replaced. The first comes after the first Watch.
func (w *Watcher) Updates() <-chan model.Host { return w.updates }

// Run watches the calling thread's network namespace until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	events, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_NEXTHOP)
	if err != nil {
		return fmt.Errorf("subscribe to changes of the host's network: %w", err)
	}
	heard, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- hear(events, heard) }()
	err = w.follow(ctx, heard, ended)
	events.Close()
	if err != nil {
		return fmt.Errorf("receive changes of the host's network: %w", err)
	}
	return nil
}

// follow looks at the host whenever something was heard or asked.
func (w *Watcher) follow(ctx context.Context, heard <-chan struct{}, ended <-chan error) error {
	watching := false
	rest := settleTime
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case w.want = <-w.wants:
			watching = true
		case <-heard:
			pause(ctx, rest)
		case <-time.After(rescanTime):
		}
		if !watching {
			continue
		}
		drain(heard)
		began := time.Now()
		w.scan()
		rest = min(max(settleTime, restFactor*time.Since(began)), restLimit)
	}
}

// hear says on heard that something has changed; what, a scan finds out. So nothing
// is missed when the kernel had no room for all messages (ENOBUFS). It ends when the
// socket is closed, or fails.
func hear(events *nl.NetlinkSocket, heard chan<- struct{}) error {
	for {
		_, _, err := events.Receive()
		if err != nil && !errors.Is(err, syscall.ENOBUFS) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case heard <- struct{}{}:
		default:
		}
	}
}

// scan reads the host, tells the kernel which neighbours to keep, and sends the state
// if it has changed. What cannot be read leaves the last state standing.
func (w *Watcher) scan() {
	s, err := readState(w.want)
	if err != nil {
		w.log.Warn("host not read: its last known state stands", "err", err)
		return
	}
	h, next := resolve(w.want, s, w.known)
	w.upkeep(s, next)
	if w.told && sameHost(h, w.last) {
		return
	}
	w.last, w.told = h, true
	drain(w.updates)
	w.updates <- model.Host{Hops: maps.Clone(h.Hops), Held: maps.Clone(h.Held)}
}

// upkeep makes the kernel keep the neighbours on the way resolved, and no others. Those
// a naru before this one has left are found at the first scan.
func (w *Watcher) upkeep(s state, next map[hopKey]bool) {
	if w.managed == nil {
		w.managed = map[hopKey]bool{}
		for key, n := range s.neighbours {
			if n.managed {
				w.managed[key] = true
			}
		}
	}
	for key := range w.managed {
		if _, used := next[key]; used {
			continue
		}
		delete(w.managed, key)
		if err := release(key); err != nil {
			w.log.Warn("neighbour entry of naru's left behind", "err", err)
		}
	}
	for key, missing := range next {
		if !missing {
			continue
		}
		if err := manage(key); err != nil {
			w.log.Debug("neighbour not kept resolved: tried again at the next change", "err", err)
			continue
		}
		w.managed[key] = true
	}
}

// pause waits, or not if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// drain takes what is waiting.
func drain[T any](c <-chan T) {
	select {
	case <-c:
	default:
	}
}
