package hostnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ownProtocol marks the neighbour entries made by naru ("ip neigh" prints it as
// "proto 110"). It is how they are recognised again: nothing is written down, and
// entries of others with the same flags are not mistaken for ours.
const ownProtocol = 110

// ForgetNeighbours removes the neighbour entries that any naru made in this network
// namespace. A Watcher leaves them when it stops, because forwarding goes on.
func ForgetNeighbours() error {
	table, err := neighbours()
	if err != nil {
		return err
	}
	var faults []error
	for key, n := range table {
		if n.managed {
			faults = append(faults, release(key))
		}
	}
	return errors.Join(faults...)
}

// neighbours lists the neighbour table.
func neighbours() (map[hopKey]neighbour, error) {
	messages, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
		req.AddData(&netlink.Ndmsg{Family: unix.AF_UNSPEC})
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	})
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	table := make(map[hopKey]neighbour, len(messages))
	for _, m := range messages {
		if key, n, ok := parseNeighbour(m); ok {
			table[key] = n
		}
	}
	return table, nil
}

// parseNeighbour reads an RTM_NEWNEIGH message. The library does not read the
// NDA_PROTOCOL by which our entries are known.
func parseNeighbour(m []byte) (key hopKey, n neighbour, ok bool) {
	entry, err := netlink.NeighDeserialize(m)
	if err != nil {
		return key, n, false
	}
	attributes, err := nl.ParseRouteAttr(m[(&netlink.Ndmsg{}).Len():])
	if err != nil {
		return key, n, false
	}
	for _, a := range attributes {
		if a.Attr.Type == netlink.NDA_PROTOCOL && len(a.Value) == 1 {
			n.managed = a.Value[0] == ownProtocol
		}
	}
	if len(entry.HardwareAddr) == len(n.mac) { // absent unless resolved, see neigh_fill_info
		n.mac = mac(entry.HardwareAddr)
	}
	kept := entry.State&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0 || entry.FlagsExt&netlink.NTF_EXT_MANAGED != 0
	n.fixed = kept && !n.managed
	return hopKey{entry.LinkIndex, addrOf(entry.IP)}, n, entry.IP != nil
}

// manage makes the kernel resolve a neighbour now and keep it resolved: it asks
// every interval_probe_time_ms (5 s). Learned externally, the entry is not collected
// as garbage.
func manage(key hopKey) error {
	err := neighbourRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE, key,
		&netlink.Ndmsg{Flags: netlink.NTF_EXT_LEARNED},
		nl.NewRtAttr(netlink.NDA_FLAGS_EXT, binary.NativeEndian.AppendUint32(nil, netlink.NTF_EXT_MANAGED)),
		nl.NewRtAttr(netlink.NDA_PROTOCOL, []byte{ownProtocol}))
	if err != nil {
		return fmt.Errorf("keep neighbour %s resolved: %w", key.addr, err)
	}
	return nil
}

// release removes an entry; the kernel makes its own again when it needs one.
func release(key hopKey) error {
	err := neighbourRequest(unix.RTM_DELNEIGH, 0, key, &netlink.Ndmsg{})
	if err == nil || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return fmt.Errorf("remove neighbour %s: %w", key.addr, err)
}

func neighbourRequest(kind, flags int, key hopKey, msg *netlink.Ndmsg, attributes ...nl.NetlinkRequestData) error {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	msg.Family, msg.Index = familyOf(key.addr), uint32(key.ifindex)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, key.addr.AsSlice()))
	for _, a := range attributes {
		req.AddData(a)
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func familyOf(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
