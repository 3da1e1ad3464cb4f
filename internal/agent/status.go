package agent

import (
	"net/netip"
	"slices"
	"strings"

	"naru/internal/decap"
	"naru/internal/hostnet"
	"naru/internal/model"
)

// Status is a real server's condition.
type Status struct {
	VIPs    []VIPStatus  `json:"vips"`              // that naru was told to keep up
	Classic []Classic    `json:"classic,omitempty"` // set up by other hands
	ARP     []ARPSetting `json:"arp,omitempty"`     // of the interfaces that have neighbours
	Decap   Decap        `json:"decap,omitzero"`
	Faults  []Fault      `json:"faults,omitempty"`
}

// Decap is what the decapsulation program does.
type Decap = decap.State

// VIPStatus is a VIP as it stands.
type VIPStatus struct {
	VIP
	On []string `json:"on"` // labels of the addresses that hold it: "lo", "eth0:0"
}

// Classic is an address that looks like a VIP and is not on naru's record.
type Classic struct {
	Address netip.Addr    `json:"address"`
	On      string        `json:"on"`      // "lo:0", "eth0:0", "tunl0"
	Forward model.Forward `json:"forward"` // what it was made for
}

// ARPSetting is what decides whether an interface answers for a VIP on lo.
type ARPSetting struct {
	Interface string `json:"interface"`
	Ignore    int    `json:"arp_ignore"`   // effective: the greater of conf/all and its own
	Announce  int    `json:"arp_announce"` // effective
	Silent    bool   `json:"silent"`
}

// Status says what the machine is a real server of, how that stands, and what is
// wrong with it. It changes nothing.
func (a *Agent) Status() (Status, error) {
	b, err := open(a.store)
	if err != nil {
		return Status{}, err
	}
	f, err := look()
	if err != nil {
		return Status{}, err
	}
	return assess(b.vips(), f), nil
}

// assess puts record and facts together.
func assess(vips []VIP, f facts) Status {
	s := Status{VIPs: []VIPStatus{}, Decap: f.decap, Classic: classic(vips, f.ports)}
	all := slices.Clone(vips)
	for _, c := range s.Classic {
		all = append(all, VIP{Address: c.Address, Forward: c.Forward})
	}
	for _, v := range vips {
		s.VIPs = append(s.VIPs, VIPStatus{v, labels(v.Address, f.ports)})
	}
	for _, p := range f.ports {
		if !p.ARP || !p.Up || !slices.ContainsFunc(all, VIP.silent) {
			continue
		}
		ignore, announce := f.effective(p.Name, arpIgnore), f.effective(p.Name, arpAnnounce)
		s.ARP = append(s.ARP, ARPSetting{p.Name, ignore, announce, ignores(ignore) && announce >= 2})
	}
	s.Faults = inspect(all, f)
	return s
}

// labels lists the addresses that hold a VIP.
func labels(vip netip.Addr, ports []hostnet.Port) []string {
	found := []string{}
	for _, p := range ports {
		for _, h := range p.Holds {
			if h.Prefix.Addr() == vip {
				found = append(found, h.Label)
			}
		}
	}
	return found
}

// classic finds what LVS's guides have people set up by hand: a VIP on lo or lo:0, on
// an alias such as eth0:0 with a netmask of its own, or on tunl0.
func classic(vips []VIP, ports []hostnet.Port) []Classic {
	var found []Classic
	for _, p := range ports {
		tunnel := p.Kind == "ipip" || strings.HasPrefix(p.Name, "tunl")
		for _, h := range p.Holds {
			addr := h.Prefix.Addr()
			known := slices.ContainsFunc(vips, func(v VIP) bool { return v.Address == addr })
			looks := tunnel || p.Name == "lo" && !addr.IsLoopback() ||
				strings.Contains(h.Label, ":") && h.Prefix.IsSingleIP()
			if known || !looks {
				continue
			}
			forward := model.DR
			if tunnel {
				forward = model.TUN
			}
			found = append(found, Classic{addr, h.Label, forward})
		}
	}
	return found
}

// DecapExits lists the keys of Status.Decap.Exits in the order of the program's
// questions.
func DecapExits() []string { return decap.ExitNames() }
