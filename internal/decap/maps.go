package decap

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"naru/internal/hook"
)

// addrKey is the one place where addresses become the program's bytes.
func addrKey(a netip.Addr) decapDecapAddr { return decapDecapAddr{B: a.As16()} }

func keyAddr(k decapDecapAddr) netip.Addr { return netip.AddrFrom16(k.B).Unmap() }

// vipBits is the part of a source key before the source itself.
const vipBits = 128

func sourceKey(vip netip.Addr, source netip.Prefix) decapDecapSource {
	bits := source.Bits()
	if source.Addr().Is4() {
		bits += 96
	}
	return decapDecapSource{Prefixlen: uint32(vipBits + bits), Vip: addrKey(vip), Source: addrKey(source.Masked().Addr())}
}

// keySource is the inverse of sourceKey.
func keySource(k decapDecapSource) netip.Prefix {
	addr, bits := keyAddr(k.Source), int(k.Prefixlen)-vipBits
	if addr.Is4() {
		bits -= 96
	}
	return netip.PrefixFrom(addr, bits)
}

// fill makes the maps say what is wanted. What a VIP's rule needs is there before the
// rule, and gone only after it.
func fill(m *decapMaps, vips []VIP) error {
	rules := map[decapDecapAddr]decapDecapVip{}
	sources := map[decapDecapSource]uint8{}
	for _, v := range vips {
		var rule decapDecapVip
		for _, d := range v.Directors {
			rule.Restricted = 1
			sources[sourceKey(v.Address, d)] = 1
		}
		rules[addrKey(v.Address)] = rule
	}
	return errors.Join(
		put(m.DecapSources, sources), put(m.DecapVips, rules),
		prune(m.DecapVips, rules), prune(m.DecapSources, sources))
}

func put[K comparable, V any](m *ebpf.Map, want map[K]V) error {
	for k, v := range want {
		if err := m.Put(k, v); err != nil {
			return fmt.Errorf("write a rule of the decapsulation program: %w", err)
		}
	}
	return nil
}

// prune deletes the keys that are not wanted.
func prune[K comparable, V any](m *ebpf.Map, want map[K]V) error {
	have, err := entries[K, V](m)
	if err != nil {
		return err
	}
	for k := range have {
		if _, keep := want[k]; keep {
			continue
		}
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete a rule of the decapsulation program: %w", err)
		}
	}
	return nil
}

func entries[K comparable, V any](m *ebpf.Map) (map[K]V, error) {
	all := map[K]V{}
	var k K
	var v V
	it := m.Iterate()
	for it.Next(&k, &v) {
		all[k] = v
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read the rules of the decapsulation program: %w", err)
	}
	return all, nil
}

// readVIPs returns the rules by address.
func readVIPs(m *decapMaps) ([]VIP, error) {
	rules, err := entries[decapDecapAddr, decapDecapVip](m.DecapVips)
	if err != nil {
		return nil, err
	}
	sources, err := entries[decapDecapSource, uint8](m.DecapSources)
	if err != nil {
		return nil, err
	}
	var vips []VIP
	for k := range rules {
		v := VIP{Address: keyAddr(k)}
		for s := range sources {
			if s.Vip == k {
				v.Directors = append(v.Directors, keySource(s))
			}
		}
		slices.SortFunc(v.Directors, netip.Prefix.Compare)
		vips = append(vips, v)
	}
	slices.SortFunc(vips, func(a, b VIP) int { return a.Address.Compare(b.Address) })
	return vips, nil
}

// readExits returns how many packets left by each exit, of all CPUs.
func readExits(m *ebpf.Map) (map[string]uint64, error) {
	exits := map[string]uint64{}
	for e, name := range exitNames {
		var perCPU []uint64
		if err := m.Lookup(uint32(e), &perCPU); err != nil {
			return nil, fmt.Errorf("read the counters of the decapsulation program: %w", err)
		}
		for _, n := range perCPU {
			exits[name] += n
		}
	}
	return exits, nil
}

// mapsOf opens the maps of an attached program; all attached ones share them.
func mapsOf(held []hook.Hook) (*decapMaps, error) {
	first := held[0]
	prog, err := ebpf.NewProgramFromID(first.Program)
	if err != nil {
		return nil, fmt.Errorf("open the decapsulation program on %s: %w", first.Interface, err)
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return nil, fmt.Errorf("read about the decapsulation program: %w", err)
	}
	ids, _ := info.MapIDs()
	var m decapMaps
	for _, id := range ids {
		if err := m.adopt(id); err != nil {
			m.Close()
			return nil, fmt.Errorf("open the maps of the decapsulation program: %w", err)
		}
	}
	if m.DecapVips == nil || m.DecapSources == nil || m.DecapExits == nil {
		m.Close()
		return nil, errors.New("the decapsulation program is of another version of naru: run naru real up again")
	}
	return &m, nil
}

// adopt opens a map and puts it into the field of its name.
func (m *decapMaps) adopt(id ebpf.MapID) error {
	opened, err := ebpf.NewMapFromID(id)
	if err != nil {
		return err
	}
	info, err := opened.Info()
	if err != nil {
		opened.Close()
		return err
	}
	switch info.Name {
	case decapMapDecapVips:
		m.DecapVips = opened
	case decapMapDecapSources:
		m.DecapSources = opened
	case decapMapDecapExits:
		m.DecapExits = opened
	default:
		opened.Close()
	}
	return nil
}
