package lab

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Card makes a node's link look to the node like a network card on a wire, for XDP:
// what arrives has been through a sender's card, so it is cut into frames and its
// checksums are complete. A veth pair otherwise hands on large packets whose checksum is
// still to come. takes says whether the other end takes frames that XDP sends.
func (l *Lab) Card(node, leg string, takes bool) error {
	return l.Do(Switch, func() error {
		port := portOf(node, leg)
		return errors.Join(
			offload(port, unix.ETHTOOL_STXCSUM, false), // and with it segmentation
			offload(port, unix.ETHTOOL_SGRO, takes))    // by which a veth polls for frames: veth_gro_requested
	})
}

func portOf(node, leg string) string { return node + "-" + leg[3:] }

// offload turns one of a link's offloads on or off: struct ethtool_value,
// include/uapi/linux/ethtool.h.
func offload(link string, command uint32, on bool) error {
	value := struct{ command, data uint32 }{command: command}
	if on {
		value.data = 1
	}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of struct ifreq's union
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], link)
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(socket)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("set offload %#x of %s: %w", command, link, errno)
	}
	return nil
}
