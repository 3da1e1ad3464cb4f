package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"naru/internal/decap"
	"naru/internal/hostnet"
	"naru/internal/model"
)

// Fault is something that keeps this machine from being a good real server.
type Fault struct {
	Text string `json:"text"` // one sentence: what, and where
	Mend string `json:"mend"` // what to do about it
}

// Error implements error.
func (f Fault) Error() string { return f.Text }

// Hint returns the mend, for commands that print errors.
func (f Fault) Hint() string { return f.Mend }

func fault(mend, format string, args ...any) Fault {
	return Fault{Text: fmt.Sprintf(format, args...), Mend: mend}
}

// inspect returns what is wrong with the host as a real server of the VIPs.
func inspect(vips []VIP, f facts) []Fault {
	var faults []Fault
	for _, v := range vips {
		if v.Forward == model.NAT {
			faults = append(faults, inspectReturn(v, f)...)
			continue
		}
		faults = append(faults, inspectHeld(v, f)...)
		if v.Forward == model.TUN {
			faults = append(faults, inspectTunnel(v, f)...)
		}
	}
	if slices.ContainsFunc(vips, VIP.silent) {
		faults = append(faults, inspectARP(f)...)
	}
	return faults
}

// inspectHeld finds a VIP that the host does not hold, or answers ARP for because it
// is on an interface that has neighbours: there arp_ignore 1 does not help, and 2
// only for an address without a network of its own.
func inspectHeld(v VIP, f facts) (faults []Fault) {
	if len(holders(v.Address, f.ports)) == 0 {
		return []Fault{fault("run naru real up again", "this machine does not hold VIP %s, so it drops packets for it", v.Address)}
	}
	for _, p := range f.ports {
		for _, h := range p.Holds {
			if h.Prefix.Addr() != v.Address || !p.ARP || !p.Up {
				continue
			}
			ignore := f.effective(p.Name, arpIgnore)
			if ignore == 8 || ignore == 2 && h.Prefix.IsSingleIP() {
				continue
			}
			faults = append(faults, fault(
				fmt.Sprintf("take it off with 'ip addr del %s dev %s', then run naru real up, which puts it on lo", h.Prefix, p.Name),
				"VIP %s is on %s, where this machine answers ARP for it and takes clients from the director", v.Address, h.Label))
		}
	}
	return faults
}

// inspectARP finds interfaces that answer ARP for a VIP on lo, or betray it.
func inspectARP(f facts) (faults []Fault) {
	for _, p := range f.ports {
		if !p.ARP || !p.Up {
			continue
		}
		if n := f.effective(p.Name, arpIgnore); !ignores(n) {
			faults = append(faults, fault(
				fmt.Sprintf("sysctl -w net.ipv4.conf.all.arp_ignore=1 and, if that is above 2, %s=1, also in /etc/sysctl.d", confKey(p.Name, arpIgnore)),
				"%s answers ARP for VIPs on lo and takes clients from the director: its effective arp_ignore is %d", p.Name, n))
		}
		if n := f.effective(p.Name, arpAnnounce); n < 2 {
			faults = append(faults, fault("sysctl -w net.ipv4.conf.all.arp_announce=2, also in /etc/sysctl.d",
				"%s may ask for neighbours in the name of a VIP: its effective arp_announce is %d", p.Name, n))
		}
	}
	return faults
}

// inspectTunnel finds tunnels that nobody takes apart.
func inspectTunnel(v VIP, f facts) (faults []Fault) {
	if classicTunnel(f.ports) != "" {
		return nil
	}
	if f.decapErr != nil {
		return []Fault{fault("run it as root, on Linux 6.1 or later", "whether tunnels for VIP %s are taken apart is not known: %v", v.Address, f.decapErr)}
	}
	i := slices.IndexFunc(f.decap.VIPs, func(d decap.VIP) bool { return d.Address == v.Address })
	if i < 0 || len(f.decap.Hooks) == 0 {
		return []Fault{fault("run naru real up again", "nothing on this machine takes apart the tunnels for VIP %s", v.Address)}
	}
	if v.Interface == "" {
		return nil
	}
	if !slices.ContainsFunc(f.decap.Hooks, func(h decap.Hook) bool { return h.Interface == v.Interface }) {
		return []Fault{fault("run naru real up again", "tunnels for VIP %s are not taken apart on %s", v.Address, v.Interface)}
	}
	return nil
}

// classicTunnel returns the kernel's ipip device if the host has one that is up.
func classicTunnel(ports []hostnet.Port) string {
	for _, p := range ports {
		if p.Up && (p.Kind == "ipip" || strings.HasPrefix(p.Name, "tunl")) {
			return p.Name
		}
	}
	return ""
}

// someClient stands for clients that are not neighbours: it is nobody's (RFC 5737).
func someClient() netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, 1}) }

// inspectReturn finds replies of nat that do not go back through the director, which
// the client's machine would not take as answers.
func inspectReturn(v VIP, f facts) []Fault {
	own, iface := onLink(v.Gateway, f.ports)
	if !own.IsValid() {
		return []Fault{fault("name the director's address on this machine's own network, or give this machine one there",
			"the gateway %s of VIP %s is on no network of this machine", v.Gateway, v.Address)}
	}
	if own == v.Gateway {
		return []Fault{fault("name the director's address", "the gateway %s of VIP %s is this machine itself", v.Gateway, v.Address)}
	}
	gateway, _, err := f.nextHop(own, someClient())
	mend := fmt.Sprintf("make the director the default gateway: ip route replace default via %s dev %s", v.Gateway, iface)
	if err != nil {
		return []Fault{fault(mend, "replies of VIP %s have no way back to clients: %v", v.Address, err)}
	}
	if gateway != v.Gateway {
		return []Fault{fault(mend, "replies of VIP %s from %s go to clients through %s, not through the director %s, and nat breaks", v.Address, own, gateway, v.Gateway)}
	}
	return nil
}

// onLink returns the machine's address on the network that another address is in.
func onLink(other netip.Addr, ports []hostnet.Port) (own netip.Addr, iface string) {
	for _, p := range ports {
		for _, h := range p.Holds {
			if h.Prefix.Contains(other) && p.Name != "lo" {
				return h.Prefix.Addr(), p.Name
			}
		}
	}
	return own, ""
}
