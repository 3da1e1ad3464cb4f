package ipvsadm

import "naru/internal/model"

// grammar returns the options that the verb needs and those it may have besides.
func (v Verb) grammar() (needs, may optionSet) {
	switch v {
	case AddService, EditService:
		return setOf(optService), setOf(optScheduler)
	case DeleteService:
		return setOf(optService), 0
	case AddReal, EditReal:
		return setOf(optService, optReal), setOf(optForward, optWeight, optTunType)
	case DeleteReal:
		return setOf(optService, optReal), 0
	case Save:
		return 0, setOf(optNumeric)
	case Zero:
		return 0, setOf(optService)
	case List:
		return 0, setOf(optNumeric, optConns, optService, optTimeout, optStats,
			optRate, optNoSort, optExact, optJSON)
	}
	return 0, 0
}

// legal checks the options against the verb and against each other.
func (p *parser) legal() error {
	needs, may := p.c.Verb.grammar()
	for i, name := range optionNames {
		id := optionID(i)
		if needs.has(id) && !p.seen.has(id) {
			return usagef("You need to supply the '%s' option for the '%s' command", name, p.c.Verb)
		}
		if p.seen.has(id) && !(needs | may).has(id) {
			return usagef("Illegal '%s' option with the '%s' command", name, p.c.Verb)
		}
	}
	switch p.c.Verb {
	case AddService, EditService:
		if p.c.Service.Port == "" || p.c.Service.Port == "0" {
			return usagef("Zero port specified for non-persistent service")
		}
	case AddReal, EditReal:
		return p.legalReal()
	case List:
		return p.legalList()
	}
	return nil
}

func (p *parser) legalReal() error {
	tun := p.c.Forward == model.TUN
	if p.c.Real.is6() != p.c.Service.is6() && !tun {
		return usagef("Different address family is allowed only for tunneling servers")
	}
	if p.seen.has(optTunType) && !tun {
		return usagef("Tunnel options conflict with forward method")
	}
	return nil
}

// legalList allows one of those that say what to list, and counters of services only.
func (p *parser) legalList() error {
	first, found := optionID(0), false
	for _, id := range []optionID{optConns, optService, optTimeout} {
		if !p.seen.has(id) {
			continue
		}
		if found {
			return usagef("The option '%s' conflicts with the '%s' option in the 'list' command",
				optionNames[id], optionNames[first])
		}
		first, found = id, true
	}
	if (p.seen.has(optConns) || p.seen.has(optTimeout)) && (p.seen.has(optStats) || p.seen.has(optRate)) {
		return usagef("options conflicts in the list command")
	}
	return nil
}
