package hostnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"sync"
	"syscall"
)

// errThere is a kernel's answer to the adding of an address that is there already.
var errThere = errors.New("the address is there already")

// Plan returns what Set would do, in order, and what it could not do.
func (m *Manager) Plan(want Want) ([]Change, error) {
	_, steps, err := m.decide(want)
	if err != nil {
		return nil, err
	}
	return report(steps)
}

// Set makes the host hold what is wanted, and no more of what naru once added. It
// returns what it did and what it kept. The error joins every fault; what does not
// depend on them is done, so that calling Set again does the rest.
func (m *Manager) Set(ctx context.Context, want Want) ([]Change, error) {
	was, steps, err := m.decide(want)
	if err != nil {
		return nil, err
	}
	ahead := was.ahead(steps)
	if err := m.save(was, ahead); err != nil {
		return nil, err
	}
	m.carryOut(ctx, steps)
	done, fault := report(steps)
	return done, errors.Join(fault, m.save(ahead, was.settle(steps)))
}

// Clear undoes all that earlier Sets did.
func (m *Manager) Clear(ctx context.Context) ([]Change, error) { return m.Set(ctx, Want{}) }

// decide loads the ledger, looks at the host and decides.
func (m *Manager) decide(want Want) (was record, steps []step, err error) {
	if was, err = m.load(); err != nil {
		return was, nil, err
	}
	h := host{sysctls: map[string]reading{}}
	if h.links, h.held, err = m.kernel.look(); err != nil {
		return was, nil, fmt.Errorf("list the host's addresses: %w", err)
	}
	for path := range was.Sysctls {
		h.sysctls[path] = m.read(path)
	}
	for _, s := range want.Sysctls {
		if path, err := sysctlPath(s.Key); err == nil {
			h.sysctls[path] = m.read(path)
		}
	}
	return was, decide(want, was, h), nil
}

func (m *Manager) read(path string) reading {
	value, err := m.kernel.sysctl(path)
	return reading{value, err, errors.Is(err, fs.ErrNotExist)}
}

// load returns the ledger's record, empty if it is of an earlier boot.
func (m *Manager) load() (record, error) {
	var r record
	if err := m.ledger.Load(&r); err != nil {
		return record{}, fmt.Errorf("read the record of what naru changed on this host: %w", err)
	}
	boot, err := m.kernel.sysctl("kernel/random/boot_id")
	if err != nil {
		return record{}, fmt.Errorf("read this boot's id: %w", err)
	}
	if r.Boot != boot {
		r = record{Boot: boot}
	}
	return r.clone(), nil
}

// save writes the record if it differs from the one saved before.
func (m *Manager) save(before, r record) error {
	if reflect.DeepEqual(before, r) {
		return nil
	}
	if err := m.ledger.Save(r); err != nil {
		return fmt.Errorf("record what naru changes on this host: %w", err)
	}
	return nil
}

// carryOut does the steps and notes in each why it was not done. What another step
// is needed for waits for it: a silent address for the sysctls that keep it silent,
// the restoring of sysctls for the addresses they kept silent.
func (m *Manager) carryOut(ctx context.Context, steps []step) {
	unset, stuck, probed := false, false, false
	for i := range steps {
		s := &steps[i]
		if s.verb == addAddress && !probed { // not before ours are removed
			m.probe(ctx, steps)
			probed = true
		}
		switch {
		case s.err != nil || s.verb >= forget:
		case ctx.Err() != nil:
			s.err = fmt.Errorf("%s: %w", s.text, ctx.Err())
		case s.verb == addAddress && !s.address.Announce && unset:
			s.err = fmt.Errorf("%s: held back, because without every sysctl set the host might answer ARP for it", s.text)
		case s.verb == restoreSysctl && stuck:
			s.err = fmt.Errorf("%s: held back, because an address it kept silent is still there", s.text)
		default:
			m.do(s)
		}
		unset = unset || s.verb == setSysctl && s.err != nil
		stuck = stuck || s.verb == removeAddress && s.err != nil
		if s.err == nil && s.verb < forget {
			m.log.Debug("host changed", "change", s.text)
		}
	}
}

// do carries out one step.
func (m *Manager) do(s *step) {
	var err error
	switch s.verb {
	case removeAddress:
		err = m.kernel.remove(s.address)
	case setSysctl, restoreSysctl:
		err = m.kernel.setSysctl(s.path, s.value)
	case addAddress:
		err = m.kernel.add(s.address)
	}
	if err != nil {
		s.err = fmt.Errorf("%s: %w", s.text, mend(err, s))
		return
	}
	if !s.arp {
		return
	}
	// The address is there and naru's, whatever becomes of the announcement.
	if err := m.lan.announce(s.address.Interface, s.address.Prefix.Addr()); err != nil {
		m.log.Warn("VIP not announced: neighbours find it when their ARP entries expire",
			"vip", s.address.Prefix.Addr(), "interface", s.address.Interface, "err", err)
	}
}

// probes is how many VIPs are probed at once: each takes most of a second.
const probes = 32

// probe asks the LAN whether somebody else answers for the addresses to be added.
func (m *Manager) probe(ctx context.Context, steps []step) {
	var asked []*step
	for i := range steps {
		if s := &steps[i]; s.err == nil && s.arp && !s.address.Asked {
			asked = append(asked, s)
		}
	}
	for some := range slices.Chunk(asked, probes) {
		var wg sync.WaitGroup
		for _, s := range some {
			wait, err := m.lan.probe(s.address.Interface, s.address.Prefix.Addr())
			if err != nil {
				s.err = fmt.Errorf("%s: %w", s.text, err)
				continue
			}
			wg.Go(func() { s.err = conflict(ctx, s, wait) })
		}
		wg.Wait()
	}
}

// conflict waits for the end of a probe and says why the VIP cannot be added.
func conflict(ctx context.Context, s *step, wait waiter) error {
	owner, found, err := wait(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", s.text, err)
	}
	if found {
		return fmt.Errorf("VIP %s: somebody else (%s) answers for it on %s: take it off that machine or stop it from answering ARP, or write \"vips: watch\" if that machine is to hold it",
			s.address.Prefix.Addr(), owner, s.address.Interface)
	}
	return nil
}

// report lists what the steps did or kept, for people, and joins their errors.
func report(steps []step) (changes []Change, err error) {
	var faults []error
	for _, s := range steps {
		if s.err != nil {
			faults = append(faults, s.err)
		} else if s.text != "" {
			changes = append(changes, Change{Text: s.text, Kept: s.verb >= forget})
		}
	}
	return changes, errors.Join(faults...)
}

// mend adds to a kernel's refusal what can be done about it.
func mend(err error, s *step) error {
	switch {
	case errors.Is(err, errThere):
		return errors.New("somebody added it this moment: it is theirs and stays")
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("/proc/sys is read-only here, as in a container: set %s=%s on the host or when starting the container", sysctlName(s.path), s.value)
	case errors.Is(err, fs.ErrPermission):
		return errors.New("not permitted: run as root, or with CAP_NET_ADMIN")
	}
	return err
}
