package metrics

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"naru/internal/model"
	"naru/internal/plan"
)

// one is a reading in which service 1 and real 1 have the same counters.
func one(c model.Counters) plan.Stats {
	return plan.Stats{
		Services: []model.Counters{{}, c},
		Reals:    []plan.RealStats{{}, {Counters: c}},
	}
}

func TestRatesConvergeOnWhatIsCounted(t *testing.T) {
	var e Estimator
	var c model.Counters
	var got Rates
	for range 60 {
		got = e.Feed(one(c))
		c.Conns += 20
		c.InPackets += 2000
		c.InBytes += 3_000_000
		c.OutPackets += 200
		c.OutBytes += 300_000
	}
	// The floor of the shift keeps a rising average up to 3 units of its scale low.
	want := model.Rates{Conns: 10, InPackets: 1000, InBytes: 1_500_000, OutPackets: 100, OutBytes: 150_000}
	if diff := cmp.Diff(want, got.Service(1)); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, got.Real(1)); diff != "" {
		t.Errorf("real (-want +got):\n%s", diff)
	}
}

// TestAverageFollowsIPVS holds single steps to values worked out by hand from the
// formula: avg += (counted<<9 - avg) >> 2, shown as (avg + 0x1FF) >> 10.
func TestAverageFollowsIPVS(t *testing.T) {
	for _, test := range []struct {
		name    string
		counted []uint64 // conns of each interval
		want    []uint64
	}{
		{"a step of 100/s", []uint64{200, 200, 200, 200}, []uint64{25, 44, 58, 68}},
		{"decay", []uint64{800, 0, 0, 0}, []uint64{100, 75, 56, 42}},
		{"half is rounded down", []uint64{4, 0}, []uint64{0, 0}},
		{"above half is rounded up", []uint64{5, 0}, []uint64{1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var e Estimator
			var c model.Counters
			e.Feed(one(c))
			var got []uint64
			for _, n := range test.counted {
				c.Conns += n
				got = append(got, e.Feed(one(c)).Service(1).Conns)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestByteRatesHoldAHundredGigabits(t *testing.T) {
	var e Estimator
	var c model.Counters
	c.InBytes = 1 << 62 // of years
	var got Rates
	for range 120 {
		got = e.Feed(one(c))
		c.InBytes += 25_000_000_000 // 2 s of 100 Gbit/s
	}
	if got.Service(1).InBytes != 12_500_000_000 {
		t.Errorf("rate %d, want 12500000000", got.Service(1).InBytes)
	}
}

func TestWhatWasCountedBeforeIsNoRate(t *testing.T) {
	var e Estimator
	got := e.Feed(one(model.Counters{Conns: 1 << 40, InBytes: 1 << 50}))
	if got.Service(1) != (model.Rates{}) || got.Real(1) != (model.Rates{}) {
		t.Errorf("first reading: %+v, want zero", got)
	}
}

func TestZeroedCountersAndReusedIDsStartClean(t *testing.T) {
	var e Estimator
	e.Feed(one(model.Counters{}))
	if e.Feed(one(model.Counters{Conns: 1000, InBytes: 1 << 20})).Real(1).Conns == 0 {
		t.Fatal("no rate to begin with")
	}
	got := e.Feed(one(model.Counters{Conns: 3, InBytes: 2 << 20})) // conns went down, bytes up
	if got.Real(1) != (model.Rates{}) {
		t.Errorf("after a counter went down: %+v, want zero", got.Real(1))
	}
	got = e.Feed(one(model.Counters{Conns: 11, InBytes: 2 << 20}))
	if got.Real(1).Conns != 1 {
		t.Errorf("rate %d after 8 conns more, want 1", got.Real(1).Conns)
	}
}

func TestNoReadingGivesANegativeRate(t *testing.T) {
	var e Estimator
	e.Feed(one(model.Counters{}))
	got := e.Feed(one(model.Counters{Conns: 1 << 63, OutBytes: 1<<64 - 1})).Service(1)
	if got.Conns > 1<<53 || got.OutBytes > 1<<58 {
		t.Errorf("rates wrapped around: %+v", got)
	}
}

func TestUnknownIDsHaveNoRate(t *testing.T) {
	if got := (Rates{}).Real(7); got != (model.Rates{}) {
		t.Errorf("rate of an unknown id %+v, want zero", got)
	}
}

func TestTablesMayChangeTheirSize(t *testing.T) {
	var e Estimator
	e.Feed(one(model.Counters{Conns: 5}))
	e.Feed(plan.Stats{})
	got := e.Feed(one(model.Counters{Conns: 500}))
	if got.Service(1) != (model.Rates{}) {
		t.Errorf("an id that came back: %+v, want zero", got.Service(1))
	}
}

func TestSamplerReadsEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c model.Counters
		var log strings.Builder
		var fail atomic.Bool
		s := NewSampler(func() (plan.Stats, error) {
			if fail.Load() {
				return plan.Stats{}, errors.New("no such map")
			}
			c.Conns += 200
			return one(c), nil
		}, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()

		synctest.Wait()
		if got := s.Rates().Service(1).Conns; got != 0 {
			t.Errorf("after the first reading %d conns/s, want 0", got)
		}
		waitInterval(t)
		if got := s.Rates().Service(1).Conns; got != 25 {
			t.Errorf("after one interval %d conns/s, want 25", got)
		}
		fail.Store(true)
		waitInterval(t)
		waitInterval(t)
		if got := s.Rates().Service(1).Conns; got != 25 {
			t.Errorf("while readings fail %d conns/s, want the last, 25", got)
		}
		fail.Store(false)
		waitInterval(t)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := strings.Count(log.String(), "stand still"); n != 1 {
			t.Errorf("%d lines about two failed readings in a row, want 1:\n%s", n, log.String())
		}
	})
}

// waitInterval lets one Interval of the test's own clock pass.
func waitInterval(t *testing.T) {
	t.Helper()
	time.Sleep(Interval)
	synctest.Wait()
}
