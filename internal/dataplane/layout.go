package dataplane

import (
	"fmt"
	"math/bits"
	"net/netip"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"naru/internal/model"
	"naru/internal/plan"
)

// This file is the one place that knows the byte layout of the tables (bpf/types.h)
// besides what bpf2go generates: network byte order, ticks, ranges, and the mapping
// of an array's memory.

// mapping is an array map's contents, in this process's memory.
type mapping[T any] struct {
	all []T
	raw []byte
}

func (m *mapping[T]) open(from *ebpf.Map) error {
	var one T
	if unsafe.Sizeof(one)%8 != 0 {
		panic("dataplane: the kernel pads the values of " + from.String()) // array_map_alloc, kernel/bpf/arraymap.c
	}
	size := int(unsafe.Sizeof(one)) * int(from.MaxEntries())
	raw, err := unix.Mmap(from.FD(), 0, (size+unix.Getpagesize()-1)&^(unix.Getpagesize()-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the table %s into memory: %w", from, err)
	}
	m.raw = raw
	m.all = unsafe.Slice((*T)(unsafe.Pointer(&raw[0])), from.MaxEntries())
	return nil
}

func (m *mapping[T]) close() error {
	if m.raw == nil {
		return nil
	}
	raw := m.raw
	m.raw, m.all = nil, nil
	return unix.Munmap(raw)
}

// slotsPerLine is SLOTS_PER_LINE.
const slotsPerLine = len(lbSlotLine{}.Id)

// tick is 2^20 ns (TICK_SHIFT).
const tickShift = 20

// ticks rounds up, so that a conn lives at least as long as asked.
func ticks(d time.Duration) uint32 { return uint32((uint64(d) + 1<<tickShift - 1) >> tickShift) }

// now is the clock of the packet path: bpf_ktime_get_coarse_ns.
func now() uint32 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &t) // cannot fail for this clock
	return uint32(uint64(t.Nano()) >> tickShift)
}

// secondsLeft is what ipvsadm -Lc calls expire: rounded to the nearest second.
func secondsLeft(timeout, idle uint32) model.Seconds {
	if idle >= 0xf0000000 { // idle_ticks, bpf/lib/sweep.h
		idle = 0
	}
	left := int64(timeout) - int64(idle)
	if left <= 0 {
		return 0
	}
	return model.Seconds((left<<tickShift + int64(time.Second)/2) / int64(time.Second))
}

// seconds is the timeout that ticks rounded up.
func seconds(ticks uint32) model.Seconds {
	return model.Seconds(uint64(ticks) << tickShift / uint64(time.Second))
}

func port(be uint16) uint16 { return bits.ReverseBytes16(be) }

func addr(b [16]uint8) netip.Addr { return netip.AddrFrom16(b).Unmap() }

func addrPort4(b [4]uint8, be uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(b), port(be))
}

// as16 is an address as the tables hold it; all zero if there is none.
func as16(a netip.Addr) [16]uint8 {
	if !a.IsValid() {
		return [16]uint8{}
	}
	return a.As16()
}

func source(b [16]uint8) netip.Addr {
	if b == [16]uint8{} {
		return netip.Addr{}
	}
	return addr(b)
}

func serviceKey(k model.Key) lbServiceKey {
	key := lbServiceKey{Port: port(k.Port), Protocol: uint8(k.Protocol)}
	key.Vip.B = as16(k.VIP)
	return key
}

func modelKey(k lbServiceKey) model.Key {
	return model.Key{Protocol: model.Protocol(k.Protocol), VIP: addr(k.Vip.B), Port: port(k.Port)}
}

func has(flags uint8, f lbEntryFlags) bool { return flags&uint8(f) != 0 }

func flag(on bool, f lbEntryFlags) uint8 {
	if on {
		return uint8(f)
	}
	return 0
}

// tableReal reads an entry.
func tableReal(r *lbReal) plan.TableReal {
	t := plan.TableReal{
		Service:    r.Service,
		Address:    netip.AddrPortFrom(addr(r.Address.B), port(r.Port)),
		Forward:    model.Forward(r.Forward),
		Weight:     r.Weight,
		RingWeight: r.RingWeight,
		Hop:        model.Hop{Ifindex: r.Ifindex, SrcMAC: r.Smac, DstMAC: r.Mac, Source: source(r.Source.B), MTU: r.Mtu},
		Retired:    has(r.Flags, lbEntryFlagsENTRY_RETIRED),
		Conns:      load(&r.Active) + load(&r.Inactive),
	}
	if t.Forward == model.Local {
		t.Hop = model.Hop{Local: true}
	}
	return t
}
