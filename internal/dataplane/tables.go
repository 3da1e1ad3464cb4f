package dataplane

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"naru/internal/model"
	"naru/internal/plan"
)

// The packet path reads these while they are written: single words change at once.
func load(p *uint32) uint32         { return atomic.LoadUint32(p) }
func store(p *uint32, v uint32)     { atomic.StoreUint32(p, v) }
func store64(p *uint64, v uint64)   { atomic.StoreUint64(p, v) }
func packRange(at, n uint32) uint64 { return uint64(at)<<32 | uint64(n) }
func rangeOf(r uint64) span         { return span{uint32(r >> 32), uint32(r)} }

// survey learns from the tables which ids and slots are in use.
func (d *Dataplane) survey() {
	d.space = newSpace(uint32(len(d.ids)))
	for id := range d.services.all {
		if s := &d.services.all[id]; has(s.Flags, lbEntryFlagsENTRY_USED) {
			d.topService = uint32(id)
			d.space.claim(rangeOf(s.List))
			d.space.claim(rangeOf(s.Ring))
		}
	}
	for id := range d.reals.all {
		if has(d.reals.all[id].Flags, lbEntryFlagsENTRY_USED) {
			d.topReal = uint32(id)
		}
	}
}

// Read returns what the tables hold.
func (d *Dataplane) Read() (plan.Tables, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := plan.Tables{Services: map[uint32]plan.TableService{}, Reals: map[uint32]plan.TableReal{}}
	for id := uint32(1); id <= d.topService; id++ {
		s := &d.services.all[id]
		if !has(s.Flags, lbEntryFlagsENTRY_USED) {
			continue
		}
		t.Services[id] = plan.TableService{
			Key:       modelKey(s.Key),
			Scheduler: model.Scheduler(s.Scheduler),
			Held:      has(s.Flags, lbEntryFlagsENTRY_HELD),
			Retired:   has(s.Flags, lbEntryFlagsENTRY_RETIRED),
			List:      d.listed(s.List),
			Ring:      d.listed(s.Ring),
		}
	}
	for id := uint32(1); id <= d.topReal; id++ {
		if r := &d.reals.all[id]; has(r.Flags, lbEntryFlagsENTRY_USED) {
			t.Reals[id] = tableReal(r)
		}
	}
	s, err := d.settings()
	t.Timeouts = model.Timeouts{
		TCP:    seconds(s.Timeouts[lbStateSTATE_ESTABLISHED]),
		TCPFin: seconds(s.Timeouts[lbStateSTATE_FIN_WAIT]),
		UDP:    seconds(s.Timeouts[lbStateSTATE_UDP]),
	}
	return t, err
}

// listed returns the ids in a range of slots.
func (d *Dataplane) listed(r uint64) []uint32 {
	at := rangeOf(r)
	if at.n == 0 || uint64(at.at)+uint64(at.n) > uint64(len(d.ids)) {
		return nil
	}
	return slices.Clone(d.ids[at.at : at.at+at.n])
}

// Apply carries the steps out in order and stops at the first that fails.
func (d *Dataplane) Apply(steps []plan.Step) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, step := range steps {
		if err := d.apply(step); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataplane) apply(step plan.Step) error {
	switch s := step.(type) {
	case plan.PutReal:
		return d.putReal(s.ID, s.Real)
	case plan.PutService:
		return d.putService(s.ID, s.Service)
	case plan.RetireService:
		return d.retireService(s.ID)
	case plan.FreeReal:
		d.reals.all[s.ID] = lbReal{}
		return nil
	case plan.FreeService:
		return d.freeService(s.ID)
	case plan.SetTimeouts:
		old, err := d.settings()
		if err != nil {
			return err
		}
		return d.writeSettings(old, s.Timeouts)
	}
	panic(fmt.Sprintf("dataplane: unknown step %T", step))
}

// putReal writes an entry. A packet meanwhile sees the old way to the real, the new
// one, or none (ifindex 0, dropped), never a mixture.
func (d *Dataplane) putReal(id uint32, t plan.TableReal) error {
	r := &d.reals.all[id]
	if !has(r.Flags, lbEntryFlagsENTRY_USED) {
		*r = lbReal{}
		if err := d.zeroReal(id); err != nil {
			return err
		}
	}
	d.topReal = max(d.topReal, id)
	ifindex := t.Hop.Ifindex
	if !t.Hop.Reachable() {
		ifindex = 0
	}
	if have := tableReal(r); have.Hop != t.Hop || have.Address != t.Address {
		store(&r.Ifindex, 0)
		r.Address.B = as16(t.Address.Addr())
		r.Source.B = as16(t.Hop.Source)
		r.Port = port(t.Address.Port())
		r.Mac, r.Smac, r.Mtu = t.Hop.DstMAC, t.Hop.SrcMAC, t.Hop.MTU
	}
	r.Service = t.Service
	r.Forward = uint8(t.Forward)
	r.Flags = uint8(lbEntryFlagsENTRY_USED) | flag(t.Retired, lbEntryFlagsENTRY_RETIRED)
	store(&r.RingWeight, t.RingWeight)
	store(&r.Weight, t.Weight)
	store(&r.Ifindex, ifindex)
	return nil
}

