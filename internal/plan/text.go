package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"naru/internal/model"
)

// String returns the tables as text, one entry a line, for logs and tests.
func (t Tables) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(t.Services)) {
		fmt.Fprintf(&b, "service %d: %s\n", id, t.Services[id])
	}
	for _, id := range slices.Sorted(maps.Keys(t.Reals)) {
		fmt.Fprintf(&b, "real %d: %s\n", id, t.Reals[id])
	}
	fmt.Fprintf(&b, "timeouts: %s\n", timeouts(t.Timeouts))
	return b.String()
}

// String returns the entry as text.
func (s TableService) String() string {
	if s.Retired {
		return s.Key.String() + " retired"
	}
	text := fmt.Sprintf("%s %s", s.Key, s.Scheduler)
	if s.Held {
		text += " held"
	}
	text += fmt.Sprintf(" list %v", s.List)
	if len(s.Ring) > 0 {
		text += " ring " + shares(s.Ring)
	}
	return text
}

// shares says how many buckets each real has, which is what one wants to know of a ring.
func shares(ring []uint32) string {
	n := make(map[uint32]int)
	for _, id := range ring {
		n[id]++
	}
	parts := make([]string, 0, len(n))
	for _, id := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%d:%d", id, n[id]))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// String returns the entry as text.
func (r TableReal) String() string {
	text := fmt.Sprintf("service %d %s %s", r.Service, r.Address, r.Forward)
	if r.Retired {
		text += " retired"
	} else {
		text += fmt.Sprintf(" weight %d", r.Weight)
		if r.RingWeight != r.Weight {
			text += fmt.Sprintf(" (ring %d)", r.RingWeight)
		}
	}
	text += way(r.Hop)
	if r.Conns > 0 {
		text += fmt.Sprintf(" conns %d", r.Conns)
	}
	return text
}

func way(h model.Hop) string {
	if h.Local || !h.Reachable() {
		return ""
	}
	text := fmt.Sprintf(" if%d %x", h.Ifindex, h.DstMAC)
	if h.Source != (netip.Addr{}) {
		text += " from " + h.Source.String()
	}
	return text
}

func timeouts(t model.Timeouts) string {
	return fmt.Sprintf("tcp %d tcpfin %d udp %d", t.TCP, t.TCPFin, t.UDP)
}

// String returns the step as text.
func (s PutReal) String() string { return fmt.Sprintf("put real %d: %s", s.ID, s.Real) }

// String returns the step as text.
func (s PutService) String() string { return fmt.Sprintf("put service %d: %s", s.ID, s.Service) }

// String returns the step as text.
func (s RetireService) String() string { return fmt.Sprintf("retire service %d", s.ID) }

// String returns the step as text.
func (s FreeReal) String() string { return fmt.Sprintf("free real %d", s.ID) }

// String returns the step as text.
func (s FreeService) String() string { return fmt.Sprintf("free service %d", s.ID) }

// String returns the step as text.
func (s SetTimeouts) String() string { return "set timeouts: " + timeouts(s.Timeouts) }
