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

// The netdev family of generic netlink, include/uapi/linux/netdev.h, and what of the
// controller in include/uapi/linux/genetlink.h tells its number.
const (
	netdevFamily      = "netdev"
	netdevDevGet      = 1
	netdevIfindex     = 1
	netdevXDPFeatures = 3

	ctrlGetFamily  = 3
	ctrlFamilyID   = 1
	ctrlFamilyName = 2
)

// genlHeader is struct genlmsghdr. The library's own is two bytes short: it sends what
// lies behind it as the reserved field, which is a data race and which the kernel
// refuses now and then.
type genlHeader [nl.SizeofGenlmsg]byte

func (h *genlHeader) Len() int          { return len(h) }
func (h *genlHeader) Serialize() []byte { return h[:] }

// generic sends a command with one attribute to a family of generic netlink and returns
// the attributes of its one answer.
func generic(family uint16, command uint8, attribute *nl.RtAttr) (map[uint16][]byte, error) {
	req := nl.NewNetlinkRequest(int(family), 0)
	req.AddData(&genlHeader{command, 1})
	req.AddData(attribute)
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 || len(messages[0]) < len(genlHeader{}) {
		return nil, fmt.Errorf("%d answers", len(messages))
	}
	parsed, err := nl.ParseRouteAttr(messages[0][len(genlHeader{}):])
	if err != nil {
		return nil, err
	}
	all := map[uint16][]byte{}
	for _, a := range parsed {
		all[a.Attr.Type] = a.Value
	}
	return all, nil
}

// netdev returns the number of the kernel's family that knows XDP features, or 0: it
// came with Linux 6.3.
func netdev() (uint16, error) {
	answer, err := generic(unix.GENL_ID_CTRL, ctrlGetFamily, nl.NewRtAttr(ctrlFamilyName, nl.ZeroTerminated(netdevFamily)))
	if errors.Is(err, syscall.ENOENT) {
		return 0, nil
	}
	id := answer[ctrlFamilyID]
	if err == nil && len(id) != 2 {
		err = errors.New("an answer without a number")
	}
	if err != nil {
		return 0, fmt.Errorf("ask the kernel for its family of XDP features: %w", err)
	}
	return binary.NativeEndian.Uint16(id), nil
}

// xdpFeatures asks which XDP operations an interface has; told says whether the kernel
// answers at all. (One request each: the library ends a dump of this family after the
// first interface, for want of a flag.)
func xdpFeatures(family uint16, index int) (features uint64, told bool, err error) {
	if family == 0 {
		return 0, false, nil
	}
	answer, err := generic(family, netdevDevGet, nl.NewRtAttr(netdevIfindex, binary.NativeEndian.AppendUint32(nil, uint32(index))))
	if errors.Is(err, syscall.ENODEV) { // it has just gone
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("ask the kernel for XDP features: %w", err)
	}
	if v := answer[netdevXDPFeatures]; len(v) == 8 {
		return binary.NativeEndian.Uint64(v), true, nil
	}
	return 0, false, nil
}
