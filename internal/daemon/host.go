package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"naru/internal/api"
	"naru/internal/config"
	"naru/internal/control"
	"naru/internal/dataplane"
	"naru/internal/hostnet"
	"naru/internal/model"
	"naru/internal/state"
)

// host brings this machine to what the configuration and control's state ask of it:
// addresses, sysctls, and the interfaces that hold the packet path. It also carries
// what the machine says to control.
type host struct {
	log     *slog.Logger
	control *control.Control
	watcher *hostnet.Watcher
	dp      *dataplane.Dataplane
	manager *hostnet.Manager
	qdiscs  *state.File

	mu     sync.Mutex // the fields below, and the manager
	wanted *config.Config
	asked  time.Time // when preflight asked who else answers for wanted's VIPs
	held   []api.Hook
	wrong  []string
}

// askedTime is how long nobody need be asked again who answers for a VIP.
const askedTime = 3 * time.Second

// recheck is how often the machine is looked at though nobody said that it changed:
// an interface that came back holds no program.
const recheck = 5 * time.Second

func newHost(d *daemon, m *hostnet.Manager, qdiscs *state.File, wanted *config.Config) *host {
	return &host{
		log: d.Log, control: d.control, watcher: d.watcher, dp: d.dp, manager: m, qdiscs: qdiscs,
		wanted: wanted, asked: time.Now(),
	}
}

// String names the task.
func (h *host) String() string { return "host" }

// Run follows control's state and the watcher's until ctx ends.
func (h *host) Run(ctx context.Context) error {
	for {
		snapshot := h.control.Snapshot()
		if snapshot.Revision > 0 {
			h.settle(ctx, snapshot)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-snapshot.Superseded():
		case update := <-h.watcher.Updates():
			h.control.SetHost(update)
		case <-time.After(recheck):
		}
	}
}

func (h *host) config() *config.Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wanted
}

// bring makes c what the host is brought to from now on, brings it there, and returns
// what could not be done.
func (h *host) bring(ctx context.Context, c *config.Config) []string {
	h.mu.Lock()
	h.wanted, h.asked = c, time.Now()
	h.mu.Unlock()
	h.settle(ctx, h.control.Snapshot())
	return h.faults()
}

// settle does what the state asks of the machine. What fails is a fault that status
// shows, and is tried again at the next occasion.
func (h *host) settle(ctx context.Context, s *control.Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	vips, reals := s.Addresses()
	h.watcher.Watch(reals, vips)
	var wrong []string
	if err := h.attach(vips, reals); err != nil {
		wrong = append(wrong, sentences(err)...)
	}
	changes, err := h.manager.Set(ctx, hostWant(h.wanted, natInUse(s), time.Since(h.asked) < askedTime))
	for _, c := range changes {
		h.log.Info("host", "change", c.Text, "kept", c.Kept)
	}
	if err != nil && ctx.Err() == nil {
		wrong = append(wrong, sentences(err)...)
	}
	for _, w := range wrong {
		if !slices.Contains(h.wrong, w) {
			h.log.Error("host", "fault", w)
		}
	}
	h.wrong = wrong
}

// attach puts the packet path on the interfaces that lead to the VIPs and reals, or on
// those that the configuration lists.
func (h *host) attach(vips, reals []netip.Addr) error {
	leading, fault := leads(h.wanted, vips, reals)
	choices, made, err := h.dp.Attach(hookWant(h.wanted, leading))
	if err == nil {
		err = fault
	}
	if len(made) > 0 {
		err = joinSave(err, h.qdiscs, made)
	}
	have, errList := dataplane.Hooks()
	if errList != nil {
		return errList
	}
	h.held = nil
	for _, k := range have {
		hook := api.Hook{Interface: k.Interface, Kind: string(k.Kind), Choice: choices[k.Interface]}
		if i := slices.IndexFunc(leading, func(l hostnet.Leading) bool { return l.Name == k.Interface }); i >= 0 {
			hook.Why = leading[i].Why
		}
		h.held = append(h.held, hook)
	}
	return err
}

// hookWant says where each of the interfaces is to hold the packet path.
func hookWant(c *config.Config, leading []hostnet.Leading) []dataplane.Want {
	at := map[config.Hook]dataplane.At{config.HookAuto: dataplane.Auto, config.HookNative: dataplane.Native, config.HookTC: dataplane.TC}
	var all []dataplane.Want
	for _, l := range leading {
		w := dataplane.Want{Interface: l.Name}
		for _, i := range c.Interfaces {
			if i.Name == l.Name {
				w.At = at[i.Hook]
			}
		}
		all = append(all, w)
	}
	return all
}

// joinSave adds the qdiscs that were made to those recorded.
func joinSave(err error, f *state.File, made []string) error {
	var all []string
	if errLoad := f.Load(&all); errLoad != nil {
		return errLoad
	}
	for _, q := range made {
		if !slices.Contains(all, q) {
			all = append(all, q)
		}
	}
	if errSave := f.Save(all); errSave != nil {
		return errSave
	}
	return err
}

// leads returns the interfaces that are to hold the packet path, each once.
func leads(c *config.Config, vips, reals []netip.Addr) ([]hostnet.Leading, error) {
	if len(c.Interfaces) > 0 {
		var all []hostnet.Leading
		for _, i := range c.Interfaces {
			all = append(all, hostnet.Leading{Name: i.Name, Why: "listed in the configuration"})
		}
		return all, nil
	}
	return hostnet.Interfaces(vips, reals)
}

// hostWant is what the configuration and the state ask of the machine's addresses and
// sysctls: the file's VIPs if they are ours, and forwarding if a real needs NAT, whose
// own packets come through the director as their gateway. asked says that preflight has
// just found nobody else answering for the VIPs.
func hostWant(c *config.Config, nat, asked bool) hostnet.Want {
	var w hostnet.Want
	for _, vip := range ownVIPs(c) {
		place, err := hostnet.VIPInterface(vip)
		if err != nil {
			continue // preflight refused it, or its interface has gone: the watcher tells
		}
		w.Addresses = append(w.Addresses, hostnet.Address{Prefix: netip.PrefixFrom(vip, vip.BitLen()), Interface: place, Announce: true, Asked: asked})
	}
	if nat {
		w.Sysctls = append(w.Sysctls, hostnet.Sysctl{Key: "net/ipv4/ip_forward", Value: "1"})
	}
	return w
}

func natInUse(s *control.Snapshot) bool {
	for i := range s.Services {
		for j := range s.Services[i].Reals {
			if s.Services[i].Reals[j].Forward == model.NAT {
				return true
			}
		}
	}
	return false
}

// hooks returns the interfaces that hold the packet path.
func (h *host) hooks() []api.Hook {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.held)
}

// faults returns what could not be done.
func (h *host) faults() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.wrong)
}

// sentences returns each of joined errors as one.
func sentences(err error) []string {
	many, joined := err.(interface{ Unwrap() []error })
	if !joined {
		return []string{fmt.Sprint(err)}
	}
	var all []string
	for _, one := range many.Unwrap() {
		all = append(all, sentences(one)...)
	}
	return all
}
