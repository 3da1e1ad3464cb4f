package main

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/spf13/pflag"

	"naru/internal/agent"
	"naru/internal/cli"
	"naru/internal/config"
	"naru/internal/model"
)

// realVIPs are the flags that describe VIPs.
type realVIPs struct {
	vips      []string
	forward   string
	directors []string
	gateway   string
	iface     string
}

func (o *realVIPs) addFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.vips, "vip", nil, "the `ADDRESS` to serve; may be repeated")
	fs.StringVar(&o.forward, "forward", "dr", "how the director's packets arrive: dr, tun or nat")
	fs.StringSliceVar(&o.directors, "director", nil, "tun: an `ADDRESS` that tunnels are accepted from; may be repeated (default any)")
	fs.StringVar(&o.gateway, "gateway", "", "nat: the director's `ADDRESS` on this machine's network")
	fs.StringVar(&o.iface, "interface", "", "tun: the interface `NAME` that tunnels arrive on (default all that have an address)")
}

// parse returns the VIPs, judged by the same rules as those of a file, or every fault.
func (o *realVIPs) parse() ([]agent.VIP, error) {
	forward, err := model.ParseForward(o.forward)
	if err != nil {
		err = cli.Errorf(cli.Usage, "read --forward: %w", err)
	}
	vips, err2 := parseAddrs("--vip", o.vips)
	directors, err3 := parseAddrs("--director", o.directors)
	var gateways []netip.Addr
	var err4 error
	if o.gateway != "" {
		gateways, err4 = parseAddrs("--gateway", []string{o.gateway})
	}
	if faults := slices.DeleteFunc([]error{err, err2, err3, err4}, func(err error) bool { return err == nil }); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	var all []agent.VIP
	var faults []error
	for _, vip := range vips {
		v := config.RealVIP{VIP: vip, Forward: forward, Directors: directors, Interface: o.iface}
		if len(gateways) > 0 {
			v.Gateway = gateways[0]
		}
		for _, f := range config.CheckRealVIP(v) {
			faults = append(faults, cli.Errorf(cli.Usage, "read command line: %s", f.Text))
		}
		all = append(all, agentVIP(v))
	}
	return all, errors.Join(faults...)
}

// parseAddrs reads the values of a flag, each once.
func parseAddrs(flag string, texts []string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, cli.Errorf(cli.Usage, "read %s: %q is not an address", flag, text).
				WithHint("write one such as 192.0.2.10, without a port or a netmask")
		}
		if !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

func agentVIP(v config.RealVIP) agent.VIP {
	return agent.VIP{Address: v.VIP, Forward: v.Forward, Directors: v.Directors, Gateway: v.Gateway, Interface: v.Interface}
}
