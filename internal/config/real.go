package config

import (
	"fmt"
	"net/netip"

	"naru/internal/model"
)

// RealConfig is a real server's file as used.
type RealConfig struct {
	VIPs []RealVIP // in the order of the file
}

// RealVIP is a VIP that this machine is a real server of.
type RealVIP struct {
	VIP       netip.Addr
	Forward   model.Forward // dr, tun or nat
	Directors []netip.Addr  // tun: accepted outer sources; none means any
	Gateway   netip.Addr    // nat: the director's address towards this machine
	Interface string        // tun: where tunnels arrive; empty means everywhere
	Line      int           // in the file; 0 if it comes from a command line
}

// ParseReal reads a real server's file as Parse does a director's.
func ParseReal(name string, data []byte) (*RealConfig, error) {
	d := &decoder{file: name}
	raw := rawRealConfig{}
	top := scope{d, ""}
	object(top, "", "keys such as vips:", d.parseYAML(data), realConfigFields(), &raw)
	first := make(map[netip.Addr]int)
	out := &RealConfig{}
	for _, v := range raw.vips {
		if line, twice := first[v.VIP]; twice && !v.bad["vip"] {
			top.in(v.label).fault(v.at("vip"), "keep one: tun takes what dr takes", "VIP %s is listed twice (first on line %d)", v.VIP, line)
		} else {
			first[v.VIP] = v.line
		}
		v.Line = v.line
		out.VIPs = append(out.VIPs, v.RealVIP)
	}
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	return out, nil
}

// CheckRealVIP returns every fault of a VIP, in the order of its keys; Field is the
// key at fault and Real is -1. The file and the command line obey the same rules.
func CheckRealVIP(v RealVIP) []model.Fault {
	var faults []model.Fault
	fault := func(field, format string, args ...any) {
		faults = append(faults, model.Fault{Real: -1, Field: field, Text: fmt.Sprintf(format, args...)})
	}
	only := func(field string, forward model.Forward) {
		fault(field, "%s is for forward %s, and this VIP's is %s: leave it out", field, forward, v.Forward)
	}
	if why := machineFault(v.VIP); why != "" {
		fault("vip", "VIP %s", why)
	}
	if v.Forward > model.TUN {
		fault("forward", "forward %s is never set up: use dr, nat or tun", v.Forward)
	}
	if len(v.Directors) > 0 && v.Forward != model.TUN {
		only("directors", model.TUN)
	}
	for _, a := range v.Directors {
		if why := machineFault(a); why != "" {
			fault("directors", "director %s", why)
		}
	}
	switch {
	case v.Forward != model.NAT:
		if v.Gateway.IsValid() {
			only("gateway", model.NAT)
		}
	case v.Gateway == v.VIP && v.VIP.IsValid():
		fault("gateway", "gateway %s is the VIP itself: use the director's address on this machine's network", v.Gateway)
	case machineFault(v.Gateway) != "":
		fault("gateway", "gateway %s", machineFault(v.Gateway))
	}
	if v.Interface != "" && v.Forward != model.TUN {
		only("interface", model.TUN)
	}
	if why := interfaceFault(v.Interface); v.Interface != "" && why != "" {
		fault("interface", "%s", why)
	}
	return faults
}

// machineFault says why a cannot be another machine's address, with the address first.
func machineFault(a netip.Addr) string {
	switch why := model.AddressFault(a); {
	case !a.IsValid():
		return why
	case why != "":
		return a.String() + " " + why
	case a.IsLoopback():
		return a.String() + " is a loopback address, which no other machine can reach"
	case a.Is6():
		return a.String() + " is IPv6, which this version does not carry yet"
	}
	return ""
}

// rawRealConfig and rawRealVIP are a real server's file as written.
type rawRealConfig struct{ vips []rawRealVIP }

type rawRealVIP struct {
	RealVIP
	record
	label string
}

func realConfigFields() []field[rawRealConfig] {
	return []field[rawRealConfig]{
		bind("vips", "The VIPs that this machine is a real server of.",
			listOf("a list of VIPs such as [{vip: 192.0.2.10}]", realVIPValue(), vipLabel), func(c *rawRealConfig) *[]rawRealVIP { return &c.vips }),
	}
}

func vipLabel(i int, n node) string { return fmt.Sprintf("vips[%d]", i) }

func realVIPFields() []field[rawRealVIP] {
	return []field[rawRealVIP]{
		must(bind("vip", "The virtual address.",
			addrValue("192.0.2.10"), func(r *rawRealVIP) *netip.Addr { return &r.VIP })),
		bind("forward", "How the director's packets arrive: dr (the default), tun or nat.",
			forwardValue(), func(r *rawRealVIP) *model.Forward { return &r.Forward }),
		bind("directors", "For tun: addresses that tunnels are accepted from; any if empty.",
			listOf("a list of addresses such as [192.0.2.2]", directorValue(), directorLabel), func(r *rawRealVIP) *[]netip.Addr { return &r.Directors }),
		bind("gateway", "For nat, and needed there: the director's address on this machine's network.",
			addrValue("192.0.2.1"), func(r *rawRealVIP) *netip.Addr { return &r.Gateway }),
		bind("interface", "For tun: the interface that tunnels arrive on; all if left out.",
			interfaceValue(), func(r *rawRealVIP) *string { return &r.Interface }),
	}
}

// directorValue judges each address by itself, so that a fault is at its own place.
func directorValue() value[netip.Addr] {
	addr := addrValue("192.0.2.2")
	return value[netip.Addr]{schema: addr.schema, read: func(s scope, key string, n node) (netip.Addr, bool) {
		a, ok := addr.read(s, key, n)
		if why := machineFault(a); ok && why != "" {
			s.fault(n.place, "", "director %s", why)
			ok = false
		}
		return a, ok
	}}
}

func directorLabel(i int, n node) string { return fmt.Sprintf("director %d", i+1) }

func realVIPValue() value[rawRealVIP] {
	fields := realVIPFields()
	return value[rawRealVIP]{
		schema: realVIPSchema(fields),
		read: func(s scope, label string, n node) (rawRealVIP, bool) {
			raw := rawRealVIP{label: label, RealVIP: RealVIP{Forward: DefaultForward}}
			raw.record = object(s, label, "a map such as {vip: 192.0.2.10}", n, fields, &raw)
			for _, f := range CheckRealVIP(raw.RealVIP) {
				if !raw.bad[f.Field] && (!raw.bad["forward"] || f.Field == "vip") {
					s.in(label).fault(raw.at(f.Field), "", "%s", f.Text)
				}
			}
			return raw, true
		},
	}
}

// realVIPSchema adds which keys go with which forward.
func realVIPSchema(fields []field[rawRealVIP]) schema {
	out := objectSchema("A VIP.", fields)
	forward := func(name string) schema {
		return schema{"properties": schema{"forward": schema{"const": name}}, "required": []string{"forward"}}
	}
	out["dependentSchemas"] = schema{
		"directors": forward("tun"), "interface": forward("tun"), "gateway": forward("nat"),
	}
	out["if"], out["then"] = forward("nat"), schema{"required": []string{"gateway"}}
	return out
}
