package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"naru/internal/decap"
	"naru/internal/hostnet"
	"naru/internal/model"
)

// The settings that keep a real from answering ARP for a VIP, and from giving the VIP
// as its own address when it asks (ip-sysctl.rst).
const (
	arpIgnore   = "arp_ignore"
	arpAnnounce = "arp_announce"
)

func confKey(iface, name string) string { return "net/ipv4/conf/" + iface + "/" + name }

// ignores says whether an effective arp_ignore keeps an interface from answering for
// an address on lo. 0 and the reserved 4 to 7 answer for all, 3 for all but those of
// host scope, which a VIP's is not (arp_ignore in net/ipv4/arp.c).
func ignores(value int) bool { return value == 1 || value == 2 || value == 8 }

// wantOfHost is what the VIPs need of the host's addresses and sysctls. A VIP that the
// host holds on another interface than lo is there by somebody else's hand and stays.
func wantOfHost(vips []VIP, ports []hostnet.Port, sysctl func(key string) int) hostnet.Want {
	var want hostnet.Want
	for _, v := range vips {
		if !v.silent() {
			continue
		}
		if on := holders(v.Address, ports); len(on) > 0 && !slices.Contains(on, "lo") {
			continue
		}
		want.Addresses = append(want.Addresses, hostnet.Address{
			Prefix: netip.PrefixFrom(v.Address, v.Address.BitLen()), Interface: "lo",
		})
	}
	if !slices.ContainsFunc(vips, VIP.silent) {
		return want
	}
	for _, iface := range []string{"all", "lo"} {
		now := sysctl(confKey(iface, arpIgnore))
		want.Sysctls = append(want.Sysctls,
			hostnet.Sysctl{Key: confKey(iface, arpIgnore), Value: "1", AtLeast: now < 1 || ignores(now)},
			hostnet.Sysctl{Key: confKey(iface, arpAnnounce), Value: "2", AtLeast: true})
	}
	return want
}

// holders lists the interfaces that hold an address.
func holders(addr netip.Addr, ports []hostnet.Port) (names []string) {
	for _, p := range ports {
		if slices.ContainsFunc(p.Holds, func(h hostnet.Held) bool { return h.Prefix.Addr() == addr }) {
			names = append(names, p.Name)
		}
	}
	return names
}

// wantOfDecap is what the VIPs need of the packet program. It attaches everywhere if
// one VIP does not say where: on the Ethernet interfaces that hold an address, up or
// not. A bridge or bond does, its ports do not.
func wantOfDecap(vips []VIP, ports []hostnet.Port) decap.Want {
	var want decap.Want
	anywhere := false
	for _, v := range vips {
		if v.Forward != model.TUN {
			continue
		}
		d := decap.VIP{Address: v.Address}
		for _, a := range v.Directors {
			d.Directors = append(d.Directors, netip.PrefixFrom(a, a.BitLen()))
		}
		slices.SortFunc(d.Directors, netip.Prefix.Compare)
		want.VIPs = append(want.VIPs, d)
		if v.Interface == "" {
			anywhere = true
		} else {
			want.Interfaces = append(want.Interfaces, v.Interface)
		}
	}
	for _, p := range ports {
		if anywhere && p.Ether && len(p.Holds) > 0 {
			want.Interfaces = append(want.Interfaces, p.Name)
		}
	}
	slices.Sort(want.Interfaces)
	want.Interfaces = slices.Compact(want.Interfaces)
	return want
}

// checkInterfaces says which wanted interfaces cannot hold the packet program.
func checkInterfaces(names []string, ports []hostnet.Port) error {
	var faults []error
	for _, name := range names {
		i := slices.IndexFunc(ports, func(p hostnet.Port) bool { return p.Name == name })
		if i < 0 {
			faults = append(faults, fmt.Errorf("interface %q is not there: name one that \"ip link\" lists", name))
		} else if !ports[i].Ether {
			faults = append(faults, fmt.Errorf("interface %q is not Ethernet: tunnels are taken apart on Ethernet only", name))
		}
	}
	return errors.Join(faults...)
}
