package plan

import (
	"maps"
	"net/netip"
	"slices"

	"naru/internal/model"
)

// index finds entries of Tables by name. Reals lie in an array, and those of one service
// in a chain, because maps of a hundred thousand reals would take longer than the rest
// of a Diff.
type index struct {
	services []uint32 // ids, ascending: the order of steps must not hang on a map
	byKey    map[model.Key]uint32

	ids   []uint32    // of reals, ascending
	reals []TableReal // likewise
	place []int32     // by id: place in reals, or none
	chain [][]uint32  // by service id: ids of its reals, ascending
	large map[uint32]map[netip.AddrPort]uint32
}

// none is the place of no real.
const none = -1

// longChain is the number of reals from which a service gets a map of its own.
const longChain = 32

// newIndex indexes t. Reals of a service id that has no entry are found too, because a
// service is written after its reals: an Apply that failed between left them there.
func newIndex(t Tables, limits Limits) *index {
	x := &index{
		services: slices.Sorted(maps.Keys(t.Services)),
		byKey:    make(map[model.Key]uint32, len(t.Services)),
		large:    make(map[uint32]map[netip.AddrPort]uint32),
	}
	for _, id := range x.services {
		s := t.Services[id]
		// Tables that were damaged may hold two of one key: the one in use is meant.
		if other, twice := x.byKey[s.Key]; !twice || t.Services[other].Retired && !s.Retired {
			x.byKey[s.Key] = id
		}
		x.chain = grow(x.chain, id)
	}
	x.ids = slices.Sorted(maps.Keys(t.Reals))
	x.reals = make([]TableReal, len(x.ids))
	if n := len(x.ids); n > 0 {
		x.place = slices.Repeat([]int32{none}, int(x.ids[n-1])+1)
	}
	for i, id := range x.ids {
		x.reals[i], x.place[id] = t.Reals[id], int32(i)
		s := x.reals[i].Service
		if _, known := t.Services[s]; known || s < limits.Services { // else damaged: retired by Diff
			x.chain = grow(x.chain, s)
			x.chain[s] = append(x.chain[s], id)
		}
	}
	return x
}

// grow returns chains with room for the id.
func grow(chains [][]uint32, id uint32) [][]uint32 {
	if n := int(id) + 1; n > len(chains) {
		chains = append(chains, make([][]uint32, n-len(chains))...)
	}
	return chains
}

// real returns the entry of an id, nil if there is none.
func (x *index) real(id uint32) *TableReal {
	if int(id) >= len(x.place) || x.place[id] == none {
		return nil
	}
	return &x.reals[x.place[id]]
}

// find returns the id of a service's real: should there be two, that of the one in use.
func (x *index) find(service uint32, address netip.AddrPort) (uint32, bool) {
	if int(service) >= len(x.chain) {
		return 0, false
	}
	chain := x.chain[service]
	if len(chain) > longChain {
		id, ok := x.byAddress(service)[address]
		return id, ok
	}
	found := NoReal
	for _, id := range chain {
		if x.real(id).Address == address && (found == NoReal || x.real(found).Retired && !x.real(id).Retired) {
			found = id
		}
	}
	return found, found != NoReal
}

func (x *index) byAddress(service uint32) map[netip.AddrPort]uint32 {
	if m, ok := x.large[service]; ok {
		return m
	}
	m := make(map[netip.AddrPort]uint32, len(x.chain[service]))
	for _, id := range x.chain[service] {
		r := x.real(id)
		if other, twice := m[r.Address]; !twice || x.real(other).Retired && !r.Retired {
			m[r.Address] = id
		}
	}
	x.large[service] = m
	return m
}

// marks is a set of ids.
type marks []bool

func (m marks) set(id uint32) {
	if int(id) < len(m) {
		m[id] = true
	}
}

func (m marks) has(id uint32) bool { return int(id) < len(m) && m[id] }
