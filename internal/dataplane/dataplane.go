// Package dataplane holds the packet path: it loads the BPF programs of bpf/, keeps
// their tables pinned so that forwarding goes on without this process, attaches them
// to interfaces, writes the tables by the steps that plan made, and reads them back.
// It knows the kernel's objects and their layout, and no policy.
package dataplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"naru/internal/model"
	"naru/internal/plan"
)

// DefaultLimits are the sizes of the tables besides that of conns: some 30 MB, and 6 MB
// for each CPU.
var DefaultLimits = plan.Limits{Services: 1 << 14, Reals: 1 << 17, Ring: 1 << 20}

// slotsFor returns how many places lists and rings need: both lie there twice while one
// takes the other's place.
func slotsFor(l plan.Limits) uint32 { return 2 * (l.Reals + l.Ring) }

// Options are how to open the packet path.
type Options struct {
	// Dir is a directory on a bpffs that holds the pins. Empty: nothing is pinned
	// and everything goes with the process.
	Dir string
	// Conns is the capacity of the conn table. Tables that are already there keep
	// theirs; see Capacity.
	Conns uint32
	// Limits are the sizes of the other tables; zero means DefaultLimits.
	Limits plan.Limits
	// NAT makes room for the second flow that a NAT conn needs. Without it a table
	// full of NAT conns holds half as many.
	NAT bool
	// DropMisses drops a TCP packet of no conn instead of answering it by RST.
	DropMisses bool
}

// Dataplane is the packet path, open.
type Dataplane struct {
	objs     lbObjects
	xdp      xdpPath
	stubs    map[int]stub // made by this process, by interface
	dir      string
	conns    mapping[lbConn4]
	services mapping[lbService]
	reals    mapping[lbReal]
	slots    mapping[lbSlotLine]
	ids      []uint32 // the slots, line after line

	mu         sync.Mutex // the fields below, and writing to tables
	space      *space     // of slots
	topService uint32     // no id above it is in use
	topReal    uint32
}

// ErrKernel is what Open returns, wrapped, if the kernel cannot run the programs.
var ErrKernel = errors.New("this kernel cannot run the packet path: it needs Linux 6.1 or later with BPF and its JIT")

// ErrLayout is what Open returns, wrapped, if the pinned tables are of a build whose
// records differ.
var ErrLayout = errors.New("the pinned tables are of another version of naru: end it with 'naru off', which drops its conns, and start again")

// Open loads the programs on the tables pinned in o.Dir, or on new ones, puts them in
// force, and starts the sweep. Packets in flight meet the old programs or the new.
func Open(o Options) (*Dataplane, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the limit of locked memory: %w", err)
	}
	spec, err := loadLb()
	if err != nil {
		return nil, fmt.Errorf("read the packet path's object: %w", err)
	}
	if err := size(spec, o); err != nil {
		return nil, err
	}
	d := &Dataplane{dir: o.Dir, stubs: map[int]stub{}}
	options := &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: o.Dir}}
	if err := spec.LoadAndAssign(&d.objs, options); err != nil {
		return nil, explain(err)
	}
	if err := d.open(o); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// open loads the programs of the other hook on the same tables and starts.
func (d *Dataplane) open(o Options) error {
	spec, err := loadXdp()
	if err != nil {
		return fmt.Errorf("read the packet path's object: %w", err)
	}
	if err := d.loadBeside(spec, &d.xdp); err != nil {
		return err
	}
	return d.start(o)
}

// xdpPath are the programs of the XDP hook that all interfaces share.
type xdpPath struct {
	Path *ebpf.Program `ebpf:"lb_xdp"`
	Back *ebpf.Program `ebpf:"lb_xdp_back"`
}

func (x *xdpPath) close() error { return errors.Join(x.Path.Close(), x.Back.Close()) }

// loadBeside loads those programs of another object that to names, on the tables of
// this one.
func (d *Dataplane) loadBeside(spec *ebpf.CollectionSpec, to any) error {
	tables := map[string]*ebpf.Map{}
	for name, m := range d.tables() {
		spec.Maps[name].MaxEntries = m.MaxEntries()
		tables[name] = m
	}
	if err := spec.LoadAndAssign(to, &ebpf.CollectionOptions{MapReplacements: tables}); err != nil {
		return explain(err)
	}
	return nil
}

