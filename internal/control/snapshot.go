package control

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"naru/internal/model"
	"naru/internal/plan"
)

// Snapshot is the desired state as it stands in the tables. It never changes and may be
// read by anybody.
type Snapshot struct {
	Revision uint64 // grows with every change; 0 before the file was set
	File     string // the configuration's name
	Services []ServiceView
	Timeouts model.Timeouts
	Faults   []string // what is not as it should be, one sentence each

	next chan struct{} // closed when there is a newer one
}

// ServiceView is one service. Its Reals, in the order in which they were added, hide
// those of model.Service.
type ServiceView struct {
	ID uint32 // in the tables, 0 if it is not there yet
	model.Service
	Owner model.Owner
	Held  bool // the director holds the VIP now
	Reals []RealView

	faults []string
}

// RealView is one real. Forward is Local if the address is the director's own; Weight is
// the configured or overriding one.
type RealView struct {
	ID uint32 // in the tables, 0 if it is not there yet
	model.Real
	Effective uint32
	Owner     model.Owner
	Reachable bool // packets can be sent to it now
}

// Superseded returns a channel that is closed when a newer Snapshot is there. Whoever
// follows the state waits for it and asks Control again; nothing can be missed between.
func (s *Snapshot) Superseded() <-chan struct{} { return s.next }

// Addresses returns the VIPs and the addresses of the reals, each once and in order:
// what the host is to be asked about.
func (s *Snapshot) Addresses() (vips, reals []netip.Addr) {
	v, r := make(map[netip.Addr]bool), make(map[netip.Addr]bool)
	for i := range s.Services {
		v[s.Services[i].VIP] = true
		for j := range s.Services[i].Reals {
			if a := s.Services[i].Reals[j].Address.Addr(); !a.IsLoopback() {
				r[a] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(v), netip.Addr.Compare), slices.SortedFunc(maps.Keys(r), netip.Addr.Compare)
}

// publish makes the current state the Snapshot.
func (c *Control) publish() {
	ids := make(map[model.Key]uint32, len(c.tables.Services))
	for id, t := range c.tables.Services {
		if !t.Retired {
			ids[t.Key] = id
		}
	}
	views := make([]ServiceView, len(c.desired.services))
	for i := range views {
		views[i] = c.desired.services[i].view(ids[c.desired.services[i].Key], &c.tables)
	}
	c.emit(views)
}

// publishOnly does so when nothing but these services changed since the last Snapshot.
func (c *Control) publishOnly(touched map[model.Key]bool) {
	views := slices.Clone(c.Snapshot().Services)
	for key := range touched {
		i := c.desired.find(key)
		views[i] = c.desired.services[i].view(views[i].ID, &c.tables)
	}
	c.emit(views)
}

func (c *Control) emit(views []ServiceView) {
	old := c.Snapshot()
	s := &Snapshot{
		Revision: old.Revision + 1,
		File:     c.desired.file.Name,
		Services: views,
		Timeouts: c.desired.timeouts(),
		next:     make(chan struct{}),
	}
	for _, cause := range slices.Sorted(maps.Keys(c.faults)) {
		s.Faults = append(s.Faults, c.faults[cause])
	}
	for i := range views {
		s.Faults = append(s.Faults, views[i].faults...)
	}
	c.snapshot.Store(s)
	close(old.next)
}

// view joins a service with its entry in the tables.
func (s *service) view(id uint32, t *plan.Tables) ServiceView {
	entry := t.Services[id]
	v := ServiceView{ID: id, Service: s.Service, Owner: s.owner, Held: entry.Held, Reals: make([]RealView, len(s.Reals))}
	for i := range s.Reals {
		rv := RealView{Real: s.Reals[i], Effective: effective(&s.Reals[i]), Owner: s.owners[i]}
		rid := listed(entry.List, len(s.Reals)-1-i, s.Reals[i].Address, t)
		if r := t.Reals[rid]; rid != plan.NoReal {
			rv.ID, rv.Reachable = rid, r.Hop.Reachable()
			if r.Hop.Local {
				rv.Forward = model.Local
			}
		}
		v.Reals[i] = rv
	}
	v.faults = unmappable(&v)
	return v
}

// listed returns the id of a real that is expected at a place of the list, and is
// elsewhere only while the tables are not as they shall be.
func listed(list []uint32, place int, address netip.AddrPort, t *plan.Tables) uint32 {
	if place < len(list) && t.Reals[list[place]].Address == address {
		return list[place]
	}
	for _, id := range list {
		if t.Reals[id].Address == address {
			return id
		}
	}
	return plan.NoReal
}

// unmappable reports reals on the director itself that listen on another port than
// their service, which only nat to another machine can do. Before the host has said
// whose address it is, nobody can know.
func unmappable(v *ServiceView) []string {
	var faults []string
	for i := range v.Reals {
		if r := &v.Reals[i]; r.Forward == model.Local && r.Address.Port() != v.Port {
			faults = append(faults, fmt.Sprintf("real %s of %s is on the director itself, where ports cannot be mapped: let it listen on port %d",
				r.Address, v.Title(), v.Port))
		}
	}
	return faults
}
