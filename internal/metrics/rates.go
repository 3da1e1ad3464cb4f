// Package metrics derives from the packet path's counters what people watch. For now
// that is the rates which ipvsadm --rate prints.
package metrics

import (
	"naru/internal/model"
	"naru/internal/plan"
)

// Rates is one reading of all rates, indexed by the ids of the packet path's tables.
// It is never changed once it is handed out.
type Rates struct {
	Services []model.Rates
	Reals    []model.Rates
}

// Service returns the rates of a service, zero for an id that was never seen.
func (r Rates) Service(id uint32) model.Rates { return at(r.Services, id) }

// Real returns the rates of a real, zero for an id that was never seen.
func (r Rates) Real(id uint32) model.Rates { return at(r.Reals, id) }

func at(rates []model.Rates, id uint32) model.Rates {
	if int(id) < len(rates) {
		return rates[id]
	}
	return model.Rates{}
}

// Estimator averages rates as ip_vs does, so that the numbers are the ones operators
// know. It is pure: whoever owns it feeds it the counters every Interval.
type Estimator struct {
	services []average
	reals    []average
}

// Feed takes the next reading of the counters and returns the rates it leads to.
func (e *Estimator) Feed(s plan.Stats) Rates {
	r := Rates{
		Services: make([]model.Rates, len(s.Services)),
		Reals:    make([]model.Rates, len(s.Reals)),
	}
	e.services = grow(e.services, len(s.Services), func(id int) model.Counters { return s.Services[id] })
	for id := range s.Services {
		r.Services[id] = e.services[id].feed(s.Services[id])
	}
	e.reals = grow(e.reals, len(s.Reals), func(id int) model.Counters { return s.Reals[id].Counters })
	for id := range s.Reals {
		r.Reals[id] = e.reals[id].feed(s.Reals[id].Counters)
	}
	return r
}

// grow makes room for ids never seen. Their first reading is where they start from:
// what was counted before this daemon ran is no rate.
func grow(averages []average, n int, first func(id int) model.Counters) []average {
	for id := len(averages); id < n; id++ {
		averages = append(averages, average{last: first(id)})
	}
	return averages[:n]
}

// Fixed-point scales of the averages (ip_vs_est.c): small rates of conns and packets
// need more fraction bits than bytes do.
const (
	countBits = 10
	byteBits  = 5
)

// average is the moving average of one id; its fields are scaled as above.
type average struct {
	last                  model.Counters
	conns                 int64
	inPackets, outPackets int64
	inBytes, outBytes     int64
}

// feed follows ip_vs_est.c: every 2 s each average moves a quarter of the way to what
// was counted since. Counters that went down were zeroed, or the id went to somebody
// else: the average starts clean, as ip_vs_zero_estimator does.
func (a *average) feed(now model.Counters) model.Rates {
	last := a.last
	if now.Conns < last.Conns || now.InPackets < last.InPackets || now.OutPackets < last.OutPackets ||
		now.InBytes < last.InBytes || now.OutBytes < last.OutBytes {
		*a = average{last: now}
		return model.Rates{}
	}
	a.last = now
	return model.Rates{
		Conns:      move(&a.conns, now.Conns-last.Conns, countBits),
		InPackets:  move(&a.inPackets, now.InPackets-last.InPackets, countBits),
		OutPackets: move(&a.outPackets, now.OutPackets-last.OutPackets, countBits),
		InBytes:    move(&a.inBytes, now.InBytes-last.InBytes, byteBits),
		OutBytes:   move(&a.outBytes, now.OutBytes-last.OutBytes, byteBits),
	}
}

// move takes an average a quarter of the way to the rate of one interval of two
// seconds and returns it rounded to a whole number per second.
func move(avg *int64, counted uint64, bits uint) uint64 {
	const most = 1 << 53                            // of no real machine, and no overflow below
	rate := int64(min(counted, most) << (bits - 1)) // halved: per second
	*avg += (rate - *avg) >> 2
	return uint64(*avg+(1<<(bits-1)-1)) >> bits
}
