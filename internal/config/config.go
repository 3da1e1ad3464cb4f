// Package config reads naru's two files: the director's (naru.yaml) and the real
// server's (real.yaml). It owns their syntax, limits and defaults, and knows nothing
// of how things run. It is pure: bytes in; values, or every fault with its place, out.
//
// The commented reference files (Reference, RealReference) are the manual; the JSON
// Schemas are made from the tables of keys that the decoder itself uses.
package config

import (
	"fmt"
	"slices"

	"naru/internal/model"
)

// Config is a director's file as used: complete, with every default filled in, and
// within every rule of package model.
type Config struct {
	VIPs       VIPMode
	Miss       Miss
	Conns      uint32 // capacity of the conn table
	Timeouts   model.Timeouts
	Interfaces []Interface // none: those that lead to the VIPs and the reals
	Services   []Service   // in the order of the file
}

// Service is a service and where it is written, for messages that name its owner.
type Service struct {
	model.Service
	Line      int
	RealLines []int // of each real
}

// VIPMode says who puts the VIPs on the director and announces them.
type VIPMode string

// The modes.
const (
	Own   VIPMode = "own"   // naru adds the addresses and sends gratuitous ARP
	Watch VIPMode = "watch" // naru adds no address and sends no ARP: something else holds the VIPs
)

// Miss is what a TCP packet to a service gets that belongs to no conn and opens none.
type Miss string

// The answers.
const (
	MissReset Miss = "rst"  // a RST, as a host without the connection sends (RFC 9293, 3.10.7.1)
	MissDrop  Miss = "drop" // nothing
)

// Hook is where the packet path attaches to an interface.
type Hook string

// The hooks.
const (
	HookAuto   Hook = "auto"   // naru chooses
	HookNative Hook = "native" // the driver's XDP hook
	HookTC     Hook = "tc"     // the TC ingress hook
)

// Interface is a link to attach to.
type Interface struct {
	Name string
	Hook Hook
	Line int
}

// Parse reads a director's file; name is what its faults call it. An empty file is a
// director without services. The error, if any, is Errors: every fault of the file,
// save that a fault of syntax stands alone.
func Parse(name string, data []byte) (*Config, error) {
	d := &decoder{file: name}
	raw := rawConfig{
		Config: Config{VIPs: DefaultVIPs, Miss: DefaultMiss, Conns: DefaultConns, Timeouts: model.DefaultTimeouts},
	}
	top := scope{d, ""}
	object(top, "", "keys such as services:", d.parseYAML(data), configFields(), &raw)
	raw.unique(top)
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	for _, r := range raw.services {
		raw.Services = append(raw.Services, r.used())
	}
	return &raw.Config, nil
}

// rawConfig is a director's file as written.
type rawConfig struct {
	Config
	services []rawService
}

func configFields() []field[rawConfig] {
	return []field[rawConfig]{
		bind("vips", "Who puts the VIPs on the director: own (naru does) or watch (something else does).",
			oneOf(vipMode, string(Own), string(Watch)), func(c *rawConfig) *VIPMode { return &c.VIPs }),
		bind("interfaces", "The interfaces to attach to; without them, those that lead to the VIPs and the reals.",
			interfacesValue(), func(c *rawConfig) *[]Interface { return &c.Interfaces }),
		bind("conns", "How many conns the table can hold.",
			numberOf[uint32](MinConns, MaxConns), func(c *rawConfig) *uint32 { return &c.Conns }),
		bind("timeouts", "After how much idle time a conn is forgotten.",
			timeoutsValue(), func(c *rawConfig) *model.Timeouts { return &c.Timeouts }),
		bind("miss", "What a TCP packet that belongs to no conn gets: rst or drop.",
			oneOf(miss, string(MissReset), string(MissDrop)), func(c *rawConfig) *Miss { return &c.Miss }),
		bind("services", "The services.",
			listOf("a list of services", serviceValue(), serviceLabel), func(c *rawConfig) *[]rawService { return &c.services }),
	}
}