// tables returns the maps by name.
func (d *Dataplane) tables() map[string]*ebpf.Map {
	o := &d.objs
	return map[string]*ebpf.Map{
		lbMapFlows4: o.Flows4, lbMapConns4: o.Conns4, lbMapFree4: o.Free4, lbMapFragments4: o.Fragments4,
		lbMapServiceIds: o.ServiceIds, lbMapServices: o.Services, lbMapServiceCounters: o.ServiceCounters,
		lbMapReals: o.Reals, lbMapRealCounters: o.RealCounters, lbMapSlots: o.Slots,
		lbMapExits: o.Exits, lbMapEvents: o.Events, lbMapSettings: o.Settings, lbMapTableState: o.TableState,
		lbMapSweeper: o.Sweeper, lbMapPathTc: o.PathTc, lbMapPathXdp: o.PathXdp, lbMapPorts: o.Ports,
	}
}

// explain turns a loading error into one that says what to do.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, ebpf.ErrMapIncompatible):
		return ErrLayout
	case errors.Is(err, unix.EPERM): // not EACCES, by which the verifier refuses a program
		return fmt.Errorf("load the packet path: %w: root, or the capabilities CAP_BPF and CAP_NET_ADMIN, are needed", err)
	case errors.As(err, &verifier), errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: %v", ErrKernel, err)
	}
	return fmt.Errorf("load the packet path: %w", err)
}

// size gives each map its size, that of its pin if it has one.
func size(spec *ebpf.CollectionSpec, o Options) error {
	flows, limits := o.Conns, o.Limits
	if o.NAT {
		flows *= 2
	}
	if limits == (plan.Limits{}) {
		limits = DefaultLimits
	}
	for name, n := range map[string]uint32{
		lbMapFlows4: flows, lbMapConns4: o.Conns, lbMapFree4: o.Conns,
		lbMapServiceIds: limits.Services, lbMapServices: limits.Services, lbMapServiceCounters: limits.Services,
		lbMapReals: limits.Reals, lbMapRealCounters: limits.Reals, lbMapSlots: slotsFor(limits) / uint32(slotsPerLine),
	} {
		spec.Maps[name].MaxEntries = n
	}
	if o.Dir == "" {
		return nil
	}
	whole, err := wholePins(spec, o.Dir)
	if err != nil {
		return err
	}
	if !whole {
		if err := removePins(o.Dir); err != nil {
			return err
		}
	}
	for _, name := range tableNames(spec) {
		m := spec.Maps[name]
		m.Pinning = ebpf.PinByName
		if !whole {
			continue
		}
		pinned, err := ebpf.LoadPinnedMap(filepath.Join(o.Dir, name), nil)
		if err != nil {
			return fmt.Errorf("open the pinned table %s: %w", name, err)
		}
		m.MaxEntries = pinned.MaxEntries()
		pinned.Close()
	}
	return nil
}

