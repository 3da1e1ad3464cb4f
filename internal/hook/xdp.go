package hook

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// XDP is the driver's own hook, before the kernel makes an sk_buff. An interface holds
// one program there.
const XDP Kind = "xdp"

// AttachXDP puts prog on the interface's native XDP hook, in the place of a program of
// the same name. Another program is left alone: that is an error, as is a driver that
// refuses.
func AttachXDP(d Device, prog *ebpf.Program, name string) error {
	if d.XDP != "" && d.XDP != name {
		return fmt.Errorf("the XDP program %q is there already (id %d)", d.XDP, d.XDPID)
	}
	l, err := netlink.LinkByIndex(d.Index)
	if err != nil {
		return fmt.Errorf("interface %q has gone", d.Name)
	}
	flags := nl.XDP_FLAGS_DRV_MODE
	if d.XDP == "" {
		flags |= nl.XDP_FLAGS_UPDATE_IF_NOEXIST
	}
	err = netlink.LinkSetXdpFdWithFlags(l, prog.FD(), flags)
	switch {
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EEXIST):
		return errors.New("another program has just taken its XDP hook")
	case errors.Is(err, syscall.EOPNOTSUPP):
		return errors.New("its driver has no native XDP")
	case errors.Is(err, syscall.ERANGE), errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("its driver refuses native XDP with an MTU of %d or its present settings (%w)", l.Attrs().MTU, err)
	case err != nil:
		return fmt.Errorf("its driver refuses native XDP: %w", err)
	}
	return nil
}

// DetachXDP takes the program of the name off the interface's XDP hook, if it is there.
func DetachXDP(d Device, name string) error {
	if d.XDP != name {
		return nil
	}
	l, err := netlink.LinkByIndex(d.Index)
	if err != nil {
		return nil // it went with its interface
	}
	if err := netlink.LinkSetXdpFdWithFlags(l, -1, nl.XDP_FLAGS_DRV_MODE); err != nil {
		return fmt.Errorf("detach from the XDP hook of %s: %w", d.Name, err)
	}
	return nil
}