func vipMode(s string) (VIPMode, error) {
	if m := VIPMode(s); m == Own || m == Watch {
		return m, nil
	}
	return "", fmt.Errorf("vips %q is unknown: use own or watch", s)
}

func miss(s string) (Miss, error) {
	if m := Miss(s); m == MissReset || m == MissDrop {
		return m, nil
	}
	return "", fmt.Errorf("miss %q is unknown: use rst or drop", s)
}

func hook(s string) (Hook, error) {
	switch h := Hook(s); h {
	case HookAuto, HookNative, HookTC:
		return h, nil
	}
	return "", fmt.Errorf("hook %q is unknown: use auto, native or tc", s)
}

func timeoutsFields() []field[model.Timeouts] {
	return []field[model.Timeouts]{
		bind("tcp", "Of an established TCP conn.", secondsValue(), func(t *model.Timeouts) *model.Seconds { return &t.TCP }),
		bind("tcp_fin", "Of a TCP conn after a FIN.", secondsValue(), func(t *model.Timeouts) *model.Seconds { return &t.TCPFin }),
		bind("udp", "Of a UDP conn.", secondsValue(), func(t *model.Timeouts) *model.Seconds { return &t.UDP }),
	}
}

func timeoutsValue() value[model.Timeouts] {
	fields := timeoutsFields()
	return value[model.Timeouts]{
		schema: orNull(objectSchema("", fields)),
		read: func(s scope, key string, n node) (model.Timeouts, bool) {
			t := model.DefaultTimeouts
			r := object(s, key, "a map such as {tcp: 15m}", n, fields, &t)
			return t, len(r.bad) == 0
		},
	}
}

func interfaceFields() []field[Interface] {
	return []field[Interface]{
		bind("hook", "Where to attach: native (the driver's XDP hook), tc, or auto to let naru choose.",
			oneOf(hook, string(HookAuto), string(HookNative), string(HookTC)), func(i *Interface) *Hook { return &i.Hook }),
	}
}

// interfacesValue is a map whose keys are names of links.
func interfacesValue() value[[]Interface] {
	fields := interfaceFields()
	return value[[]Interface]{
		schema: orNull(schema{
			"type":                 "object",
			"propertyNames":        schema{"pattern": interfacePattern},
			"additionalProperties": orNull(objectSchema("An interface.", fields)),
		}),
		read: func(s scope, key string, n node) (out []Interface, ok bool) {
			if n.kind != table && n.kind != empty {
				s.wrong(n, key, "a map of interfaces such as {eth0: {hook: tc}}")
				return nil, false
			}
			for _, p := range s.in(key).distinct(n) {
				one := Interface{Name: p.key.text, Hook: DefaultHook, Line: p.key.line}
				if why := interfaceFault(one.Name); why != "" {
					s.in(key).fault(p.key.place, "write a name that ip link shows", "%s", why)
				}
				object(s, "interface "+one.Name, "a map such as {hook: tc}", p.value, fields, &one)
				out = append(out, one)
			}
			return out, true
		},
	}
}

// unique reports services that share a key or a name.
func (c *rawConfig) unique(s scope) {
	keys := make(map[model.Key]int)
	names := make(map[string]int)
	for i, r := range c.services {
		in := s.in(r.label)
		if !slices.ContainsFunc([]string{"protocol", "vip", "port"}, func(k string) bool { return r.bad[k] }) {
			if first, twice := keys[r.Key]; twice {
				in.fault(r.place, "", "%s is a service already (%s on line %d)", r.Key, c.services[first].label, c.services[first].line)
			} else {
				keys[r.Key] = i
			}
		}
		if first, twice := names[r.Name]; twice && r.Name != "" {
			in.fault(r.at("name"), "", "name %q is taken (%s on line %d)", r.Name, c.services[first].label, c.services[first].line)
		} else {
			names[r.Name] = i
		}
	}
}
