package plan

import (
	"fmt"
	"slices"

	"naru/internal/model"
)

// Describe says in sentences what the steps change for an operator, given the tables
// before them: one for each service, real, weight or setting. Steps that only follow
// the host (the way to a real) or tidy up are not told.
func Describe(steps []Step, have Tables) []string {
	d := describer{have: have, keys: make(map[uint32]model.Key), gone: make(map[uint32]bool)}
	for _, step := range steps {
		switch s := step.(type) {
		case PutService:
			d.keys[s.ID] = s.Service.Key
		case RetireService:
			d.gone[s.ID] = true
		}
	}
	// A service is told before its reals, though it is written after them.
	for _, step := range steps {
		switch s := step.(type) {
		case PutService:
			d.service(s)
		case RetireService:
			d.say("remove service %s", d.key(s.ID))
		}
	}
	for _, step := range steps {
		switch s := step.(type) {
		case PutReal:
			d.real(s)
		case SetTimeouts:
			if have.Timeouts != (model.Timeouts{}) { // tables just made have none
				d.say("timeouts %s → %s", timeouts(have.Timeouts), timeouts(s.Timeouts))
			}
		}
	}
	return d.lines
}

type describer struct {
	have  Tables
	keys  map[uint32]model.Key // of services that the steps write
	gone  map[uint32]bool      // services that the steps retire
	lines []string
}

func (d *describer) say(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *describer) key(id uint32) model.Key {
	if key, ok := d.keys[id]; ok {
		return key
	}
	return d.have.Services[id].Key
}

func (d *describer) service(s PutService) {
	old, known := d.have.Services[s.ID]
	if !known || old.Retired || old.Key != s.Service.Key {
		d.say("add service %s %s", s.Service.Key, s.Service.Scheduler)
		return
	}
	if old.Scheduler != s.Service.Scheduler {
		d.say("scheduler of %s %s → %s", old.Key, old.Scheduler, s.Service.Scheduler)
	}
	if s.Service.Held && !old.Held {
		d.say("VIP of %s is on this host: new conns are scheduled", old.Key)
	}
	if old.Held && !s.Service.Held {
		d.say("VIP of %s is not on this host: new conns are not scheduled", old.Key)
	}
	before, after := slices.Sorted(slices.Values(old.List)), slices.Sorted(slices.Values(s.Service.List))
	if slices.Equal(before, after) && !slices.Equal(old.List, s.Service.List) {
		d.say("order of the reals of %s changes", old.Key)
	}
}

func (d *describer) real(s PutReal) {
	old, known := d.have.Reals[s.ID]
	r, key := s.Real, d.key(s.Real.Service)
	switch {
	case r.Retired:
		if !d.gone[r.Service] && d.have.Services[r.Service].Key == key && key != (model.Key{}) {
			d.say("remove real %s of %s", r.Address, key)
		}
		return
	case !known || old.Retired || old.Service != r.Service || old.Address != r.Address:
		d.say("add real %s to %s: %s, weight %d", r.Address, key, r.Forward, r.Weight)
		return
	}
	if old.Forward != r.Forward {
		d.say("forward of %s in %s %s → %s", r.Address, key, old.Forward, r.Forward)
	}
	if old.Weight != r.Weight {
		d.say("weight of %s in %s %d → %d", r.Address, key, old.Weight, r.Weight)
	}
}
