// Package hook holds BPF programs on interfaces: on the TC ingress hook, by TCX from
// Linux 6.6, before that as a filter of the interface's clsact qdisc; and on the
// driver's XDP hook.
//
// The interface itself holds the program, and the program its maps, until it is told
// otherwise or the interface goes: no process need live and nothing need be pinned. A
// program is found again by its name in the kernel. Other programs on the same hook
// are left alone, and run after ours.
//
// All functions act on the network namespace of the calling thread.
package hook

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Others may use a clsact qdisc as well: a filter of ours is told by this priority, a
// handle of the program's own, and the program's name.
const filterPriority = 0x6e61

func filterHandle(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()&0xffff | 1
}

// Kind is the kernel's way of attaching.
type Kind string

// The kinds.
const (
	TCX    Kind = "tcx"
	Clsact Kind = "clsact"
)

// Hook is a program on an interface.
type Hook struct {
	Interface string
	Index     int
	Kind      Kind
	Program   ebpf.ProgramID
}

// Set puts prog on the ingress of exactly the named interfaces, in the place of any
// older program of the same name, and takes such programs off all others. An
// interface that cannot be had is reported and does not keep the others from being
// done; then no older program is taken off, for it may be all there is. Set returns
// the interfaces to which it gave a clsact qdisc, which Release takes back.
func Set(prog *ebpf.Program, name string, interfaces []string) (qdiscs []string, err error) {
	held, err := List(name)
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, i := range interfaces {
		old := Hook{}
		if at := slices.IndexFunc(held, func(h Hook) bool { return h.Interface == i }); at >= 0 {
			old = held[at]
			held = slices.Delete(held, at, at+1)
		}
		created, err := attach(i, name, old, prog)
		if err != nil {
			faults = append(faults, fmt.Errorf("attach to %s: %w", i, err))
		}
		if created {
			qdiscs = append(qdiscs, i)
		}
	}
	if len(faults) == 0 {
		faults = append(faults, detach(held, name))
	}
	return qdiscs, errors.Join(faults...)
}

// Clear takes the programs of the name off all interfaces.
func Clear(name string) error {
	held, err := List(name)
	if err != nil {
		return err
	}
	return detach(held, name)
}

// List finds the programs of the name, by interface.
func List(name string) ([]Hook, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var held []Hook
	for _, l := range links {
		a := l.Attrs()
		if a.EncapType != "ether" {
			continue
		}
		h, found, err := find(l, name)
		if err != nil {
			return nil, fmt.Errorf("list programs of %s: %w", a.Name, err)
		}
		if found {
			held = append(held, h)
		}
	}
	slices.SortFunc(held, func(a, b Hook) int { return cmp.Compare(a.Interface, b.Interface) })
	return held, nil
}

func find(l netlink.Link, name string) (Hook, bool, error) {
	if haveTCX(l.Attrs().Index) {
		return findTCX(l, name)
	}
	filters, err := netlink.FilterList(l, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return Hook{}, false, nil // no clsact qdisc
	}
	for _, f := range filters {
		b, is := f.(*netlink.BpfFilter)
		if is && b.Priority == filterPriority && b.Handle == filterHandle(name) && strings.HasPrefix(b.Name, name) {
			return Hook{l.Attrs().Name, l.Attrs().Index, Clsact, ebpf.ProgramID(b.Id)}, true, nil
		}
	}
	return Hook{}, false, nil
}

// haveTCX asks the kernel for the interface's TCX programs, which one without TCX
// refuses as an unknown attach type.
func haveTCX(index int) bool {
	_, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
	return !errors.Is(err, unix.EINVAL)
}

func findTCX(l netlink.Link, name string) (Hook, bool, error) {
	a := l.Attrs()
	result, err := link.QueryPrograms(link.QueryOptions{Target: a.Index, Attach: ebpf.AttachTCXIngress})
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENODEV) {
		return Hook{}, false, nil
	}
	if err != nil {
		return Hook{}, false, err
	}
	for _, p := range result.Programs {
		prog, err := ebpf.NewProgramFromID(p.ID)
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		if err != nil {
			return Hook{}, false, err
		}
		info, err := prog.Info()
		prog.Close()
		if err == nil && info.Name == name {
			return Hook{a.Name, a.Index, TCX, p.ID}, true, nil
		}
	}
	return Hook{}, false, nil
}

// attach puts prog on the interface in the place of an older one, and says whether it
// had to make the qdisc.
func attach(name, program string, old Hook, prog *ebpf.Program) (qdisc bool, err error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return false, fmt.Errorf("interface %q is not there: name one that \"ip link\" lists", name)
	}
	if l.Attrs().EncapType != "ether" {
		return false, fmt.Errorf("interface %q is not Ethernet", name)
	}
	if !haveTCX(l.Attrs().Index) {
		if qdisc, err = addQdisc(l.Attrs().Index); err != nil {
			return false, fmt.Errorf("add a clsact qdisc: %w", err)
		}
		f := filter(l.Attrs().Index, program)
		f.Fd = prog.FD()
		return qdisc, netlink.FilterReplace(f)
	}
	if same, err := isProgram(prog, old.Program); err != nil || same {
		return false, err
	}
	options := link.RawAttachProgramOptions{
		Target: l.Attrs().Index, Program: prog, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
	}
	if old.Program != 0 {
		before, err := ebpf.NewProgramFromID(old.Program)
		if err != nil {
			return false, fmt.Errorf("open the program in place: %w", err)
		}
		defer before.Close()
		options.Anchor = link.ReplaceProgram(before)
	}
	return false, link.RawAttachProgram(options)
}

// isProgram says whether prog is the one with the id.
func isProgram(prog *ebpf.Program, id ebpf.ProgramID) (bool, error) {
	info, err := prog.Info()
	if err != nil {
		return false, fmt.Errorf("read about the program: %w", err)
	}
	own, ok := info.ID()
	return ok && own == id, nil
}

func filter(index int, name string) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: filterHandle(name), Priority: filterPriority, Protocol: unix.ETH_P_ALL,
		},
		Name: name, DirectAction: true,
	}
}

// addQdisc gives the interface a clsact qdisc and says whether it had none.
func addQdisc(index int) (bool, error) {
	err := netlink.QdiscAdd(qdisc(index))
	if errors.Is(err, syscall.EEXIST) {
		return false, nil
	}
	return err == nil, err
}

func qdisc(index int) netlink.Qdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
}

// Release takes back a clsact qdisc that Set made, unless somebody else has put a
// filter there since.
func Release(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil // it went with its interface
	}
	for _, side := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		if filters, err := netlink.FilterList(l, side); err == nil && len(filters) > 0 {
			return nil
		}
	}
	err = netlink.QdiscDel(qdisc(l.Attrs().Index))
	if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("remove the clsact qdisc of %s: %w", name, err)
	}
	return nil
}

func detach(held []Hook, name string) error {
	var faults []error
	for _, h := range held {
		if err := h.detach(name); err != nil {
			faults = append(faults, fmt.Errorf("detach from %s: %w", h.Interface, err))
		}
	}
	return errors.Join(faults...)
}

func (h Hook) detach(name string) error {
	if h.Kind == Clsact {
		return netlink.FilterDel(filter(h.Index, name))
	}
	prog, err := ebpf.NewProgramFromID(h.Program)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer prog.Close()
	return link.RawDetachProgram(link.RawDetachProgramOptions{Target: h.Index, Program: prog, Attach: ebpf.AttachTCXIngress})
}