// putService writes new lists into free slots, flips the entry to them, and then lets
// the key lead to it.
func (d *Dataplane) putService(id uint32, t plan.TableService) error {
	s := &d.services.all[id]
	if !has(s.Flags, lbEntryFlagsENTRY_USED) {
		*s = lbService{}
		if err := d.zeroService(id); err != nil {
			return err
		}
	}
	d.topService = max(d.topService, id)
	s.Key = serviceKey(t.Key)
	if err := d.flip(&s.Ring, t.Ring); err != nil {
		return fmt.Errorf("put the ring of service %s: %w", t.Key, err)
	}
	old := d.listed(s.List)
	gcd, heaviest := d.weights(t.List)
	turn := realign(s, t, gcd, heaviest, old)
	if err := d.flip(&s.List, t.List); err != nil {
		return fmt.Errorf("put the list of service %s: %w", t.Key, err)
	}
	s.Scheduler = uint8(t.Scheduler)
	store(&s.Gcd, gcd)
	store(&s.MaxWeight, heaviest)
	store64(&s.Turn, turn)
	s.Flags = uint8(lbEntryFlagsENTRY_USED) | flag(t.Held, lbEntryFlagsENTRY_HELD)
	if err := d.objs.ServiceIds.Put(&s.Key, id); err != nil {
		return fmt.Errorf("put service %s: %w", t.Key, err)
	}
	return nil
}

// flip puts ids into slots of their own and the range into r by one write. The old
// slots are free a while later, when no packet reads them any more.
func (d *Dataplane) flip(r *uint64, ids []uint32) error {
	old := rangeOf(*r)
	if slices.Equal(d.listed(*r), ids) {
		return nil
	}
	at, err := d.space.take(uint32(len(ids)))
	if err != nil {
		return err
	}
	copy(d.ids[at.at:at.at+at.n], ids)
	store64(r, packRange(at.at, at.n))
	d.space.release(old)
	return nil
}

func (d *Dataplane) retireService(id uint32) error {
	s := &d.services.all[id]
	if err := d.objs.ServiceIds.Delete(&s.Key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("retire service %s: %w", modelKey(s.Key), err)
	}
	s.Flags = uint8(lbEntryFlagsENTRY_USED | lbEntryFlagsENTRY_RETIRED)
	d.space.release(rangeOf(s.List))
	d.space.release(rangeOf(s.Ring))
	store64(&s.List, 0)
	store64(&s.Ring, 0)
	return nil
}

func (d *Dataplane) freeService(id uint32) error {
	if err := d.retireService(id); err != nil {
		return err
	}
	d.services.all[id] = lbService{}
	return nil
}

// weights returns the greatest common divisor and the maximum of the weights above 0.
func (d *Dataplane) weights(list []uint32) (gcd, heaviest uint32) {
	for _, id := range list {
		w := load(&d.reals.all[id].Weight)
		heaviest = max(heaviest, w)
		for a := w; a != 0; {
			gcd, a = a, gcd%a
		}
	}
	return max(gcd, 1), heaviest
}

// realign returns the place of rr or wrr in a service that changes, as ip_vs keeps it
// (ip_vs_rr_del_dest, ip_vs_wrr_dest_changed): rr goes on after the real it chose last,
// or where that one was; wrr begins the list again at any change of a real, with cw
// brought onto the new steps. That the VIP comes or goes is no such change.
func realign(s *lbService, t plan.TableService, gcd, heaviest uint32, old []uint32) uint64 {
	turn := atomic.LoadUint64(&s.Turn)
	same := model.Scheduler(s.Scheduler) == t.Scheduler
	switch {
	case same && has(s.Flags, lbEntryFlagsENTRY_HELD) != t.Held && slices.Equal(old, t.List):
		return turn
	case t.Scheduler == model.RR && same:
		return realignRR(uint32(turn), old, t.List)
	case t.Scheduler == model.WRR && heaviest > 0:
		first, cw := heaviest-(gcd-1), uint32(turn>>32)
		switch {
		case !same || cw > first || cw == 0:
			cw = first
		case gcd > 1:
			cw = cw/gcd*gcd + 1
		}
		return uint64(cw) << 32
	}
	return 0
}

// realignRR finds the last chosen real, or the nearest one before it that stayed.
func realignRR(at uint32, old, list []uint32) uint64 {
	for n := min(at, uint32(len(old))); n > 0; n-- {
		if i := slices.Index(list, old[n-1]); i >= 0 {
			return uint64(i + 1)
		}
	}
	return 0
}
