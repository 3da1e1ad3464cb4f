package dataplane

import (
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"naru/internal/model"
	"naru/internal/plan"
)

// Stats returns what has been counted, by id.
func (d *Dataplane) Stats() (plan.Stats, error) {
	d.mu.Lock()
	services, reals := d.topService+1, d.topReal+1
	d.mu.Unlock()
	s := plan.Stats{Reals: make([]plan.RealStats, reals)}
	var err error
	if s.Services, err = sums(d.objs.ServiceCounters, services); err != nil {
		return plan.Stats{}, fmt.Errorf("read the counters of services: %w", err)
	}
	counters, err := sums(d.objs.RealCounters, reals)
	if err != nil {
		return plan.Stats{}, fmt.Errorf("read the counters of reals: %w", err)
	}
	for id := range s.Reals {
		r := &d.reals.all[id]
		s.Reals[id] = plan.RealStats{Counters: counters[id], Active: load(&r.Active), Inactive: load(&r.Inactive)}
	}
	return s, nil
}

// sums adds up the CPUs' shares of the first n entries.
func sums(m *ebpf.Map, n uint32) ([]model.Counters, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	keys, shares := make([]uint32, n), make([]lbCounters, int(n)*cpus)
	var cursor ebpf.MapBatchCursor
	got, err := m.BatchLookup(&cursor, keys, shares, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, err
	}
	all := make([]model.Counters, n)
	for i := range got {
		all[keys[i]] = sum(shares[i*cpus : (i+1)*cpus])
	}
	return all, nil
}

func sum(shares []lbCounters) (c model.Counters) {
	for _, s := range shares {
		c.Conns += s.Conns
		c.InPackets += s.InPackets
		c.InBytes += s.InBytes
		c.OutPackets += s.OutPackets
		c.OutBytes += s.OutBytes
	}
	return c
}

// Zero sets the counters of the services and reals to 0.
func (d *Dataplane) Zero(services, reals []uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range services {
		if err := d.zeroService(id); err != nil {
			return err
		}
	}
	for _, id := range reals {
		if err := d.zeroReal(id); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataplane) zeroService(id uint32) error { return zero(d.objs.ServiceCounters, id) }
func (d *Dataplane) zeroReal(id uint32) error    { return zero(d.objs.RealCounters, id) }

func zero(m *ebpf.Map, id uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	if err := m.Put(id, make([]lbCounters, cpus)); err != nil {
		return fmt.Errorf("zero counters: %w", err)
	}
	return nil
}

// Exits returns the packets that left the path, by exit: the names of bpf/types.h in
// lower case.
func (d *Dataplane) Exits() (map[string]uint64, error) { return tally(d.objs.Exits, exitNames[:]) }

// Events returns how often what happened to the conn table, likewise.
func (d *Dataplane) Events() (map[string]uint64, error) { return tally(d.objs.Events, eventNames[:]) }

func tally(m *ebpf.Map, names []string) (map[string]uint64, error) {
	all := make(map[string]uint64, len(names))
	for i, name := range names {
		var shares []uint64
		if err := m.Lookup(uint32(i), &shares); err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", m, err)
		}
		var total uint64
		for _, n := range shares {
			total += n
		}
		all[name] = total
	}
	return all, nil
}

// Used returns how many conns the table holds.
func (d *Dataplane) Used() (uint32, error) {
	t, err := d.tableState()
	return t.Used, err
}

func (d *Dataplane) tableState() (t lbTableState, err error) {
	if err := d.objs.TableState.Lookup(uint32(0), &t); err != nil {
		return t, fmt.Errorf("read the state of the conn table: %w", err)
	}
	return t, nil
}

// Conns yields each conn of the table. One that changes meanwhile is yielded as it was
// or as it is.
func (d *Dataplane) Conns() iter.Seq2[model.Conn, error] {
	return func(yield func(model.Conn, error) bool) {
		s, err := d.settings()
		if err != nil {
			yield(model.Conn{}, err)
			return
		}
		t, err := d.tableState()
		if err != nil {
			yield(model.Conn{}, err)
			return
		}
		clock := now()
		for i := range d.conns.all[:min(int(t.Fresh), len(d.conns.all))] {
			if c, ok := d.conn(&d.conns.all[i], &s, clock); ok && !yield(c, nil) {
				return
			}
		}
	}
}

// conn reads a record, if it holds a conn and still the same one afterwards.
func (d *Dataplane) conn(r *lbConn4, s *lbSettings, clock uint32) (model.Conn, bool) {
	word := load(&r.Head.Word)
	state := lbState(word & 0xff)
	if state == lbStateSTATE_NONE || state >= lbStateSTATES { // state_holds
		return model.Conn{}, false
	}
	copied := *r
	if load(&r.Head.Word)>>8 != word>>8 || copied.Head.Real >= uint32(len(d.reals.all)) {
		return model.Conn{}, false
	}
	real := tableReal(&d.reals.all[copied.Head.Real])
	return model.Conn{
		Protocol: model.Protocol(copied.Flow.Proto),
		State:    model.State(state),
		Client:   addrPort4(copied.Flow.Src.B, copied.Flow.Sport),
		Virtual:  addrPort4(copied.Flow.Dst.B, copied.Flow.Dport),
		Real:     real.Address,
		Forward:  model.Forward(copied.Head.Forward),
		Expires:  secondsLeft(s.Timeouts[state], clock-copied.Head.Seen),
		Packets:  uint64(copied.Head.Packets),
		Bytes:    atomic.LoadUint64(&copied.Head.Bytes),
	}, true
}
