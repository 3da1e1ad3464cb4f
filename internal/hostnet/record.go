package hostnet

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// record is what the ledger holds: all that is naru's, or was about to become so.
type record struct {
	Boot      string                    `json:"boot"`              // the boot it belongs to
	Sysctls   map[string]sysctlRecord   `json:"sysctls,omitempty"` // by path
	Addresses map[netip.Prefix][]string `json:"addresses,omitempty"`
}

// sysctlRecord says how to undo the setting of a sysctl.
type sysctlRecord struct {
	Found string `json:"found"`
	// Written has every value that may be naru's: the last one written, and the one
	// about to be, so that a death between the two leaves no doubt.
	Written []string `json:"written"`
}

func (r record) has(a Address) bool { return slices.Contains(r.Addresses[a.Prefix], a.Interface) }

// clone returns a copy that shares nothing.
func (r record) clone() record {
	c := record{r.Boot, map[string]sysctlRecord{}, map[netip.Prefix][]string{}}
	maps.Copy(c.Sysctls, r.Sysctls)
	for p, names := range r.Addresses {
		c.Addresses[p] = slices.Clone(names)
	}
	return c
}

// put records an address as naru's.
func (r record) put(a Address) {
	if !r.has(a) {
		r.Addresses[a.Prefix] = append(r.Addresses[a.Prefix], a.Interface)
	}
}

// drop forgets an address.
func (r record) drop(a Address) {
	rest := slices.DeleteFunc(slices.Clone(r.Addresses[a.Prefix]), func(s string) bool { return s == a.Interface })
	if r.Addresses[a.Prefix] = rest; len(rest) == 0 {
		delete(r.Addresses, a.Prefix)
	}
}

// addresses lists the recorded addresses in a stable order.
func (r record) addresses() []Address {
	var all []Address
	for prefix, names := range r.Addresses {
		for _, name := range names {
			all = append(all, Address{Prefix: prefix, Interface: name})
		}
	}
	slices.SortFunc(all, func(a, b Address) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), a.Prefix.Bits()-b.Prefix.Bits(), cmp.Compare(a.Interface, b.Interface))
	})
	return all
}

// ahead returns the record to write before the steps are carried out: what was,
// and all that is about to become naru's.
func (r record) ahead(steps []step) record {
	r = r.clone()
	for _, s := range steps {
		switch {
		case s.err != nil:
		case s.verb == setSysctl:
			r.Sysctls[s.path] = s.record
		case s.verb == addAddress:
			r.put(s.address)
		}
	}
	return r
}

// settle returns the record to write after the steps were carried out: what was,
// with what was done. What was not done leaves no trace.
func (r record) settle(steps []step) record {
	r = r.clone()
	for _, s := range steps {
		switch {
		case s.err != nil:
		case s.verb == setSysctl:
			r.Sysctls[s.path] = sysctlRecord{s.record.Found, []string{s.value}}
		case s.verb == addAddress:
			r.put(s.address)
		case s.verb == removeAddress:
			r.drop(s.address)
		case s.verb == restoreSysctl:
			delete(r.Sysctls, s.path)
		case s.verb == forget && s.path != "":
			delete(r.Sysctls, s.path)
		case s.verb == forget:
			r.drop(s.address)
		}
	}
	return r
}
