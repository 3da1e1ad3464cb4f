// Package agent is one real server: the VIPs it answers for, what its host needs so
// that it can, and what is wrong with it.
//
// By dr and tun a real holds the VIP itself, on lo, and must not answer ARP for it: the
// director does. So Up first sets arp_ignore and arp_announce (ip-sysctl.rst; the
// kernel takes the greater of conf/all and the interface's), then adds the VIP, then,
// for tun, takes tunnels apart in BPF. By nat a real holds nothing; replies must go
// back through the director, which Up checks. Down goes the same way back.
//
// The record of the VIPs that are up is what "in use" means: removing one leaves what
// the others need. What was there before naru is left alone and never removed.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"naru/internal/decap"
	"naru/internal/hostnet"
	"naru/internal/model"
)

// VIP is a virtual address that this machine is a real server of.
type VIP struct {
	Address   netip.Addr    `json:"address"`
	Forward   model.Forward `json:"forward"`
	Directors []netip.Addr  `json:"directors,omitempty"` // tun: accepted outer sources; none: any
	Gateway   netip.Addr    `json:"gateway,omitzero"`    // nat: the director's address on this network
	Interface string        `json:"interface,omitempty"` // tun: where tunnels arrive; empty: everywhere
}

// silent says whether the VIP is held here and must not be answered for in ARP.
func (v VIP) silent() bool { return v.Forward != model.NAT }

// ErrKernel is what Up returns, wrapped, if the kernel cannot take tunnels apart.
var ErrKernel = decap.ErrKernel

// Store keeps one value across the process's death. Load of one never saved leaves v
// alone; Save must be durable when it returns.
type Store interface {
	Load(v any) error
	Save(v any) error
}

// Agent looks after the real server in the calling thread's network namespace. It is
// not for concurrent use, and two must not share a Store.
type Agent struct {
	store Store
	log   *slog.Logger
}

// New returns the Agent that remembers by store.
func New(store Store, log *slog.Logger) *Agent { return &Agent{store, log} }

// Up makes the machine a real server of the VIPs, and keeps it one of those that are
// up already. With whole, the VIPs are all that a file names: those of an earlier Up
// with whole that are not among them go down. It returns what it did, in sentences;
// the error joins all that is not as it must be, each a Fault where the mend is known.
func (a *Agent) Up(ctx context.Context, vips []VIP, whole bool) ([]string, error) {
	b, err := open(a.store)
	if err != nil {
		return nil, err
	}
	b.record.VIPs = merge(b.record.VIPs, vips, whole)
	if err := check(b.vips()); err != nil { // before anything is done
		return nil, err
	}
	if err := b.save(); err != nil { // first: what is up after a crash is on record
		return nil, err
	}
	done, err := a.apply(ctx, b)
	if err != nil {
		return done, err
	}
	facts, err := look()
	if err != nil {
		return done, err
	}
	var faults []error
	for _, f := range inspect(b.vips(), facts) {
		faults = append(faults, f)
	}
	if len(faults) == 0 {
		done = append(done, checked(vips)...)
	}
	return done, errors.Join(faults...)
}

// check says why the VIPs cannot be served here.
func check(vips []VIP) error {
	ports, err := hostnet.Survey()
	if err != nil {
		return err
	}
	want := wantOfDecap(vips, ports)
	if len(want.VIPs) == 0 {
		return nil
	}
	return errors.Join(checkInterfaces(want.Interfaces, ports), decap.Check())
}

// checked says what was found to be right without anything having been done.
func checked(vips []VIP) (said []string) {
	for _, v := range vips {
		if v.Forward == model.NAT {
			said = append(said, fmt.Sprintf("checked that replies of %s go back through %s; nat needs no more", v.Address, v.Gateway))
		}
	}
	return said
}

