package control

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"naru/internal/model"
	"naru/internal/plan"
)

// The causes of faults, which are also the order in which they are told.
const (
	faultStore  = "1 store"
	faultTables = "2 tables"
)

// reconcile makes the tables what they shall be, if they are not, and publishes what
// has become of it.
func (c *Control) reconcile() {
	if !c.started {
		return // what the tables hold is the last daemon's, and still right
	}
	start := time.Now()
	pending := c.retry > 0
	have, steps, err := c.compare(&c.desired)
	if err == nil {
		err = c.carryOut(have, steps)
	} else {
		c.pend(err)
	}
	c.took = time.Since(start)
	if err != nil || pending || len(steps) > 0 {
		c.publish()
	}
}

// compare reads the tables and returns what has to be done to them.
func (c *Control) compare(d *desired) (plan.Tables, []plan.Step, error) {
	have, err := c.Tables.Read()
	if err != nil {
		return have, nil, fmt.Errorf("read the tables: %w", err)
	}
	// Of an Apply that failed it is not known which step it had begun: a service that it
	// may have been at must look changed, also one that only starts its round again (wrr).
	for id := range c.redo {
		if s, ok := have.Services[id]; ok && !s.Retired {
			s.List = append(slices.Clone(s.List), plan.NoReal)
			have.Services[id] = s
		}
	}
	steps, err := plan.Diff(have, d.want(), c.Tables.Limits())
	return have, steps, err
}

// change is a new desired state and what has to be done for it.
type change struct {
	next  desired
	have  plan.Tables
	steps []plan.Step
	only  map[model.Key]bool // the services that it changes; nil if it may be any
}

// prepare returns the change that a batch makes. If it gives services that are carried
// already no new real, the tables are not read and compared as a whole.
func (c *Control) prepare(b *batch) (change, error) {
	news := c.takeHost()
	if !b.wide && !news && c.retry == 0 {
		ch := change{next: c.desired.with(b.edits, b.touched), have: c.tables, only: b.touched}
		if c.narrow(&ch) {
			return ch, nil
		}
	}
	ch := change{next: newDesired(c.desired.file, b.edits, c.desired.host)}
	var err error
	ch.have, ch.steps, err = c.compare(&ch.next)
	return ch, err
}

// narrow finds the steps of a change to a few services, if they can be found alone.
func (c *Control) narrow(ch *change) bool {
	views := c.Snapshot().Services
	for _, key := range sortedKeys(ch.only) {
		i := ch.next.find(key)
		steps, ok := plan.DiffService(ch.have, views[i].ID, ch.next.wantService(&ch.next.services[i]), c.Tables.Limits())
		if !ok {
			return false
		}
		ch.steps = append(ch.steps, steps...)
	}
	return true
}

// become makes the change, and returns a note if the tables do not hold it yet.
func (c *Control) become(ch change) []string {
	c.desired = ch.next
	err := c.carryOut(ch.have, ch.steps)
	if err != nil || ch.only == nil {
		c.publish()
	} else {
		c.publishOnly(ch.only)
	}
	if err != nil {
		return []string{fmt.Sprintf("saved but not carried out yet, trying again: %v", err)}
	}
	return nil
}

// carryOut applies the steps and remembers what the tables hold after them.
func (c *Control) carryOut(have plan.Tables, steps []plan.Step) error {
	c.tables = have
	if err := c.apply(steps); err != nil {
		if now, unread := c.Tables.Read(); unread == nil {
			c.tables = now
		}
		err = fmt.Errorf("write the tables: %w", err)
		c.pend(err)
		return err
	}
	for _, s := range steps {
		c.tables.Carry(s)
	}
	clear(c.redo)
	if c.retry > 0 {
		c.Log.Info("tables are as they shall be again")
	}
	c.retry = 0
	delete(c.faults, faultTables)
	return nil
}

// apply has the steps carried out, one by one after a failure, so that it is known how
// far it got and each attempt gets further than the last.
func (c *Control) apply(steps []plan.Step) error {
	size := max(1, len(steps))
	if c.retry > 0 {
		size = 1
	}
	for done := 0; done < len(steps); done += size {
		if err := c.Tables.Apply(steps[done : done+size]); err != nil {
			c.mark(steps[done:], true)
			return err
		}
		c.mark(steps[done:done+size], false)
	}
	return nil
}

// mark notes whether the services that the steps write may be half written.
func (c *Control) mark(steps []plan.Step, half bool) {
	for _, s := range steps {
		if put, ok := s.(plan.PutService); ok && half {
			c.redo[put.ID] = true
		} else if ok {
			delete(c.redo, put.ID)
		}
	}
}

// pend has Run try again, later each time.
func (c *Control) pend(cause error) {
	if c.retry == 0 {
		c.Log.Error("tables are not as they shall be; trying again", "cause", cause)
	}
	c.retry = min(max(2*c.retry, retryMin), retryMax)
	c.faults[faultTables] = fmt.Sprintf("the packet path's tables are not as they shall be: %v; trying again every %v at most", cause, retryMax)
}

// load reads the edits of the last daemon. Edits that cannot be understood are a fault
// that stays until the next are saved, not a reason to forward nothing.
func (c *Control) load() error {
	var stored Edits
	err := c.Store.Load(&stored)
	var kept interface{ KeptAside() string }
	switch {
	case errors.As(err, &kept):
		c.Log.Error("edits are lost", "cause", err, "kept", kept.KeptAside())
		c.faults[faultStore] = err.Error()
		stored = Edits{}
	case err != nil:
		return fmt.Errorf("load edits: %w", err)
	}
	c.desired.edits = newEdits(stored)
	return nil
}

// save stores the edits.
func (c *Control) save(e *edits) error {
	if err := c.Store.Save(e.stored()); err != nil {
		return err
	}
	delete(c.faults, faultStore)
	return nil
}

// refusal turns an error that kept something from being begun into what its asker is told.
func refusal(err error) *model.Refusal {
	var full *plan.FullError
	var invalid *plan.InvalidError
	switch {
	case errors.As(err, &full):
		return refuse(model.Full, full.Hint(), "%v", full)
	case errors.As(err, &invalid):
		return refuse(model.Invalid, invalid.Hint, "%v", invalid)
	}
	return refuse(model.Internal, "", "%v", err)
}
