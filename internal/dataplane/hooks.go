package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"naru/internal/hook"
)

// How the kernel names the stubs that interfaces hold, and what sends for those at XDP.
const (
	tcName    = lbProgNaruTc
	relayName = lbProgNaruRelay
	xdpName   = xdpProgNaruXdp
)

// Want is an interface that is to hold the packet path.
type Want struct {
	Interface string
	At        At
}

// At says at which of an interface's hooks.
type At uint8

// The choices.
const (
	Auto   At = iota // where it is fastest without harm
	Native           // at the driver's XDP hook
	TC               // at the TC ingress hook
)

// Hook is an interface that holds the packet path.
type Hook struct {
	Interface string
	Kind      hook.Kind
}

// place decides at which hook an interface holds the packet path, and why.
func place(w Want, d hook.Device) (native bool, reason string) {
	switch {
	case w.At == TC:
		return false, "the file says tc"
	case d.XDP != "" && d.XDP != xdpName:
		return false, fmt.Sprintf("the XDP program %q is there already", d.XDP)
	case !d.Native():
		return false, "its driver has no native XDP"
	case w.At == Native:
		return true, "the file says native"
	case !d.Wire(): // it carries packets that this machine made, not yet cut or summed
		return false, "it is a " + d.Kind + ", not a wire"
	case d.VLANs: // whose tags the driver may take off before XDP sees them
		return false, "VLANs are on it"
	}
	return true, "its frames come from a wire"
}

// Places returns at which hook each interface would hold the packet path, and why. One
// that is not there is left out.
func Places(want []Want) (native map[string]bool, why map[string]string, err error) {
	devices, err := hook.Devices()
	if err != nil {
		return nil, nil, err
	}
	native, why = map[string]bool{}, map[string]string{}
	for _, w := range want {
		if i := indexOf(devices, w.Interface); i >= 0 {
			native[w.Interface], why[w.Interface] = place(w, devices[i])
		}
	}
	return native, why, nil
}

func indexOf(devices []hook.Device, name string) int {
	return slices.IndexFunc(devices, func(d hook.Device) bool { return d.Name == name })
}

// Attach makes the packet path the ingress of exactly the wanted interfaces. It returns
// why each holds it where it does, and the interfaces to which it gave a clsact qdisc,
// which Detach takes back. An interface that moves from one hook to the other holds
// both for a moment, never none.
func (d *Dataplane) Attach(want []Want) (why map[string]string, qdiscs []string, err error) {
	devices, err := hook.Devices()
	if err != nil {
		return nil, nil, err
	}
	native, tc, why, refused := d.attachNative(want, devices)
	relays, errRelay := hook.Set(d.objs.NaruRelay, relayName, native)
	qdiscs, errTC := hook.Set(d.objs.NaruTc, tcName, tc)
	err = errors.Join(refused, d.openPorts(), errRelay, errTC)
	if errTC == nil { // or the XDP program may be all there is
		err = errors.Join(err, detachXDP(devices, native))
	}
	if err != nil {
		err = fmt.Errorf("attach the packet path: %w", err)
	}
	return why, append(qdiscs, relays...), err
}

// attachNative attaches at the XDP hook where that is the place, and returns which
// interfaces hold the packet path there and which are left for TC. A driver that
// refuses what the configuration asked for is a fault; TC serves there all the same.
func (d *Dataplane) attachNative(want []Want, devices []hook.Device) (native, tc []string, why map[string]string, err error) {
	why = map[string]string{}
	for _, w := range want {
		i, at := indexOf(devices, w.Interface), false
		if i >= 0 {
			at, why[w.Interface] = place(w, devices[i])
		}
		if at {
			if err := d.attachXDP(devices[i]); err != nil {
				at, why[w.Interface] = false, err.Error()
			}
		}
		if w.At == Native && i >= 0 && !at {
			err = errors.Join(err, fmt.Errorf("%s is not attached by native XDP but at TC: %s", w.Interface, why[w.Interface]))
		}
		if at {
			native = append(native, w.Interface)
		} else {
			tc = append(tc, w.Interface)
		}
	}
	return native, tc, why, err
}

// stub is a program made for one interface.
type stub struct {
	mac  [6]byte
	slot lbSlotXdp
	id   ebpf.ProgramID
}

