package control

import (
	"maps"
	"net/netip"
	"slices"

	"naru/internal/model"
)

// Edits are all edits in force, as they are stored.
type Edits struct {
	Services []model.Service `json:"services,omitempty"` // not in the file, with their reals
	OnFile   []OnFile        `json:"on_file,omitempty"`
	Timeouts model.Timeouts  `json:"timeouts,omitzero"` // a 0 is the file's
}

// OnFile are the edits on one service of the file.
type OnFile struct {
	Service model.Key    `json:"service"`
	Reals   []model.Real `json:"reals,omitempty"`   // added
	Weights []Override   `json:"weights,omitempty"` // of the file's reals
}

// Override is a weight in place of the file's.
type Override struct {
	Real   netip.AddrPort `json:"real"`
	Weight uint32         `json:"weight"`
}

// edits are the same by key. Slices and inner maps are never changed in place but
// replaced, so that a clone is cheap: see batch.
type edits struct {
	services map[model.Key]*model.Service
	reals    map[model.Key][]model.Real
	weights  map[model.Key]map[netip.AddrPort]uint32
	timeouts model.Timeouts
}

func newEdits(stored Edits) edits {
	e := edits{
		services: make(map[model.Key]*model.Service, len(stored.Services)),
		reals:    make(map[model.Key][]model.Real),
		weights:  make(map[model.Key]map[netip.AddrPort]uint32),
		timeouts: stored.Timeouts,
	}
	for i := range stored.Services {
		e.services[stored.Services[i].Key] = &stored.Services[i]
	}
	for _, on := range stored.OnFile {
		if len(on.Reals) > 0 {
			e.reals[on.Service] = on.Reals
		}
		for _, o := range on.Weights {
			if e.weights[on.Service] == nil {
				e.weights[on.Service] = make(map[netip.AddrPort]uint32)
			}
			e.weights[on.Service][o.Real] = o.Weight
		}
	}
	return e
}

// stored returns the edits in a fixed order.
func (e *edits) stored() Edits {
	out := Edits{Timeouts: e.timeouts}
	for _, key := range sortedKeys(e.services) {
		out.Services = append(out.Services, *e.services[key])
	}
	touched := make(map[model.Key]bool)
	for key := range e.reals {
		touched[key] = true
	}
	for key := range e.weights {
		touched[key] = true
	}
	for _, key := range sortedKeys(touched) {
		on := OnFile{Service: key, Reals: e.reals[key]}
		for _, real := range sortedReals(e.weights[key]) {
			on.Weights = append(on.Weights, Override{real, e.weights[key][real]})
		}
		out.OnFile = append(out.OnFile, on)
	}
	return out
}

func (e *edits) clone() edits {
	return edits{maps.Clone(e.services), maps.Clone(e.reals), maps.Clone(e.weights), e.timeouts}
}

func sortedKeys[V any](m map[model.Key]V) []model.Key {
	return slices.SortedFunc(maps.Keys(m), model.Key.Compare)
}

func sortedReals(m map[netip.AddrPort]uint32) []netip.AddrPort {
	return slices.SortedFunc(maps.Keys(m), netip.AddrPort.Compare)
}
