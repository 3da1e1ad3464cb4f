package dptest

import (
	"fmt"
	"slices"

	"naru/internal/model"
	"naru/internal/plan"
)

// Violation says what is wrong with carrying a step out on these tables, "" if nothing:
// after every single step, no service in use may name a real that is missing, retired
// or another's, and no entry that conns may name may change its meaning.
func Violation(t *plan.Tables, limits plan.Limits, step plan.Step) string {
	switch s := step.(type) {
	case plan.PutReal:
		return putReal(t, limits, s)
	case plan.PutService:
		return putService(t, limits, s)
	case plan.RetireService:
		if e, ok := t.Services[s.ID]; !ok || e.Retired {
			return "the service is not in use"
		}
	case plan.FreeReal:
		r, ok := t.Reals[s.ID]
		switch {
		case !ok || !r.Retired:
			return "the real was not retired"
		case r.Conns > 0:
			return "the real has conns"
		case lister(t, s.ID) != 0:
			return fmt.Sprintf("service %d lists the real", lister(t, s.ID))
		}
	case plan.FreeService:
		if e, ok := t.Services[s.ID]; !ok || !e.Retired {
			return "the service was not retired"
		}
		for id, r := range t.Reals {
			if r.Service == s.ID {
				return fmt.Sprintf("real %d names the service", id)
			}
		}
	case plan.SetTimeouts:
		if s.Timeouts.TCP == 0 || s.Timeouts.TCPFin == 0 || s.Timeouts.UDP == 0 {
			return "a timeout is 0"
		}
	default:
		return fmt.Sprintf("step %T is unknown", step)
	}
	return ""
}

func putReal(t *plan.Tables, limits plan.Limits, s plan.PutReal) string {
	old, known := t.Reals[s.ID]
	switch {
	case s.ID == plan.NoReal || s.ID >= limits.Reals:
		return fmt.Sprintf("id %d is outside 1 to %d", s.ID, limits.Reals-1)
	case known && (old.Service != s.Real.Service || old.Address != s.Real.Address):
		return "the entry is another real's and was not freed"
	case s.Real.Retired && s.Real.Weight > 0:
		return "a retired real has a weight"
	case s.Real.Retired && lister(t, s.ID) != 0:
		return fmt.Sprintf("service %d still lists the real", lister(t, s.ID))
	case s.Real.Service == 0:
		return "the real names no service"
	case s.Real.Weight > 0 && s.Real.RingWeight != s.Real.Weight:
		return "the ring weight is not the last weight above 0"
	case s.Real.Conns != 0:
		return "conns are the packet path's to count"
	case known && !s.Real.Retired && old == withConns(s.Real, old.Conns):
		return "nothing changes"
	}
	return ""
}

func withConns(r plan.TableReal, conns uint32) plan.TableReal {
	r.Conns = conns
	return r
}

func putService(t *plan.Tables, limits plan.Limits, s plan.PutService) string {
	old, known := t.Services[s.ID]
	switch {
	case s.ID == 0 || s.ID >= limits.Services:
		return fmt.Sprintf("id %d is outside 1 to %d", s.ID, limits.Services-1)
	case known && old.Key != s.Service.Key:
		return "the entry is another service's and was not freed"
	case s.Service.Retired:
		return "a service is retired by its own step"
	}
	for id, other := range t.Services {
		if id != s.ID && !other.Retired && other.Key == s.Service.Key {
			return fmt.Sprintf("service %d has the same key", id)
		}
	}
	for i, id := range s.Service.List {
		r, ok := t.Reals[id]
		switch {
		case !ok || r.Retired:
			return fmt.Sprintf("the list names real %d, which is not in use", id)
		case r.Service != s.ID:
			return fmt.Sprintf("the list names real %d of service %d", id, r.Service)
		case slices.Contains(s.Service.List[:i], id):
			return fmt.Sprintf("the list names real %d twice", id)
		}
	}
	return ringFault(s.Service)
}

func ringFault(s plan.TableService) string {
	size := map[model.Scheduler]int{model.SH: 256, model.MH: 4093}[s.Scheduler] // ip_vs_sh.c, ip_vs_mh.c
	if len(s.Ring) != size {
		return fmt.Sprintf("the ring has %d buckets, scheduler %s wants %d", len(s.Ring), s.Scheduler, size)
	}
	for _, id := range s.Ring {
		if id != plan.NoReal && !slices.Contains(s.List, id) {
			return fmt.Sprintf("the ring names real %d, which the list does not", id)
		}
	}
	return ""
}

// lister returns a service in use that lists the real, or 0.
func lister(t *plan.Tables, real uint32) uint32 {
	for id, s := range t.Services {
		if !s.Retired && slices.Contains(s.List, real) {
			return id
		}
	}
	return 0
}
