package control

import (
	"context"
	"fmt"

	"naru/internal/model"
	"naru/internal/plan"
)

// SetFile replaces the file's part of the desired state and says in sentences which edits
// ended and what changed. A *model.Refusal means that nothing has: the file breaks a rule,
// the tables have no room, or something could not be read or saved. What could not be
// carried out at once is among the changes.
func (c *Control) SetFile(ctx context.Context, f File) (changes []string, err error) {
	asked := c.do(ctx, func() {
		var r *model.Refusal
		if changes, r = c.setFile(f); r != nil {
			err = r
		}
	})
	if asked != nil {
		return nil, asked
	}
	return changes, err
}

func (c *Control) setFile(f File) ([]string, *model.Refusal) {
	index, r := check(f)
	if r != nil {
		return nil, r
	}
	c.takeHost()
	stay, ended := c.desired.edits.under(&index)
	next := newDesired(index, stay, c.desired.host)
	have, steps, err := c.compare(&next)
	if err != nil {
		return nil, refusal(err)
	}
	if len(ended) > 0 {
		if err := c.save(&stay); err != nil {
			if c.started {
				return nil, refuse(model.Internal, "", "%v; the file was not taken over", err)
			}
			c.faults[faultStore] = err.Error() // a director that starts forwards all the same
		}
	}
	c.started = true
	changes := append(ended, plan.Describe(steps, have)...)
	return append(changes, c.become(change{next: next, have: have, steps: steps})...), nil
}

// Edit makes all of the edits or none, and returns what an operator should know about
// them. More than one edit is a restore (see the package's rules). The error is a
// *model.Refusal with the index of the edit at fault.
func (c *Control) Edit(ctx context.Context, list []model.Edit) (notes []string, err error) {
	asked := c.do(ctx, func() {
		var r *model.Refusal
		if notes, r = c.edit(list); r != nil {
			err = r
		}
	})
	if asked != nil {
		return nil, asked
	}
	return notes, err
}

func (c *Control) edit(list []model.Edit) ([]string, *model.Refusal) {
	if !c.started {
		return nil, refuse(model.Internal, "try again in a moment", "the director is starting and has not read its file yet")
	}
	b := newBatch(&c.desired, len(list) > 1)
	if r := b.make(list); r != nil {
		return nil, r
	}
	if b.changed() {
		ch, err := c.prepare(b)
		if err != nil {
			return nil, refusal(err)
		}
		if err := c.save(&b.edits); err != nil {
			return nil, refuse(model.Internal, "", "%v; nothing was changed", err)
		}
		b.notes = append(b.notes, c.become(ch)...)
	}
	r := c.zero(b)
	return b.notes, r
}

// zero zeroes the counters that a batch asked for. That it failed refuses a batch that
// asked for nothing else, and is a note on one whose edits are made.
func (c *Control) zero(b *batch) *model.Refusal {
	if !b.zeroAll && len(b.zero) == 0 {
		return nil
	}
	chosen := make(map[model.Key]bool)
	for _, key := range b.zero {
		chosen[key] = true
	}
	var services, reals []uint32
	for _, s := range c.Snapshot().Services {
		if !b.zeroAll && !chosen[s.Key] || s.ID == 0 {
			continue
		}
		services = append(services, s.ID)
		for _, r := range s.Reals {
			if r.ID != plan.NoReal {
				reals = append(reals, r.ID)
			}
		}
	}
	err := c.Tables.Zero(services, reals)
	if err == nil {
		return nil
	}
	if b.changed() {
		b.notes = append(b.notes, fmt.Sprintf("counters were not zeroed: %v", err))
		return nil
	}
	return refuse(model.Internal, "", "zero counters: %v", err)
}

// Plan says what SetFile would, given the stored edits and what the host and the tables
// hold now. It changes nothing and needs no Run.
func Plan(f File, stored Edits, host model.Host, have plan.Tables, limits plan.Limits) ([]string, error) {
	index, r := check(f)
	if r != nil {
		return nil, r
	}
	e := newEdits(stored)
	stay, ended := e.under(&index)
	d := newDesired(index, stay, host)
	steps, err := plan.Diff(have, d.want(), limits)
	if err != nil {
		return nil, refusal(err)
	}
	return append(ended, plan.Describe(steps, have)...), nil
}
