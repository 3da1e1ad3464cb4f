package hook

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Device is what an Ethernet interface says that decides how a program sits on it.
type Device struct {
	Name  string
	Index int
	MAC   [6]byte
	Kind  string // as "ip -d link" has it: veth, bridge, bond …; "device" for one with a driver of its own
	VLANs bool   // VLAN interfaces sit on it

	// XDP is the program at its XDP hook, by the name the kernel has, "" for none.
	XDP   string
	XDPID ebpf.ProgramID

	features uint64 // enum netdev_xdp_act
	told     bool   // the kernel has told the features: from Linux 6.3
}

// enum netdev_xdp_act, include/uapi/linux/netdev.h.
const (
	actBasic    = 1 << 0
	actRedirect = 1 << 1
	actXmit     = 1 << 2
)

// Native says whether the driver runs XDP programs that send. A kernel before 6.3 does
// not tell: then trying does.
func (d Device) Native() bool {
	return !d.told || d.features&(actBasic|actRedirect) == actBasic|actRedirect
}

// TakesFrames says whether frames of XDP programs elsewhere can be sent out of the
// interface. Of a kernel that does not tell, only a driver that runs a program itself
// is believed to.
func (d Device) TakesFrames() bool {
	if !d.told {
		return d.Wire() && d.XDP != ""
	}
	return d.features&actXmit != 0
}

// Wire says whether frames come from outside this machine: whole, with their checksums,
// and the driver's to see first.
func (d Device) Wire() bool { return d.Kind == "device" }

// Devices lists the Ethernet interfaces.
func Devices() ([]Device, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	family, err := netdev()
	if err != nil {
		return nil, err
	}
	under := map[int]bool{}
	for _, l := range links {
		if l.Type() == "vlan" {
			under[l.Attrs().ParentIndex] = true
		}
	}
	var all []Device
	for _, l := range links {
		a := l.Attrs()
		if a.EncapType != "ether" || len(a.HardwareAddr) != 6 {
			continue
		}
		d := Device{Name: a.Name, Index: a.Index, MAC: [6]byte(a.HardwareAddr), Kind: l.Type(), VLANs: under[a.Index]}
		if d.features, d.told, err = xdpFeatures(family, a.Index); err != nil {
			return nil, err
		}
		if a.Xdp != nil && a.Xdp.Attached {
			if d.XDPID = ebpf.ProgramID(a.Xdp.ProgId); d.XDPID != 0 {
				d.XDP = programName(d.XDPID)
			}
		}
		all = append(all, d)
	}
	return all, nil
}

// programName returns the kernel's name of a program; one without a name, or that has
// just gone, is "unnamed".
func programName(id ebpf.ProgramID) string {
	prog, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "unnamed"
	}
	defer prog.Close()
	if info, err := prog.Info(); err == nil && info.Name != "" {
		return info.Name
	}
	return "unnamed"
}

// The netdev family of generic netlink: include/uapi/linux/netdev.h.
const (
	netdevFamily      = "netdev"
	netdevDevGet      = 1
	netdevIfindex     = 1
	netdevXDPFeatures = 3
)

// genlHeader is struct genlmsghdr. The library's own is two bytes short, and what then
// lies in the reserved field the kernel refuses now and then.
type genlHeader [nl.SizeofGenlmsg]byte

func (h *genlHeader) Len() int          { return len(h) }
func (h *genlHeader) Serialize() []byte { return h[:] }

// netdev is the kernel's family of generic netlink that knows XDP features, or nil: it
// came with Linux 6.3.
func netdev() (*netlink.GenlFamily, error) {
	family, err := netlink.GenlFamilyGet(netdevFamily)
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the kernel for XDP features: %w", err)
	}
	return family, nil
}

// xdpFeatures asks which XDP operations an interface has; told says whether the kernel
// answers at all. (One request each: the library ends a dump of this family after the
// first interface, for want of a flag.)
func xdpFeatures(family *netlink.GenlFamily, index int) (features uint64, told bool, err error) {
	if family == nil {
		return 0, false, nil
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	req.AddData(&genlHeader{netdevDevGet, 1})
	req.AddData(nl.NewRtAttr(netdevIfindex, binary.NativeEndian.AppendUint32(nil, uint32(index))))
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if errors.Is(err, syscall.ENODEV) { // it has just gone
		return 0, false, nil
	}
	if err != nil || len(messages) != 1 || len(messages[0]) < len(genlHeader{}) {
		return 0, false, fmt.Errorf("ask the kernel for XDP features: %d answers: %w", len(messages), err)
	}
	attributes, err := nl.ParseRouteAttr(messages[0][len(genlHeader{}):])
	if err != nil {
		return 0, false, fmt.Errorf("read the kernel's answer about XDP features: %w", err)
	}
	for _, a := range attributes {
		if a.Attr.Type == netdevXDPFeatures && len(a.Value) == 8 {
			return binary.NativeEndian.Uint64(a.Value), true, nil
		}
	}
	return 0, false, nil
}
