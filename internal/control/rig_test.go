package control_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"naru/internal/control"
	"naru/internal/dataplane/dptest"
	"naru/internal/model"
)

// rig is a running Control with a store and tables in memory that can fail.
type rig struct {
	*control.Control
	t      testing.TB
	store  *store
	tables *dptest.Failing
	host   model.Host // as said last
	stop   func()     // ends Run and waits for it
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, store: &store{}, tables: dptest.NewFailing(dptest.NewMemory(t, limits))}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) start() {
	r.Control = control.New(control.Options{Tables: r.tables, Store: r.store, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("run: %v", err)
		}
	})
}

// restart ends the Control and starts another with the same store and tables.
func (r *rig) restart() {
	r.stop()
	r.start()
}

// store is a Store in memory.
type store struct {
	mu     sync.Mutex
	text   []byte
	broken error
	loads  error
}

// Break makes Save fail with err.
func (s *store) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// BreakLoad makes Load fail with err.
func (s *store) BreakLoad(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads = err
}

func (s *store) Load(v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loads != nil || s.text == nil {
		return s.loads
	}
	return json.Unmarshal(s.text, v)
}

func (s *store) Save(v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	var err error
	s.text, err = json.MarshalIndent(v, "", " ")
	return err
}

func (s *store) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}
