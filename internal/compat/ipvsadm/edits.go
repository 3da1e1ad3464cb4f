package ipvsadm

import (
	"context"
	"net/netip"

	"naru/internal/model"
)

// ops are the edits that the verbs ask for.
var ops = map[Verb]model.EditOp{
	AddService: model.AddService, EditService: model.EditService, DeleteService: model.DeleteService,
	AddReal: model.AddReal, EditReal: model.EditReal, DeleteReal: model.DeleteReal,
	Clear: model.Clear, Zero: model.Zero, SetTimeouts: model.SetTimeouts,
}

// edit returns the edit that c asks for, its names looked up.
func (t *tool) edit(ctx context.Context, c Command) (model.Edit, error) {
	e := model.Edit{Op: ops[c.Verb], Timeouts: c.Timeouts}
	if c.Protocol == 0 {
		return e, nil
	}
	key, err := t.key(ctx, c)
	if err != nil {
		return e, err
	}
	e.Service = model.Service{Key: key, Scheduler: c.Scheduler}
	if c.Real == (Place{}) {
		return e, nil
	}
	at, ok := t.names.resolve(ctx, c.Protocol, c.Real)
	if !ok {
		return e, errReal
	}
	e.Real = model.Real{Forward: c.Forward, Weight: c.Weight}
	e.Real.Address, err = t.realAddress(ctx, c, key, at)
	return e, err
}

// key returns the service that c names.
func (t *tool) key(ctx context.Context, c Command) (model.Key, error) {
	at, ok := t.names.resolve(ctx, c.Protocol, c.Service)
	if !ok {
		return model.Key{}, errService
	}
	return model.Key{Protocol: c.Protocol, VIP: at.Addr(), Port: at.Port()}, nil
}

// realAddress returns which real c means. As in ipvsadm 1.31 a port that is not named
// is the service's, and one that is named is the service's too unless the forward can
// map ports; only -d takes the line as it stands.
//
// One rule is ours: -e does not change the forward of a real that the configuration
// file owns because -m was not repeated, so that it must be found by its own port.
func (t *tool) realAddress(ctx context.Context, c Command, key model.Key, at netip.AddrPort) (netip.AddrPort, error) {
	forced := netip.AddrPortFrom(at.Addr(), key.Port)
	switch {
	case c.Real.Port == "":
		return forced, nil
	case c.Verb == DeleteReal, c.Forward == model.NAT, at == forced:
		return at, nil
	case c.Verb == EditReal && !c.Forwarded:
		owned, err := t.fileOwns(ctx, key, at)
		if owned || err != nil {
			return at, err
		}
	}
	return forced, nil
}

// fileOwns says whether the configuration file names that real. The table is read once
// for all lines of a restore.
func (t *tool) fileOwns(ctx context.Context, key model.Key, at netip.AddrPort) (bool, error) {
	if t.table == nil {
		table, err := t.services(ctx)
		if err != nil {
			return false, err
		}
		t.table = &table
	}
	for _, s := range t.table.Services {
		for _, r := range s.Reals {
			if s.Key == key && r.Address == at {
				return r.Owner.Kind == model.FileOwner, nil
			}
		}
	}
	return false, nil
}
