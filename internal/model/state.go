package model

import (
	"fmt"
	"net/netip"
	"time"
)

// State is a conn's protocol state, numbered as in the packet path (bpf/types.h),
// where the order of ip_vs is kept (include/net/ip_vs.h, enum ip_vs_tcp_states).
type State uint8

// The TCP states of ip_vs, then that of UDP.
const (
	StateNone State = iota
	StateEstablished
	StateSynSent
	StateSynRecv
	StateFinWait
	StateTimeWait
	StateClose
	StateCloseWait
	StateLastAck
	StateListen
	StateSynAck
	StateUDP
)

var states = [...]string{
	"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT",
	"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK", "UDP",
}

// String returns the state as ipvsadm -Lc prints it.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return fmt.Sprintf("STATE(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range states {
		if name == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("state %q is unknown", b)
}

// Timeouts are the idle times after which a conn is forgotten, as ipvsadm --set
// takes them. Each is a whole number of seconds, 1 s to 31 days.
type Timeouts struct {
	TCP    Seconds `json:"tcp"`     // ESTABLISHED
	TCPFin Seconds `json:"tcp_fin"` // FIN_WAIT
	UDP    Seconds `json:"udp"`
}

// Seconds is a duration in whole seconds, on the wire a number.
type Seconds uint32

// Duration returns s as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// MaxTimeout is the longest timeout: 31 days, as in ip_vs (IP_VS_MAX_TIMEOUT of ip_vs_ctl.c).
const MaxTimeout Seconds = 31 * 24 * 3600

// DefaultTimeouts are those of ip_vs.
var DefaultTimeouts = Timeouts{TCP: 900, TCPFin: 120, UDP: 300}

// Counters count since they were last zeroed. Bytes are IP bytes, without the link
// layer's. For dr, tun and local the out counters stay 0: replies do not pass.
type Counters struct {
	Conns      uint64 `json:"conns"`
	InPackets  uint64 `json:"in_packets"`
	InBytes    uint64 `json:"in_bytes"`
	OutPackets uint64 `json:"out_packets"`
	OutBytes   uint64 `json:"out_bytes"`
}

// Rates are per second, averaged over some 8 s as ip_vs_est.c does.
type Rates Counters

// Conn is one conn of the table.
type Conn struct {
	Protocol Protocol       `json:"protocol"`
	State    State          `json:"state"`
	Client   netip.AddrPort `json:"client"`
	Virtual  netip.AddrPort `json:"virtual"`
	Real     netip.AddrPort `json:"real"`
	Forward  Forward        `json:"forward"`
	Expires  Seconds        `json:"expires"` // idle time left
	Packets  uint64         `json:"packets"` // both ways, as far as they pass the director
	Bytes    uint64         `json:"bytes"`   // likewise, IP bytes
}
