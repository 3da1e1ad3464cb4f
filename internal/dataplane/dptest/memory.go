// Package dptest is the packet path's tables in memory, for tests: one implementation
// that holds every step to its contract, and one that fails on purpose.
package dptest

import (
	"sync"
	"testing"

	"naru/internal/plan"
)

// Memory holds tables as the data plane would. A step that a packet could meet as half
// a change is an error of the test it was made for.
type Memory struct {
	tb     testing.TB
	limits plan.Limits

	mu     sync.Mutex
	tables plan.Tables
	steps  []plan.Step
	zeroed []uint32
}

// NewMemory returns empty tables of these sizes.
func NewMemory(tb testing.TB, limits plan.Limits) *Memory {
	var empty plan.Tables
	return &Memory{tb: tb, limits: limits, tables: empty.Clone()}
}

// Limits returns the sizes of the tables.
func (m *Memory) Limits() plan.Limits { return m.limits }

// Read returns what the tables hold.
func (m *Memory) Read() (plan.Tables, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tables.Clone(), nil
}

// Apply carries out the steps in order, each held to its contract.
func (m *Memory) Apply(steps []plan.Step) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range steps {
		m.carry(s)
	}
	return nil
}

func (m *Memory) carry(s plan.Step) {
	m.tb.Helper()
	if fault := Violation(&m.tables, m.limits, s); fault != "" {
		m.tb.Errorf("step %q breaks the contract: %s\nthe tables before it:\n%s", s, fault, m.tables)
	}
	m.tables.Carry(s)
	m.steps = append(m.steps, s)
}

// Zero records which counters were zeroed: see Zeroed.
func (m *Memory) Zero(services, reals []uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.zeroed = append(append(m.zeroed, services...), reals...)
	return nil
}

// Zeroed returns the ids whose counters were zeroed since it was last called: of
// services, then of reals.
func (m *Memory) Zeroed() []uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	zeroed := m.zeroed
	m.zeroed = nil
	return zeroed
}

// Steps returns the steps carried out since it was last called.
func (m *Memory) Steps() []plan.Step {
	m.mu.Lock()
	defer m.mu.Unlock()
	steps := m.steps
	m.steps = nil
	return steps
}

// SetConns makes a real have n conns, as traffic would.
func (m *Memory) SetConns(real, n uint32) {
	m.Damage(func(t *plan.Tables) {
		r := t.Reals[real]
		r.Conns = n
		t.Reals[real] = r
	})
}

// Damage changes the tables behind the owner's back.
func (m *Memory) Damage(change func(*plan.Tables)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.tables)
}

// String returns the tables as text.
func (m *Memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tables.String()
}

// Failing is Memory whose Apply gives up half way when Fail says so.
type Failing struct {
	*Memory

	failMu sync.Mutex
	fail   func(plan.Step) error
	read   error
}

// NewFailing returns tables that do not fail yet.
func NewFailing(m *Memory) *Failing { return &Failing{Memory: m} }

// Fail makes Apply ask fail before each step, and stop with its error. Nil ends it.
func (f *Failing) Fail(fail func(plan.Step) error) {
	f.failMu.Lock()
	defer f.failMu.Unlock()
	f.fail = fail
}

// FailRead makes Read return err. Nil ends it.
func (f *Failing) FailRead(err error) {
	f.failMu.Lock()
	defer f.failMu.Unlock()
	f.read = err
}

// Every returns a rule for Fail: each nth step fails with err.
func Every(n int, err error) func(plan.Step) error {
	steps := 0
	return func(plan.Step) error {
		if steps++; steps%n == 0 {
			return err
		}
		return nil
	}
}

// Read returns what the tables hold, or the error of FailRead.
func (f *Failing) Read() (plan.Tables, error) {
	f.failMu.Lock()
	err := f.read
	f.failMu.Unlock()
	if err != nil {
		return plan.Tables{}, err
	}
	return f.Memory.Read()
}

// Apply carries out the steps up to the first that fails.
func (f *Failing) Apply(steps []plan.Step) error {
	f.failMu.Lock()
	defer f.failMu.Unlock()
	for _, s := range steps {
		if f.fail != nil {
			if err := f.fail(s); err != nil {
				return err
			}
		}
		if err := f.Memory.Apply([]plan.Step{s}); err != nil {
			return err
		}
	}
	return nil
}
