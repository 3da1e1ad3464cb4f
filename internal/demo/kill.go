package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"naru/internal/api"
	"naru/internal/lab"
)

// The times of showKill's traffic: with the daemon, without it, and with the next one.
const (
	before  = 300 * time.Millisecond
	without = 1000 * time.Millisecond
	after   = 300 * time.Millisecond
)

// showKill ends the daemon in mid-traffic and starts it again. No request may fail,
// on new conns or held ones, and the next daemon must find the table as it was, the
// counters included.
func (d *demo) showKill(ctx context.Context) (string, error) {
	saved, err := d.exec(ctx, lab.Director, d.home()+"/ipvsadm", "-S", "-n")
	if err != nil {
		return "", err
	}
	was, err := d.service(ctx)
	if err != nil {
		return "", err
	}
	t, err := d.startTraffic(ctx)
	if err != nil {
		return "", err
	}
	defer t.holds.Close()
	err = d.killAndStart(ctx, t)
	t.stop()
	if err = errors.Join(err, t.fault()); err != nil {
		return "", err
	}
	if err := d.sameTable(ctx, saved); err != nil {
		return "", err
	}
	table, err := d.ipvsadm(ctx, "-Ln", "--stats")
	if err != nil {
		return "", err
	}
	d.say.block("", table)
	return fmt.Sprintf("%d requests on new conns and %d on held ones, %d of them without a daemon: none failed; table and counters are the same",
		t.fresh, t.held, t.orphan), d.counted(ctx, was, t)
}

// killAndStart is the daemon's death and its successor.
func (d *demo) killAndStart(ctx context.Context, t *traffic) error {
	pause(ctx, before)
	d.say.command(lab.Director, "kill", "-9", fmt.Sprint(d.daemon.pid()))
	if err := d.daemon.kill(); err != nil {
		return err
	}
	d.say.now("sending requests without a daemon")
	from := t.sent()
	pause(ctx, without)
	t.orphan = t.sent() - from
	if _, err := d.service(ctx); !errors.Is(err, api.ErrUnreachable) {
		return fmt.Errorf("the killed daemon still answers (%v)", err)
	}
	if t.orphan == 0 {
		return errors.New("no request was answered while there was no daemon")
	}
	if err := d.startDirector(ctx); err != nil {
		return err
	}
	pause(ctx, after)
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// sameTable compares what ipvsadm saves.
func (d *demo) sameTable(ctx context.Context, saved string) error {
	now, err := d.exec(ctx, lab.Director, d.home()+"/ipvsadm", "-S", "-n")
	if err != nil {
		return err
	}
	if now != saved {
		return fmt.Errorf("the table changed: it was\n%sand is\n%s", saved, now)
	}
	return nil
}

// counted compares the conns that were opened with those that the director counted,
// and the conns that are open with those it calls active.
func (d *demo) counted(ctx context.Context, was *api.Service, t *traffic) error {
	opened := uint64(t.fresh + len(t.holds))
	return until(ctx, 3*time.Second, func(ctx context.Context) error { // a last FIN may be on its way
		s, err := d.service(ctx)
		if err != nil {
			return err
		}
		if got := s.Counters.Conns - was.Counters.Conns; got != opened {
			return fmt.Errorf("the director counted %d new conns of %d", got, opened)
		}
		active := 0
		for _, r := range s.Reals {
			active += int(r.Active)
		}
		if active != len(t.holds) {
			return fmt.Errorf("the director counts %d conns active, the client holds %d", active, len(t.holds))
		}
		return nil
	})
}

// traffic is requests without a pause: one client with a new conn for each, one that
// asks in turn on conns it holds.
type traffic struct {
	holds  lab.Holds
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	fresh  int // answered on new conns
	held   int // answered on held conns
	err    error
	orphan int // of both, while there was no daemon
}

// pace keeps the traffic from using a whole processor.
const pace = 3 * time.Millisecond

func (d *demo) startTraffic(ctx context.Context) (*traffic, error) {
	d.say.now("sending requests on new and on held conns")
	holds, err := d.lab.Hold(ctx, reals, netip.Addr{}, serviceAddress())
	if err != nil {
		return nil, fmt.Errorf("hold conns: %w", err)
	}
	t := &traffic{holds: holds}
	run, cancel := context.WithCancel(ctx)
	t.cancel = cancel
	t.wg.Go(func() {
		t.repeat(run, &t.fresh, func(int) error {
			_, err := d.web.ask(ctx, serviceAddress())
			return err
		})
	})
	t.wg.Go(func() {
		t.repeat(run, &t.held, func(i int) error {
			h := holds[i%len(holds)]
			ask, cancel := context.WithTimeout(ctx, answerTime)
			defer cancel()
			who, err := h.Ask(ask)
			if err == nil && who != h.Real {
				err = fmt.Errorf("%s answered on the conn of %s", who, h.Real)
			}
			return err
		})
	})
	return t, nil
}

// repeat asks until ctx ends or an answer fails, and counts the answers.
func (t *traffic) repeat(ctx context.Context, count *int, ask func(i int) error) {
	for i := 0; ctx.Err() == nil; i++ {
		err := ask(i)
		t.mu.Lock()
		if err == nil {
			*count++
		} else if t.err == nil {
			t.err = fmt.Errorf("request failed after %d of its kind: %w", i, err)
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
		pause(ctx, pace)
	}
}

// sent returns how many requests were answered so far.
func (t *traffic) sent() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fresh + t.held
}

// stop ends the traffic between two requests.
func (t *traffic) stop() {
	t.cancel()
	t.wg.Wait()
}

func (t *traffic) fault() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
