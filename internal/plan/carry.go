package plan

import (
	"maps"
	"slices"
)

// Carry makes the change of a step in t, as the packet path's tables make it. It is
// what a step means.
func (t *Tables) Carry(step Step) {
	switch s := step.(type) {
	case PutReal:
		s.Real.Conns = t.Reals[s.ID].Conns // the packet path's own
		t.Reals[s.ID] = s.Real
	case PutService:
		t.Services[s.ID] = s.Service
	case RetireService:
		e := t.Services[s.ID]
		e.Retired, e.List, e.Ring = true, nil, nil
		t.Services[s.ID] = e
	case FreeReal:
		delete(t.Reals, s.ID)
	case FreeService:
		delete(t.Services, s.ID)
	case SetTimeouts:
		t.Timeouts = s.Timeouts
	}
}

// Clone returns a copy that shares nothing with t.
func (t *Tables) Clone() Tables {
	c := Tables{Services: make(map[uint32]TableService, len(t.Services)), Reals: maps.Clone(t.Reals), Timeouts: t.Timeouts}
	if c.Reals == nil {
		c.Reals = make(map[uint32]TableReal)
	}
	for id, s := range t.Services {
		s.List, s.Ring = slices.Clone(s.List), slices.Clone(s.Ring)
		c.Services[id] = s
	}
	return c
}
