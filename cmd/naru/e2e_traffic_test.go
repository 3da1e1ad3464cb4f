package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"naru/internal/lab"
)

// hold opens conns to the VIP that stay open until the test ends.
func (r *rig) hold(n int) lab.Holds {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), answer)
	defer cancel()
	holds, err := r.Hold(ctx, n, netip.Addr{}, vip(80))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { holds.Close() })
	return holds
}

// asks asks on a held conn, which stays its real's.
func (r *rig) asks(h *lab.Held) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answer)
	defer cancel()
	if name, err := h.Ask(ctx); err != nil || name != h.Real {
		r.Errorf("on the conn of %s answers %q, %v", h.Real, name, err)
	}
}

// load is requests without a pause: on new conns, on held ones, and a download that
// takes as long as the load.
type load struct {
	*rig
	holds       lab.Holds
	fresh, held atomic.Int64
	done        chan struct{}
	wg          sync.WaitGroup
	mu          sync.Mutex
	faults      []error
}

// downloaded is so much that no buffer holds it.
const downloaded = 48 << 20

func (r *rig) startLoad() *load {
	r.Helper()
	l := &load{rig: r, done: make(chan struct{}), holds: r.hold(3)}
	client := r.HTTP(lab.HTTPOptions{Timeout: answer})
	l.wg.Go(func() {
		l.repeat(&l.fresh, func(int64) error {
			_, err := lab.Get(context.Background(), client, vip(80))
			return err
		})
	})
	l.wg.Go(func() {
		l.repeat(&l.held, func(i int64) error {
			h := l.holds[i%int64(len(l.holds))]
			ctx, cancel := context.WithTimeout(context.Background(), answer)
			defer cancel()
			name, err := h.Ask(ctx)
			if err == nil && name != h.Real {
				err = fmt.Errorf("%s answers on the conn of %s", name, h.Real)
			}
			return err
		})
	})
	l.wg.Go(func() {
		if err := l.slowDownload(); err != nil {
			l.fault(fmt.Errorf("download: %w", err))
		}
	})
	return l
}

func (l *load) repeat(count *atomic.Int64, ask func(i int64) error) {
	for {
		select {
		case <-l.done:
			return
		case <-time.After(2 * time.Millisecond): // leaves the machine to others as well
		}
		if err := ask(count.Load()); err != nil {
			l.fault(fmt.Errorf("request after %d of its kind: %w", count.Load(), err))
			return
		}
		count.Add(1)
	}
}

// slowDownload reads piece by piece until the load ends, and then the rest.
func (l *load) slowDownload() error {
	resp, err := l.HTTP(lab.HTTPOptions{Timeout: time.Minute}).Get(fmt.Sprintf("http://%s/bytes?n=%d", vip(80), downloaded))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sum := sha256.New()
	for waiting := true; waiting; {
		select {
		case <-l.done:
			waiting = false
		case <-time.After(20 * time.Millisecond):
			if _, err := io.CopyN(sum, resp.Body, 64<<10); err != nil {
				return err
			}
		}
	}
	if _, err := io.Copy(sum, resp.Body); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != sumOf(downloaded) {
		return errors.New("what arrived differs from what was sent")
	}
	return nil
}

func (l *load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, err)
}

// more waits until n more requests of each kind were answered.
func (l *load) more(n int64) {
	l.Helper()
	fresh, held := l.fresh.Load()+n, l.held.Load()+n
	l.until("requests are answered", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.faults) > 0 {
			l.Fatal(errors.Join(l.faults...))
		}
		if l.fresh.Load() < fresh || l.held.Load() < held {
			return fmt.Errorf("%d on new conns and %d on held ones", l.fresh.Load(), l.held.Load())
		}
		return nil
	})
}

// stop ends the load. No request may have failed.
func (l *load) stop() {
	l.Helper()
	close(l.done)
	l.wg.Wait()
	if err := errors.Join(l.faults...); err != nil {
		l.Fatal(err)
	}
}

// countsAreTheTables holds the counts of -Ln against a walk of -Lnc, which shows every
// conn.
func (r *rig) countsAreTheTables() {
	r.Helper()
	r.until("the counts are those of the table", func() error {
		counted, walked := map[string]string{}, map[string][2]int{}
		for line := range strings.Lines(r.ipvsadm("-Lnc")) {
			if f := strings.Fields(line); len(f) == 6 && f[0] == "TCP" {
				n := walked[f[5]]
				if f[2] == "ESTABLISHED" {
					n[0]++
				} else {
					n[1]++
				}
				walked[f[5]] = n
			}
		}
		for line := range strings.Lines(r.ipvsadm("-Ln")) {
			if f := strings.Fields(line); len(f) == 6 && f[0] == "->" && f[1] != "RemoteAddress:Port" {
				counted[f[1]] = f[4] + " " + f[5]
			}
		}
		if len(walked) == 0 {
			return errors.New("the table shows no conn")
		}
		for real, n := range walked {
			if want := fmt.Sprintf("%d %d", n[0], n[1]); counted[real] != want {
				return fmt.Errorf("%s counts %q, the table has %q", real, counted[real], want)
			}
		}
		return nil
	})
}
