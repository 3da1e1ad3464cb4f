package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"naru/internal/api"
	"naru/internal/config"
	"naru/internal/control"
	"naru/internal/dataplane"
	"naru/internal/hook"
	"naru/internal/hostnet"
	"naru/internal/model"
	"naru/internal/plan"
	"naru/internal/state"
)

// Plan says in sentences what running the file would change on this machine, and what
// it would leave alone. It changes nothing, whether a daemon runs or not.
func Plan(ctx context.Context, o Options) ([]string, error) {
	path := configPath(o.Config)
	wanted, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	if err := preflight(ctx, wanted); err != nil {
		return nil, err
	}
	dir, err := state.Open(api.StateDir(o.Instance))
	if err != nil {
		return nil, err
	}
	var edits control.Edits
	if err := dir.File(editsFile).Load(&edits); err != nil {
		return nil, err
	}
	tables, limits, err := pinnedTables(o.Instance)
	if err != nil {
		return nil, unable(err)
	}
	f := file(path, wanted)
	vips, reals, nat := mentioned(f, edits)
	host, err := hostnet.Look(reals, vips)
	if err != nil {
		return nil, err
	}
	lines, err := control.Plan(f, edits, host, tables, limits)
	if err != nil {
		return nil, err
	}
	hooks, err := planHooks(wanted, vips, reals)
	if err != nil {
		return nil, err
	}
	changes, err := hostnet.New(dir.File(hostFile), o.Log).Plan(hostWant(wanted, nat, true))
	for _, c := range changes {
		lines = append(lines, c.Text)
	}
	return append(lines, hooks...), err
}

// pinnedTables reads the tables of the instance, if it has any.
func pinnedTables(instance string) (plan.Tables, plan.Limits, error) {
	pinned, err := dataplane.Pinned(api.BPFDir(instance))
	if err != nil || !pinned {
		return plan.Tables{Timeouts: model.DefaultTimeouts}, dataplane.DefaultLimits, err
	}
	d, err := dataplane.OpenTables(api.BPFDir(instance))
	if err != nil {
		return plan.Tables{}, plan.Limits{}, err
	}
	defer d.Close()
	t, err := d.Read()
	return t, d.Limits(), err
}

// mentioned returns the addresses that the file and the edits speak of, and whether a
// real of theirs needs NAT.
func mentioned(f control.File, e control.Edits) (vips, reals []netip.Addr, nat bool) {
	real := func(r model.Real) {
		reals = append(reals, r.Address.Addr())
		nat = nat || r.Forward == model.NAT
	}
	service := func(s *model.Service) {
		vips = append(vips, s.VIP)
		for _, r := range s.Reals {
			real(r)
		}
	}
	for i := range f.Services {
		service(&f.Services[i].Service)
	}
	for i := range e.Services {
		service(&e.Services[i])
	}
	for _, on := range e.OnFile {
		for _, r := range on.Reals {
			real(r)
		}
	}
	unique := func(all []netip.Addr) []netip.Addr {
		slices.SortFunc(all, netip.Addr.Compare)
		return slices.Compact(all)
	}
	return unique(vips), unique(reals), nat
}

// planHooks says where the packet path would go on and off.
func planHooks(c *config.Config, vips, reals []netip.Addr) ([]string, error) {
	leading, fault := leads(c, vips, reals)
	have, err := dataplane.Hooks()
	if err != nil {
		return nil, unable(err)
	}
	native, why, err := dataplane.Places(hookWant(c, leading))
	if err != nil {
		return nil, unable(err)
	}
	var lines []string
	for _, l := range leading {
		i := slices.IndexFunc(have, func(h dataplane.Hook) bool { return h.Interface == l.Name })
		switch {
		case i >= 0 && (have[i].Kind == hook.XDP) == native[l.Name]:
		case native[l.Name]:
			lines = append(lines, fmt.Sprintf("put the packet path on %s, which %s: native XDP, as %s; the link may pause for a moment", l.Name, l.Why, why[l.Name]))
		default:
			lines = append(lines, fmt.Sprintf("put the packet path on %s, which %s", l.Name, l.Why))
		}
	}
	for _, h := range have {
		if !slices.ContainsFunc(leading, func(l hostnet.Leading) bool { return l.Name == h.Interface }) {
			lines = append(lines, "take the packet path off "+h.Interface)
		}
	}
	if fault != nil {
		lines = append(lines, sentences(fault)...)
	}
	return lines, nil
}
