package config

import (
	"fmt"
	"net/netip"

	"naru/internal/model"
)

// rawService is a service as written. Its embedded service has the file's values and
// the defaults, but no reals: those depend on it and are made by used.
type rawService struct {
	model.Service
	record
	label   string        // what faults call it
	forward model.Forward // default of its reals
	reals   []rawReal
}

// rawReal is a real as written: an address, or a map.
type rawReal struct {
	model.Real
	record
	label string
	port  uint16
}

func serviceFields() []field[rawService] {
	return []field[rawService]{
		bind("name", "What to call the service in commands; without one it is tcp:VIP:PORT.",
			nameValue(), func(r *rawService) *string { return &r.Name }),
		bind("protocol", "tcp (the default) or udp.",
			protocolValue(), func(r *rawService) *model.Protocol { return &r.Protocol }),
		must(bind("vip", "The virtual address clients connect to.",
			addrValue("192.0.2.10"), func(r *rawService) *netip.Addr { return &r.VIP })),
		must(bind("port", "The port clients connect to.",
			numberOf[uint16](1, 65535), func(r *rawService) *uint16 { return &r.Port })),
		bind("scheduler", "How the real of a new conn is chosen; wlc is the default.",
			schedulerValue(), func(r *rawService) *model.Scheduler { return &r.Scheduler }),
		bind("forward", "How packets reach the reals that do not say so themselves; dr is the default.",
			forwardValue(), func(r *rawService) *model.Forward { return &r.forward }),
		bind("reals", "The real servers: addresses, or maps.",
			listOf("a list of reals such as [192.0.2.21]", realValue(), realLabel), func(r *rawService) *[]rawReal { return &r.reals }),
	}
}

func realFields() []field[rawReal] {
	return []field[rawReal]{
		bind("name", "What to call the real in commands; without one it is its address.",
			nameValue(), func(r *rawReal) *string { return &r.Name }),
		realAddress(),
		bind("port", "The real's port; the service's is the default, and only nat can use another.",
			numberOf[uint16](1, 65535), func(r *rawReal) *uint16 { return &r.port }),
		bind("forward", "How packets reach the real; the service's is the default.",
			forwardValue(), func(r *rawReal) *model.Forward { return &r.Forward }),
		bind("weight", "The real's share of new conns; 1 is the default, 0 takes none.",
			numberOf[uint32](0, model.MaxWeight), func(r *rawReal) *uint32 { return &r.Weight }),
	}
}

// realAddress is apart because a real may be written as its address alone.
func realAddress() field[rawReal] {
	return must(bind("address", "The real's address, perhaps with a port.",
		addrPortValue("192.0.2.21"), func(r *rawReal) *netip.AddrPort { return &r.Address }))
}

// serviceLabel calls a service `services[0] "web"`.
func serviceLabel(i int, n node) string { return fmt.Sprintf("services[%d]", i) + nameIn(n) }

// realLabel calls a real `real 1 "rs1"`, numbered from 1 as package model does.
func realLabel(i int, n node) string { return fmt.Sprintf("real %d", i+1) + nameIn(n) }

func nameIn(n node) string {
	if name, ok := n.find("name"); ok && namePattern.MatchString(name.text) {
		return fmt.Sprintf(" %q", name.text)
	}
	return ""
}

func serviceValue() value[rawService] {
	fields := serviceFields()
	return value[rawService]{
		schema: objectSchema("A service.", fields),
		read: func(s scope, label string, n node) (rawService, bool) {
			raw := rawService{label: label, forward: DefaultForward}
			raw.Protocol, raw.Scheduler = DefaultProtocol, DefaultScheduler
			raw.record = object(s, label, "a map such as {vip: 192.0.2.10, port: 80}", n, fields, &raw)
			raw.check(s.in(label))
			return raw, true
		},
	}
}

func realValue() value[rawReal] {
	fields, address := realFields(), realAddress()
	return value[rawReal]{
		schema: schema{"anyOf": []schema{address.schema, objectSchema("A real.", fields)}},
		read: func(s scope, label string, n node) (rawReal, bool) {
			raw := rawReal{label: label, Real: model.Real{Weight: DefaultWeight}}
			n = unsplit(n)
			if n.kind == text { // stands for {address: …}
				key := node{place: n.place, kind: text, text: address.name}
				n = node{place: n.place, kind: table, pairs: []pair{{key, n}}}
			}
			raw.record = object(s, label, "an address such as 192.0.2.21, or a map with one", n, fields, &raw)
			if raw.has("port") && raw.Address.Port() != 0 {
				s.in(label).fault(raw.at("port"), "keep one", "port is given twice: here and in the address")
				raw.bad["port"] = true
			}
			return raw, true
		},
	}
}

// unsplit takes [192.0.2.21:80] for what YAML 1.2 says it is, one scalar (7.3.3: a colon
// with no space after it), where the library sees a map of one pair.
func unsplit(n node) node {
	if n.kind != table || len(n.pairs) != 1 || n.pairs[0].value.kind != number {
		return n
	}
	key, value := n.pairs[0].key.text, n.pairs[0].value.text
	if _, err := netip.ParseAddr(key); err != nil {
		return n
	}
	return node{place: n.place, kind: text, text: key + ":" + value}
}

// used returns the service with its reals, where what a real leaves out comes from
// the service.
func (r rawService) used() Service {
	out := Service{Service: r.Service, Line: r.line}
	for _, raw := range r.reals {
		one := raw.Real
		if !raw.has("forward") {
			one.Forward = r.forward
		}
		port := r.Port
		if raw.has("port") {
			port = raw.port
		} else if one.Address.Port() != 0 {
			port = one.Address.Port()
		}
		one.Address = netip.AddrPortFrom(one.Address.Addr(), port)
		out.Reals = append(out.Reals, one)
		out.RealLines = append(out.RealLines, raw.line)
	}
	return out
}

// check reports what package model has against the service, leaving out what only
// follows from values that could not be read.
func (r rawService) check(s scope) {
	svc := r.used().Service
	for i, raw := range r.reals {
		if raw.bad["forward"] || r.bad["forward"] && !raw.has("forward") {
			svc.Reals[i].Forward = model.NAT // unknown: judge by the one that allows most
		}
	}
	for _, f := range svc.Check() {
		if f.Real < 0 {
			if !r.bad[f.Field] {
				s.fault(r.at(f.Field), "", "%s", f.Text)
			}
			continue
		}
		raw := r.reals[f.Real]
		inherited := f.Field == "port" && r.bad["port"] && !raw.has("port") && raw.Address.Port() == 0
		if !raw.bad[f.Field] && !inherited {
			s.in(raw.label).fault(raw.at(f.Field, "address"), "", "%s", f.Text)
		}
	}
	first := make(map[string]int)
	for _, raw := range r.reals {
		if line, twice := first[raw.Name]; twice && raw.Name != "" {
			s.in(raw.label).fault(raw.at("name"), "", "name %q is taken (first on line %d)", raw.Name, line)
			continue
		}
		first[raw.Name] = raw.line
	}
}
