package control

import (
	"net/netip"
	"slices"

	"naru/internal/model"
	"naru/internal/plan"
)

// desired is the desired state: the three inputs, and file and edits merged.
type desired struct {
	file  fileIndex
	edits edits
	host  model.Host

	services []service // merged, in the order of their keys
}

// service is a service of either owner, with the reals of both.
type service struct {
	model.Service               // weights with overrides
	owner         model.Owner   // of the service
	owners        []model.Owner // of each real
}

var editOwner = model.Owner{Kind: model.EditOwner}

// newDesired merges file and edits. Reals that were added to a file service come after
// the file's, as they were added later.
func newDesired(file fileIndex, e edits, host model.Host) desired {
	d := desired{file: file, edits: e, host: host}
	d.services = make([]service, 0, len(file.Services)+len(e.services))
	for i := range file.Services {
		d.services = append(d.services, d.merge(file.Services[i].Key))
	}
	for key := range e.services {
		d.services = append(d.services, d.merge(key))
	}
	slices.SortFunc(d.services, func(a, b service) int { return a.Key.Compare(b.Key) })
	return d
}

// with returns the desired state with edits that differ in these services alone.
func (d *desired) with(e edits, touched map[model.Key]bool) desired {
	next := desired{file: d.file, edits: e, host: d.host, services: slices.Clone(d.services)}
	for key := range touched {
		next.services[d.find(key)] = next.merge(key)
	}
	return next
}

// find returns the place of a service that is there.
func (d *desired) find(key model.Key) int {
	i, _ := slices.BinarySearchFunc(d.services, key, func(s service, k model.Key) int { return s.Key.Compare(k) })
	return i
}

// merge returns a service with the reals of both owners.
func (d *desired) merge(key model.Key) service {
	if f := d.file.byKey[key]; f != nil {
		return d.onFile(f)
	}
	s := d.edits.services[key]
	return service{*s, editOwner, slices.Repeat([]model.Owner{editOwner}, len(s.Reals))}
}

// onFile merges a service of the file with the edits on it.
func (d *desired) onFile(f *FileService) service {
	added, weights := d.edits.reals[f.Key], d.edits.weights[f.Key]
	s := service{f.Service, d.file.owner(f), make([]model.Owner, 0, len(f.Reals)+len(added))}
	s.Reals = slices.Concat(f.Reals, added)
	for i := range f.Reals {
		s.owners = append(s.owners, d.file.realOwner(f, i))
		if w, ok := weights[f.Reals[i].Address]; ok {
			s.Reals[i].Weight = w
		}
	}
	for range added {
		s.owners = append(s.owners, editOwner)
	}
	return s
}

// timeouts returns those in force.
func (d *desired) timeouts() model.Timeouts { return overlay(d.file.timeouts(), d.edits.timeouts) }

// effective returns the weight that a real is to have in the tables. Whatever else comes
// to bear on weights, such as health, does it here.
func effective(r *model.Real) uint32 { return r.Weight }

// want returns what the tables shall hold.
func (d *desired) want() plan.Want {
	w := plan.Want{Timeouts: d.timeouts(), Services: make([]plan.Service, len(d.services))}
	for i := range d.services {
		w.Services[i] = d.wantService(&d.services[i])
	}
	return w
}

func (d *desired) wantService(s *service) plan.Service {
	held, told := d.host.Held[s.VIP]
	w := plan.Service{
		Key: s.Key, Scheduler: s.Scheduler, Held: held, KeepHeld: !told, Reals: make([]plan.Real, len(s.Reals)),
	}
	for i := range s.Reals {
		w.Reals[i] = d.wantReal(&s.Reals[i])
	}
	return w
}

// wantReal joins a real with the host's way to it. A real whose address is the
// director's own is local, whatever forward was asked for.
func (d *desired) wantReal(r *model.Real) plan.Real {
	w := plan.Real{Address: r.Address, Forward: r.Forward, Weight: effective(r)}
	w.Hop, w.KeepHop = d.hop(r.Address.Addr())
	if w.Hop.Local {
		w.Forward = model.Local
	}
	return w
}

// hop returns the way to an address, and whether the host has yet to tell.
func (d *desired) hop(a netip.Addr) (hop model.Hop, untold bool) {
	if a.IsLoopback() {
		return model.Hop{Local: true}, false
	}
	hop, told := d.host.Hops[a]
	return hop, !told
}
