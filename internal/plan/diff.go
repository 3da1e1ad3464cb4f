package plan

import (
	"net/netip"
	"slices"

	"naru/internal/model"
)

// Diff returns the steps that turn the tables into what is wanted, none if they hold it
// already. They are ordered so that a packet never meets half a change: entries that
// nothing names are freed, reals are written before the services that list them, and
// reals leave their service before they are retired.
//
// Ids last: a service keeps the id of its key and a real that of its service and address,
// also one that was retired, so that its conns find it again. An id whose entry still
// has conns is never given to another real. A removed real is first retired, and freed
// by a later Diff once its last conn has ended; a service when its last real is freed.
//
// The wanted state names no service and no real of a service twice (model.Service.Check).
// The error is a *FullError if the tables have no room, else an *InvalidError.
func Diff(have Tables, want Want, limits Limits) ([]Step, error) {
	d := newDiffer(have, limits)
	services := slices.SortedFunc(slices.Values(want.Services), func(a, b Service) int {
		return a.Key.Compare(b.Key)
	})
	d.claim(services)
	d.free()
	for i := range services {
		if err := d.service(&services[i]); err != nil {
			return nil, err
		}
	}
	d.retire()
	if d.ring > uint64(limits.Ring) && limits.Ring > 0 {
		return nil, &FullError{Table: "ring", Size: limits.Ring, Wanted: d.ring}
	}
	steps := slices.Concat(d.freed, d.reals, d.services, d.retired)
	if have.Timeouts != want.Timeouts {
		steps = append(steps, SetTimeouts{want.Timeouts})
	}
	return steps, nil
}

// DiffService is Diff for one service that is in use under this id, and leaves all others
// alone: a changed weight must not wait for a look at a hundred thousand reals. It is not
// ok if that takes a Diff of everything, because ids must be found or rings compared.
func DiffService(have Tables, id uint32, want Service, limits Limits) (steps []Step, ok bool) {
	s, ok := have.Services[id]
	if !ok || s.Key != want.Key || s.Retired || s.Scheduler != want.Scheduler {
		return nil, false
	}
	part := Tables{
		Services: map[uint32]TableService{id: s},
		Reals:    make(map[uint32]TableReal, len(s.List)),
		Timeouts: have.Timeouts,
	}
	there := make(map[netip.AddrPort]bool, len(s.List))
	for _, real := range s.List {
		r := have.Reals[real]
		part.Reals[real], there[r.Address] = r, true
	}
	for i := range want.Reals {
		if !there[want.Reals[i].Address] {
			return nil, false
		}
	}
	steps, err := Diff(part, Want{Services: []Service{want}, Timeouts: have.Timeouts}, limits)
	return steps, err == nil
}

// differ holds the working state of one Diff.
type differ struct {
	have                          Tables
	index                         *index
	serviceIDs, realIDs           *ids
	given                         map[model.Key]uint32 // ids of new services
	keptService, keptReal, listed marks                // ids of have: of use in the wanted state; listed by a service in use
	ring                          uint64               // buckets of all rings wanted

	freed, reals, services, retired []Step // in the order in which they are carried out
}

func newDiffer(have Tables, limits Limits) *differ {
	x := newIndex(have, limits)
	d := &differ{
		have: have, index: x, given: make(map[model.Key]uint32),
		serviceIDs: &ids{table: "service", size: limits.Services, next: 1,
			used: func(id uint32) bool { _, ok := have.Services[id]; return ok }},
		realIDs:     &ids{table: "real", size: limits.Reals, next: 1, used: func(id uint32) bool { return x.real(id) != nil }},
		keptService: make(marks, len(x.chain)),
		keptReal:    make(marks, len(x.place)),
		listed:      make(marks, len(x.place)),
	}
	for _, id := range x.services {
		if s := have.Services[id]; !s.Retired {
			for _, real := range s.List {
				d.listed.set(real)
			}
		}
	}
	return d
}

// claim gives services their ids as far as there are any that were not used before, and
// marks the entries that stay in use, so that nothing frees them.
func (d *differ) claim(want []Service) {
	for i := range want {
		id, ok := d.index.byKey[want[i].Key]
		if !ok {
			if id, ok = d.serviceIDs.unused(); !ok {
				continue
			}
			d.given[want[i].Key] = id
		}
		d.keptService.set(id)
		for j := range want[i].Reals {
			if real, ok := d.index.find(id, want[i].Reals[j].Address); ok {
				d.keptReal.set(real)
			}
		}
	}
}

