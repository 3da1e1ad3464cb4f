// Package decap takes the outer header off the tunnel packets that directors send to
// this real server: it loads decap.bpf.c and holds it on the ingress hook of the
// interfaces that such packets arrive on.
//
// Nothing here runs on: the interface itself holds the program, and the program its
// maps, until Set is told otherwise or the interface goes. So nothing is pinned, and
// no file system can be in the way: a bpffs mounted from "ip netns exec" or from a
// unit with a mount namespace of its own would vanish, with its pins, as that ends.
// The program is found again by its name on the hook.
//
// All functions act on the network namespace of the calling thread.
package decap

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"naru/internal/hook"
)

// programName is the name by which the kernel shows the program, and by which it is
// found again.
const programName = decapProgNaruDecap

// ErrKernel is what Set returns, wrapped, if the kernel cannot run the program.
var ErrKernel = errors.New("this kernel cannot run the decapsulation program: it needs Linux 6.1 or later with BPF")

// VIP is an address whose packets are decapsulated.
type VIP struct {
	Address   netip.Addr     `json:"address"`
	Directors []netip.Prefix `json:"directors,omitempty"` // outer sources that may send to it; none: any
}

// Want is everything the namespace should decapsulate. Without VIPs it is nothing.
type Want struct {
	VIPs       []VIP
	Interfaces []string // by name, where tunnel packets arrive
}

// Hook is an interface that holds the program.
type Hook struct {
	Interface string `json:"interface"`
	Kind      string `json:"kind"` // "tcx" or "clsact"
}

// State is what the namespace decapsulates now.
type State struct {
	Hooks []Hook            `json:"hooks,omitempty"`
	VIPs  []VIP             `json:"vips,omitempty"`
	Exits map[string]uint64 `json:"exits,omitempty"` // packets by exit; see ExitNames
}

// Set makes the namespace decapsulate what is wanted and nothing else. The program is
// always this build's; what it replaces hands its counters on. Packets arriving
// meanwhile meet the old rules or the new ones. It returns the interfaces to which it
// gave a clsact qdisc, which Release takes back.
func Set(want Want) (qdiscs []string, err error) {
	if len(want.VIPs) == 0 {
		return nil, hook.Clear(programName)
	}
	held, err := hook.List(programName)
	if err != nil {
		return nil, err
	}
	objs, err := load(held)
	if err != nil {
		return nil, err
	}
	defer objs.Close()
	if err := fill(&objs.decapMaps, want.VIPs); err != nil {
		return nil, err
	}
	if qdiscs, err = hook.Set(objs.NaruDecap, programName, want.Interfaces); err != nil {
		err = fmt.Errorf("hold the decapsulation program: %w", err)
	}
	return qdiscs, err
}

// Release takes back a clsact qdisc that Set made, unless somebody else uses it now.
func Release(iface string) error { return hook.Release(iface) }

// Check says why this kernel cannot run the program. It changes nothing.
func Check() error {
	objs, err := load(nil)
	if err != nil {
		return err
	}
	return objs.Close()
}

// Read returns what the namespace decapsulates now; the zero State if nothing.
func Read() (State, error) {
	held, err := hook.List(programName)
	if err != nil || len(held) == 0 {
		return State{}, err
	}
	var state State
	for _, h := range held {
		state.Hooks = append(state.Hooks, Hook{h.Interface, string(h.Kind)})
	}
	maps, err := mapsOf(held)
	if err != nil {
		return state, err
	}
	defer maps.Close()
	if state.VIPs, err = readVIPs(maps); err != nil {
		return state, err
	}
	state.Exits, err = readExits(maps.DecapExits)
	return state, err
}

// load loads the program on the maps of the one that is attached, or on new ones if
// there is none or it is of a build whose maps differ.
func load(held []hook.Hook) (*decapObjects, error) {
	var objs decapObjects
	var options ebpf.CollectionOptions
	if len(held) > 0 {
		if old, err := mapsOf(held); err == nil {
			defer old.Close()
			options.MapReplacements = map[string]*ebpf.Map{
				decapMapDecapVips: old.DecapVips, decapMapDecapSources: old.DecapSources, decapMapDecapExits: old.DecapExits,
			}
		}
	}
	err := loadDecapObjects(&objs, &options)
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		err = loadDecapObjects(&objs, nil)
	}
	if errors.Is(err, ebpf.ErrNotSupported) {
		return nil, fmt.Errorf("%w: %v", ErrKernel, err)
	}
	if err != nil {
		return nil, fmt.Errorf("load the decapsulation program: %w", err)
	}
	return &objs, nil
}
