package control

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"naru/internal/model"
)

// batch makes a list of edits on a copy of those in force, so that either all are made
// or none.
type batch struct {
	file    *fileIndex
	edits   edits // the copy
	restore bool  // more than one edit: what is there already is no fault

	mine    map[model.Key]bool // services and lists that the batch has copied and may change
	touched map[model.Key]bool // services whose reals or scheduler the batch changed
	wide    bool               // it also changed which services there are, or the timeouts
	notes   []string
	zero    []model.Key // services whose counters are to be zeroed
	zeroAll bool
}

func newBatch(d *desired, restore bool) *batch {
	return &batch{
		file: &d.file, edits: d.edits.clone(), restore: restore,
		mine: make(map[model.Key]bool), touched: make(map[model.Key]bool),
	}
}

// changed says whether the edits differ from those in force.
func (b *batch) changed() bool { return b.wide || len(b.touched) > 0 }

// make makes all edits and says which was refused.
func (b *batch) make(list []model.Edit) *model.Refusal {
	for i := range list {
		if r := b.one(&list[i]); r != nil {
			r.Edit = i
			return r
		}
	}
	return nil
}

func (b *batch) one(e *model.Edit) *model.Refusal {
	switch e.Op {
	case model.AddService:
		return b.addService(e.Service)
	case model.EditService:
		return b.editService(e.Service)
	case model.DeleteService:
		return b.deleteService(e.Service.Key)
	case model.AddReal, model.EditReal, model.DeleteReal:
		return b.onReal(e)
	case model.Clear:
		return b.clear()
	case model.Zero:
		return b.zeroCounters(e.Service.Key)
	case model.SetTimeouts:
		return b.setTimeouts(e.Timeouts)
	}
	return refuse(model.Invalid, "", "edit %q is unknown", e.Op)
}

func (b *batch) addService(s model.Service) *model.Refusal {
	if f := b.file.byKey[s.Key]; f != nil {
		if b.restore && f.Scheduler == s.Scheduler {
			return nil
		}
		return refuse(model.ServiceExists, "", "service %s exists: %s names it", f.Title(), place(b.file.owner(f)))
	}
	if b.edits.services[s.Key] != nil {
		return refuse(model.ServiceExists, "", "service %s exists", s.Key)
	}
	if len(s.Reals) > 0 {
		return refuse(model.Invalid, "add each real by an edit of its own", "service %s is to be added with reals", s.Title())
	}
	if faults := s.Check(); len(faults) > 0 {
		return refuse(model.Invalid, "", "service %s: %s", s.Title(), faults[0].Text)
	}
	b.edits.services[s.Key], b.mine[s.Key], b.wide = &s, true, true
	return nil
}

func (b *batch) editService(s model.Service) *model.Refusal {
	if f := b.file.byKey[s.Key]; f != nil {
		if f.Scheduler == s.Scheduler {
			return nil
		}
		return b.fileOwned(b.file.owner(f), fmt.Sprintf("service %s", f.Title()), "change it there and run naru reload")
	}
	own := b.own(s.Key)
	if own == nil {
		return noService(s.Key)
	}
	own.Scheduler = s.Scheduler
	b.touched[s.Key] = true
	return nil
}

func (b *batch) deleteService(key model.Key) *model.Refusal {
	if f := b.file.byKey[key]; f != nil {
		return b.fileOwned(b.file.owner(f), fmt.Sprintf("service %s", f.Title()), "remove it there and run naru reload")
	}
	if b.edits.services[key] == nil {
		return noService(key)
	}
	delete(b.edits.services, key)
	b.wide = true
	return nil
}

// clear leaves the timeouts, as ipvsadm -C does.
func (b *batch) clear() *model.Refusal {
	b.edits = newEdits(Edits{Timeouts: b.edits.timeouts})
	b.wide = true
	if n := len(b.file.Services); n > 0 {
		services, stay := "services", "stay"
		if n == 1 {
			services, stay = "service", "stays"
		}
		b.notes = append(b.notes, fmt.Sprintf("%d %s of %s %s: only edits and overrides were removed",
			n, services, place(model.Owner{File: b.file.Name}), stay))
	}
	return nil
}

func (b *batch) zeroCounters(key model.Key) *model.Refusal {
	switch {
	case key == model.Key{}:
		b.zeroAll = true
	case b.file.byKey[key] == nil && b.edits.services[key] == nil:
		return noService(key)
	default:
		b.zero = append(b.zero, key)
	}
	return nil
}

func (b *batch) setTimeouts(t model.Timeouts) *model.Refusal {
	if r := checkTimeouts(t); r != nil {
		return r
	}
	b.edits.timeouts = overlay(b.edits.timeouts, t)
	b.wide = true
	return nil
}

// own returns a service of the edits that the batch may change, nil if there is none.
func (b *batch) own(key model.Key) *model.Service {
	s := b.edits.services[key]
	if s != nil && !b.mine[key] {
		copied := *s
		copied.Reals = slices.Clone(s.Reals)
		s = &copied
		b.edits.services[key], b.mine[key] = s, true
	}
	return s
}

// ownReals returns the reals added to a file service, such that the batch may change them.
func (b *batch) ownReals(key model.Key) []model.Real {
	if !b.mine[key] {
		b.edits.reals[key], b.mine[key] = slices.Clone(b.edits.reals[key]), true
	}
	return b.edits.reals[key]
}

// override sets the weight of a file's real; the file's own weight ends the override.
func (b *batch) override(s *FileService, real int, weight uint32) {
	address := s.Reals[real].Address
	weights := maps.Clone(b.edits.weights[s.Key])
	if weights == nil {
		weights = make(map[netip.AddrPort]uint32)
	}
	weights[address] = weight
	if weight == s.Reals[real].Weight {
		delete(weights, address)
	}
	b.edits.weights[s.Key], b.touched[s.Key] = weights, true
	if len(weights) == 0 {
		delete(b.edits.weights, s.Key)
	}
}

func (b *batch) fileOwned(o model.Owner, what, hint string) *model.Refusal {
	return refuse(model.FileOwned, hint, "%s belongs to %s", what, place(o))
}

func noService(key model.Key) *model.Refusal {
	return refuse(model.NoService, "", "service %s does not exist", key)
}