// free clears retired entries that nothing names any more.
func (d *differ) free() {
	named := make(marks, len(d.keptService)) // services that a remaining real names
	for i, id := range d.index.ids {
		r := &d.index.reals[i]
		switch {
		case !r.Retired || d.keptReal.has(id):
			named.set(r.Service)
		case r.Conns > 0 || d.listed.has(id):
			named.set(r.Service)
			d.realIDs.retired++
		default:
			d.freed = append(d.freed, FreeReal{id})
			d.realIDs.giveBack(id)
		}
	}
	for _, id := range d.index.services {
		switch {
		case !d.have.Services[id].Retired || d.keptService.has(id):
		case named.has(id):
			d.serviceIDs.retired++
		default:
			d.freed = append(d.freed, FreeService{id})
			d.serviceIDs.giveBack(id)
			d.index.chain[id] = nil // a service that is given the id now has no reals yet
		}
	}
}

// service adds the steps of one wanted service.
func (d *differ) service(want *Service) error {
	id, known, err := d.id(want.Key)
	if err != nil {
		return err
	}
	old := d.have.Services[id]
	reals := make([]TableReal, len(want.Reals))
	list := make([]uint32, len(want.Reals))
	reweighed, held := false, want.Held
	if want.KeepHeld {
		held = old.Held // false if the service is new
	}
	for i := range want.Reals {
		newest := len(want.Reals) - 1 - i
		r, rid, err := d.real(id, &want.Reals[i])
		if err != nil {
			return err
		}
		reals[newest], list[newest] = r, rid
		old := d.index.real(rid)
		reweighed = reweighed || old == nil || old.Weight != r.Weight
	}
	ring, err := makeRing(want, list, reals)
	if err != nil {
		return err
	}
	d.ring += uint64(len(ring))
	// wrr starts a new round whenever a weight changes (ip_vs_wrr.c, ip_vs_wrr_dest_changed).
	same := known && !old.Retired && old.Scheduler == want.Scheduler && old.Held == held &&
		slices.Equal(old.List, list) && slices.Equal(old.Ring, ring) &&
		!(want.Scheduler == model.WRR && reweighed)
	if !same {
		d.services = append(d.services, PutService{id, TableService{
			Key: want.Key, Scheduler: want.Scheduler, Held: held, List: list, Ring: ring,
		}})
	}
	return nil
}

// id returns the id of a service, and whether the tables have an entry for it.
func (d *differ) id(key model.Key) (id uint32, known bool, err error) {
	if id, known = d.index.byKey[key]; known {
		return id, true, nil
	}
	if id, ok := d.given[key]; ok {
		return id, false, nil
	}
	id, err = d.serviceIDs.take()
	return id, false, err
}

// real adds the step of one wanted real, if it needs one.
func (d *differ) real(service uint32, want *Real) (TableReal, uint32, error) {
	id, known := d.index.find(service, want.Address)
	if !known {
		var err error
		if id, err = d.realIDs.take(); err != nil {
			return TableReal{}, 0, err
		}
	}
	r := TableReal{
		Service: service, Address: want.Address, Forward: want.Forward,
		Weight: want.Weight, RingWeight: want.Weight,
	}
	var old TableReal
	if known {
		old = *d.index.real(id)
		old.Conns = 0 // the packet path's own
	}
	if want.Weight == 0 {
		r.RingWeight = old.RingWeight // none if it is new or was retired (ip_vs_ctl.c, __ip_vs_update_dest)
	}
	r.Hop = hop(want, old.Hop)
	if r.Hop.Local {
		r.Forward = model.Local
	}
	if !known || old != r {
		d.reals = append(d.reals, PutReal{id, r})
	}
	return r, id, nil
}

// hop returns the way to a real as the tables hold it. A neighbour that is not known at
// the moment keeps its last MAC on the same interface: neighbour entries vanish when the
// carrier is lost for a moment, and are not there yet when a daemon starts.
func hop(want *Real, old model.Hop) model.Hop {
	switch {
	case want.KeepHop:
		return old
	case want.Hop.Local:
		return model.Hop{Local: true}
	case want.Hop.Reachable():
		return want.Hop
	case old.Reachable() && !old.Local && old.Ifindex == want.Hop.Ifindex:
		return old
	}
	return model.Hop{} // nothing of a way that leads nowhere is of use
}

// retire takes away what the tables hold in use and nobody wants.
func (d *differ) retire() {
	for _, id := range d.index.services {
		if !d.keptService.has(id) && !d.have.Services[id].Retired {
			d.retired = append(d.retired, RetireService{id})
		}
	}
	for i, id := range d.index.ids {
		r := d.index.reals[i]
		if d.keptReal.has(id) || r.Retired {
			continue
		}
		r.Retired, r.Weight, r.RingWeight, r.Conns = true, 0, 0, 0
		d.retired = append(d.retired, PutReal{id, r})
	}
}