// attachXDP gives the interface its own stub, unless it holds the right one.
func (d *Dataplane) attachXDP(on hook.Device) error {
	want := stub{mac: on.MAC, slot: lbSlotXdpSLOT_XDP}
	if on.Wire() { // veth drops what is sent back to a peer without a program: veth_xdp_flush
		want.slot = lbSlotXdpSLOT_XDP_BACK
	}
	if have := d.stubs[on.Index]; on.XDP == xdpName && have.id == on.XDPID && have.mac == want.mac && have.slot == want.slot {
		return nil
	}
	prog, err := d.newStub(want)
	if err != nil {
		return err
	}
	defer prog.Close() // the interface holds it
	if err := hook.AttachXDP(on, prog, xdpName); err != nil {
		return err
	}
	info, err := prog.Info()
	if err != nil {
		return fmt.Errorf("read about the program: %w", err)
	}
	want.id, _ = info.ID()
	d.stubs[on.Index] = want
	return nil
}

// newStub loads naru_xdp for an interface.
func (d *Dataplane) newStub(s stub) (*ebpf.Program, error) {
	spec, err := loadXdp()
	if err != nil {
		return nil, fmt.Errorf("read the packet path's object: %w", err)
	}
	var mac [3]uint16
	for i := range mac {
		mac[i] = uint16(s.mac[2*i]) | uint16(s.mac[2*i+1])<<8 // as it lies in memory
	}
	if err := errors.Join(spec.Variables[xdpVarOwnMac].Set(mac), spec.Variables[xdpVarOwnSlot].Set(uint32(s.slot))); err != nil {
		return nil, fmt.Errorf("make the stub: %w", err)
	}
	var made struct {
		Stub *ebpf.Program `ebpf:"naru_xdp"`
	}
	if err := d.loadBeside(spec, &made); err != nil {
		return nil, err
	}
	return made.Stub, nil
}

// openPorts puts into the map ports exactly the interfaces that take XDP frames.
func (d *Dataplane) openPorts() error {
	devices, err := hook.Devices() // anew: a program that was attached adds to what a driver takes
	if err != nil {
		return err
	}
	open := map[uint32]bool{}
	for _, device := range devices {
		if device.TakesFrames() {
			open[uint32(device.Index)] = true
		}
	}
	var index, value uint32
	var closed []uint32
	for all := d.objs.Ports.Iterate(); all.Next(&index, &value); {
		if !open[index] {
			closed = append(closed, index)
		}
		delete(open, index)
	}
	for _, index := range closed {
		if err := d.objs.Ports.Delete(index); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("close port %d: %w", index, err)
		}
	}
	for index := range open {
		// One that does not fit, or has just gone, is sent to by way of TC.
		_ = d.objs.Ports.Put(index, index)
	}
	return nil
}

// detachXDP takes the packet path off the XDP hook of all but the named interfaces.
func detachXDP(devices []hook.Device, but []string) error {
	var faults []error
	for _, on := range devices {
		if !slices.Contains(but, on.Name) {
			faults = append(faults, hook.DetachXDP(on, xdpName))
		}
	}
	return errors.Join(faults...)
}

// Hooks lists the interfaces that hold the packet path now.
func Hooks() ([]Hook, error) {
	devices, err := hook.Devices()
	if err != nil {
		return nil, err
	}
	at, err := hook.List(tcName)
	if err != nil {
		return nil, err
	}
	var all []Hook
	for _, on := range devices {
		if on.XDP == xdpName {
			all = append(all, Hook{Interface: on.Name, Kind: hook.XDP})
		}
	}
	for _, h := range at {
		if !slices.ContainsFunc(all, func(o Hook) bool { return o.Interface == h.Interface }) {
			all = append(all, Hook{Interface: h.Interface, Kind: h.Kind})
		}
	}
	slices.SortFunc(all, func(a, b Hook) int { return cmp.Compare(a.Interface, b.Interface) })
	return all, nil
}

// Detach takes the packet path off all interfaces, and their clsact qdiscs if they are
// among those that Attach made.
func Detach(qdiscs []string) error {
	devices, err := hook.Devices()
	if err != nil {
		return err
	}
	if err := errors.Join(detachXDP(devices, nil), hook.Clear(tcName), hook.Clear(relayName)); err != nil {
		return fmt.Errorf("detach the packet path: %w", err)
	}
	for _, i := range qdiscs {
		if err := hook.Release(i); err != nil {
			return err
		}
	}
	return nil
}