// tableNames are the maps that outlive a process. Those with a dot, such as .rodata,
// belong to a program.
func tableNames(spec *ebpf.CollectionSpec) []string {
	var names []string
	for name := range spec.Maps {
		if !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// wholePins says whether dir holds every table. Some of them are what a start or an
// end left that was killed half-way: they hold nothing that forwards.
func wholePins(spec *ebpf.CollectionSpec, dir string) (bool, error) {
	for _, name := range tableNames(spec) {
		_, err := os.Stat(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look at the pinned table %s: %w", name, err)
		}
	}
	return true, nil
}

// start maps the tables, checks or writes their settings, and puts the programs in
// force.
func (d *Dataplane) start(o Options) error {
	s, err := d.settings()
	if err != nil {
		return err
	}
	if s.Layout == 0 { // new tables
		s = lbSettings{Layout: uint32(lbLayoutLAYOUT), Capacity: d.objs.Conns4.MaxEntries()}
		if err := d.writeSettings(s, model.DefaultTimeouts); err != nil {
			return err
		}
		if s, err = d.settings(); err != nil {
			return err
		}
	}
	if s.Layout != uint32(lbLayoutLAYOUT) {
		return ErrLayout
	}
	if err := d.DropMisses(o.DropMisses); err != nil {
		return err
	}
	if err := d.mapAll(); err != nil {
		return err
	}
	d.survey()
	err = errors.Join(
		d.objs.PathTc.Put(uint32(lbSlotTcSLOT_TC), d.objs.LbTc),
		d.objs.PathXdp.Put(uint32(lbSlotXdpSLOT_XDP), d.xdp.Path),
		d.objs.PathXdp.Put(uint32(lbSlotXdpSLOT_XDP_BACK), d.xdp.Back))
	if err != nil {
		return fmt.Errorf("put the packet path in force: %w", err)
	}
	code, err := d.objs.StartSweep.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil || code != 0 {
		return fmt.Errorf("start the sweep of the conn table: code %d: %w", code, err)
	}
	return nil
}

// OpenTables opens pinned tables for Read and Limits alone; no program is loaded.
func OpenTables(dir string) (*Dataplane, error) {
	dir, err := pinPath(dir)
	if err != nil {
		return nil, err
	}
	d := &Dataplane{}
	for name, m := range map[string]**ebpf.Map{
		lbMapConns4: &d.objs.Conns4, lbMapServices: &d.objs.Services, lbMapReals: &d.objs.Reals,
		lbMapSlots: &d.objs.Slots, lbMapSettings: &d.objs.Settings,
	} {
		if *m, err = ebpf.LoadPinnedMap(filepath.Join(dir, name), nil); err != nil {
			d.Close()
			return nil, fmt.Errorf("open the pinned table %s: %w", name, err)
		}
	}
	s, err := d.settings()
	if err == nil && s.Layout != uint32(lbLayoutLAYOUT) {
		err = ErrLayout
	}
	if err = errors.Join(err, d.mapAll()); err != nil {
		d.Close()
		return nil, err
	}
	d.survey()
	return d, nil
}

func (d *Dataplane) mapAll() error {
	err := errors.Join(d.conns.open(d.objs.Conns4), d.services.open(d.objs.Services), d.reals.open(d.objs.Reals), d.slots.open(d.objs.Slots))
	if err == nil {
		d.ids = unsafe.Slice(&d.slots.all[0].Id[0], len(d.slots.all)*slotsPerLine)
	}
	return err
}

// Close lets go of the tables. What is pinned and attached goes on.
func (d *Dataplane) Close() error {
	return errors.Join(d.conns.close(), d.services.close(), d.reals.close(), d.slots.close(), d.xdp.close(), d.objs.Close())
}

// Capacity returns how many conns the table can hold.
func (d *Dataplane) Capacity() uint32 { return d.objs.Conns4.MaxEntries() }

// Limits returns the sizes of the tables that plan hands out ids of.
func (d *Dataplane) Limits() plan.Limits {
	reals := d.objs.Reals.MaxEntries()
	return plan.Limits{Services: d.objs.Services.MaxEntries(), Reals: reals, Ring: uint32(len(d.ids))/2 - reals}
}

// Memory returns the bytes of kernel memory that a conn table of the capacity takes:
// per conn its record, its place in the stack of free ones, and its flows in the hash.
func Memory(conns uint32, nat bool) uint64 {
	// htab_elem is 48 bytes before the key, a bucket 16 (kernel/bpf/hashtab.c).
	const flow = 48 + 16 + 8 + 16
	flows := uint64(conns)
	if nat {
		flows *= 2
	}
	return uint64(conns)*(64+4) + flows*flow
}

// The idle timeouts that nobody sets, by ip_vs's defaults (ip_vs_proto_tcp.c).
func timeouts(t model.Timeouts) map[lbState]time.Duration {
	return map[lbState]time.Duration{
		lbStateSTATE_NONE:        2 * time.Second,
		lbStateSTATE_ESTABLISHED: t.TCP.Duration(),
		lbStateSTATE_SYN_SENT:    120 * time.Second,
		lbStateSTATE_SYN_RECV:    60 * time.Second,
		lbStateSTATE_FIN_WAIT:    t.TCPFin.Duration(),
		lbStateSTATE_TIME_WAIT:   120 * time.Second,
		lbStateSTATE_CLOSE:       10 * time.Second,
		lbStateSTATE_CLOSE_WAIT:  60 * time.Second,
		lbStateSTATE_LAST_ACK:    30 * time.Second,
		lbStateSTATE_LISTEN:      120 * time.Second,
		lbStateSTATE_SYNACK:      120 * time.Second,
		lbStateSTATE_UDP:         t.UDP.Duration(),
	}
}

// DropMisses says what a TCP packet of no conn gets: nothing, or else a RST.
func (d *Dataplane) DropMisses(drop bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.settings()
	if err != nil {
		return err
	}
	s.DropMisses = 0
	if drop {
		s.DropMisses = 1
	}
	if err := d.objs.Settings.Put(uint32(0), &s); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

func (d *Dataplane) settings() (s lbSettings, err error) {
	if err := d.objs.Settings.Lookup(uint32(0), &s); err != nil {
		return s, fmt.Errorf("read settings: %w", err)
	}
	return s, nil
}

func (d *Dataplane) writeSettings(s lbSettings, t model.Timeouts) error {
	for state, timeout := range timeouts(t) {
		s.Timeouts[state] = ticks(timeout)
	}
	if err := d.objs.Settings.Put(uint32(0), &s); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}
