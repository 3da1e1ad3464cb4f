package metrics

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"naru/internal/plan"
)

// Interval is the time between two readings, fixed by the formula (ip_vs_est.c).
const Interval = 2 * time.Second

// Sampler is the task that reads the counters every Interval.
type Sampler struct {
	read  func() (plan.Stats, error)
	log   *slog.Logger
	rates atomic.Pointer[Rates]
}

// NewSampler returns a sampler of the counters that read returns.
func NewSampler(read func() (plan.Stats, error), log *slog.Logger) *Sampler {
	s := &Sampler{read: read, log: log}
	s.rates.Store(&Rates{})
	return s
}

// String names the task.
func (s *Sampler) String() string { return "rates" }

// Rates returns the latest rates. It may be called from anywhere, at any time.
func (s *Sampler) Rates() Rates { return *s.rates.Load() }

// Run samples until ctx ends. A reading that fails leaves the rates as they were and
// is logged when it starts and when it ends, not every two seconds between.
func (s *Sampler) Run(ctx context.Context) error {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	var estimator Estimator
	failing := false
	for {
		stats, err := s.read()
		switch {
		case err != nil && !failing:
			s.log.Error("rates stand still", "cause", err)
		case err == nil && failing:
			s.log.Info("rates move again")
		}
		failing = err != nil
		if !failing {
			rates := estimator.Feed(stats)
			s.rates.Store(&rates)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
