// Package plan turns what is wanted into what the packet path's tables must hold,
// and the difference from what they hold into ordered steps. It is pure: no kernel,
// no clock, no I/O; dataplane carries the steps out.
package plan

import (
	"net/netip"

	"naru/internal/model"
)

// Want is the whole desired state of the tables.
type Want struct {
	Services []Service
	Timeouts model.Timeouts
}

// Service is one service to carry. Reals are in the order in which they were added;
// the tables list them newest first, as ip_vs does (ip_vs_ctl.c, ip_vs_add_dest).
type Service struct {
	model.Key
	Scheduler model.Scheduler
	// Held says whether the director holds the VIP now. It never schedules new
	// conns for a VIP it does not hold.
	Held bool
	// KeepHeld says that the host has not said yet whether it holds the VIP: what the
	// tables hold stays, so that a daemon that starts interrupts nothing.
	KeepHeld bool
	Reals    []Real
}

// Real is one real with its effective weight and the way to it.
type Real struct {
	Address netip.AddrPort
	Forward model.Forward // Local if the address is the director's own
	Weight  uint32        // effective
	Hop     model.Hop     // an unreachable one never reaches the tables
	// KeepHop says that the host has not said yet how to reach the real: the way that
	// the tables hold stays, likewise.
	KeepHop bool
}

// Tables is what the packet path's tables hold, by id. It is read back from the
// kernel when a daemon starts, so that ids, and with them conns, survive it.
type Tables struct {
	Services map[uint32]TableService
	Reals    map[uint32]TableReal
	Timeouts model.Timeouts
}

// TableService is one entry of the service table.
type TableService struct {
	model.Key
	Scheduler model.Scheduler
	Held      bool
	Retired   bool     // removed by its owner, kept while conns name it
	List      []uint32 // ids of its reals, newest first
	Ring      []uint32 // sh, mh: bucket to real id, NoReal for an empty bucket
}

// NoReal is the id of no real; real ids start at 1.
const NoReal uint32 = 0

// TableReal is one entry of the real table.
type TableReal struct {
	Service    uint32 // id
	Address    netip.AddrPort
	Forward    model.Forward
	Weight     uint32
	RingWeight uint32 // last weight above 0: mh keeps a drained real's share (ip_vs_mh.c)
	Hop        model.Hop
	Retired    bool   // removed by its owner, kept while conns name it
	Conns      uint32 // active and inactive; read only, not compared
}

// Limits are the sizes of the tables.
type Limits struct {
	Services uint32 // service ids are 1 to Services-1
	Reals    uint32 // real ids are 1 to Reals-1
	Ring     uint32 // buckets that all services' rings may have together; 0 for no limit
}

// Stats is what the packet path has counted, indexed by id.
type Stats struct {
	Services []model.Counters
	Reals    []RealStats
}

// RealStats is what the packet path has counted for one real.
type RealStats struct {
	model.Counters
	Active   uint32 // conns by ip_vs's rule: SYN_SENT, SYN_RECV, SYNACK, ESTABLISHED
	Inactive uint32 // all others, and all of UDP
}

// Step is one change to the tables. Steps must be carried out in order.
type Step interface{ step() }

// The steps. Each holds the whole new entry, so that carrying it out twice is harmless.
type (
	// PutReal writes a real's entry, new or changed.
	PutReal struct {
		ID   uint32
		Real TableReal
	}
	// PutService writes a service's lists and entry and makes its key name it.
	PutService struct {
		ID      uint32
		Service TableService
	}
	// RetireService takes a service's key away: nothing new is scheduled.
	RetireService struct{ ID uint32 }
	// FreeReal clears an entry that no conn and no service names any more.
	FreeReal struct{ ID uint32 }
	// FreeService clears an entry that no real names any more.
	FreeService struct{ ID uint32 }
	// SetTimeouts sets the idle timeouts of the conn table.
	SetTimeouts struct{ Timeouts model.Timeouts }
)

func (PutReal) step()       {}
func (PutService) step()    {}
func (RetireService) step() {}
func (FreeReal) step()      {}
func (FreeService) step()   {}
func (SetTimeouts) step()   {}