// Down ends the machine being a real server of the VIPs, or of all if none are named.
// A VIP that is not up is no error.
func (a *Agent) Down(ctx context.Context, vips ...netip.Addr) ([]string, error) {
	b, err := open(a.store)
	if err != nil {
		return nil, err
	}
	b.record.VIPs = slices.DeleteFunc(b.record.VIPs, func(e entry) bool {
		return len(vips) == 0 || slices.Contains(vips, e.Address)
	})
	done, err := a.apply(ctx, b)
	if err != nil { // another Down, or Up, does the rest: apply begins with what it finds
		return done, err
	}
	return done, b.save()
}

// merge replaces and adds VIPs by address.
func merge(was []entry, vips []VIP, whole bool) []entry {
	var now []entry
	for _, e := range was {
		again := slices.ContainsFunc(vips, func(v VIP) bool { return v.Address == e.Address })
		if !again && !(whole && e.Whole) {
			now = append(now, e)
		}
	}
	for _, v := range vips {
		now = append(now, entry{VIP: v, Whole: whole})
	}
	slices.SortFunc(now, func(a, b entry) int { return a.Address.Compare(b.Address) })
	return now
}

// apply makes the host as the record says: the VIPs first when they go, the sysctls
// first when they come (hostnet.Manager.Set), the program last.
func (a *Agent) apply(ctx context.Context, b *book) ([]string, error) {
	ports, err := hostnet.Survey()
	if err != nil {
		return nil, err
	}
	changes, err := hostnet.New(b.ledger(), a.log).Set(ctx, wantOfHost(b.vips(), ports, readSysctl))
	var done []string
	for _, c := range changes {
		done = append(done, c.Text)
	}
	if err != nil {
		return done, err
	}
	more, err := decapsulate(b, wantOfDecap(b.vips(), ports))
	return append(done, more...), err
}

// decapsulate makes the packet program as the record says.
func decapsulate(b *book, want decap.Want) ([]string, error) {
	before, err := decap.Read()
	if err != nil && len(want.VIPs) == 0 && len(b.record.Qdiscs) == 0 {
		return nil, nil // a kernel without BPF, and nothing asked of it
	}
	qdiscs, err := decap.Set(want)
	if len(qdiscs) > 0 {
		b.record.Qdiscs = append(b.record.Qdiscs, qdiscs...)
		err = errors.Join(err, b.save())
	}
	if err != nil {
		return nil, err
	}
	after, err := decap.Read()
	if err != nil {
		return nil, err
	}
	return describe(before, after), release(b, want)
}

// release takes back the clsact qdiscs that the program needs no more.
func release(b *book, want decap.Want) error {
	var kept []string
	for _, name := range b.record.Qdiscs {
		if slices.Contains(want.Interfaces, name) && len(want.VIPs) > 0 {
			kept = append(kept, name)
		} else if err := decap.Release(name); err != nil {
			return err
		}
	}
	b.record.Qdiscs = kept
	return b.save()
}

// describe says what changed in the packet program's hooks and VIPs.
func describe(before, after decap.State) (done []string) {
	for _, h := range after.Hooks {
		if !slices.Contains(before.Hooks, h) {
			done = append(done, fmt.Sprintf("attach the decapsulation program to %s by %s", h.Interface, h.Kind))
		}
	}
	for _, h := range before.Hooks {
		if !slices.Contains(after.Hooks, h) {
			done = append(done, fmt.Sprintf("detach the decapsulation program from %s", h.Interface))
		}
	}
	has := func(s decap.State, v decap.VIP) bool {
		return slices.ContainsFunc(s.VIPs, func(o decap.VIP) bool {
			return o.Address == v.Address && slices.Equal(o.Directors, v.Directors)
		})
	}
	for _, v := range after.VIPs {
		switch {
		case has(before, v):
		case len(v.Directors) == 0:
			done = append(done, fmt.Sprintf("decapsulate tunnels that carry packets for %s, whoever sends them", v.Address))
		default:
			var from []string
			for _, d := range v.Directors {
				from = append(from, d.Addr().String())
			}
			done = append(done, fmt.Sprintf("decapsulate tunnels that carry packets for %s, from %s only", v.Address, strings.Join(from, ", ")))
		}
	}
	return done
}
