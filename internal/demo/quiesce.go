package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"naru/internal/lab"
)

// quiet is the real whose weight the demo sets to 0.
const quiet = 2

// showQuiesce sets a real's weight to 0: it gets no new conns and keeps those it has.
func (d *demo) showQuiesce(ctx context.Context) (string, error) {
	holds, err := d.lab.Hold(ctx, reals, netip.Addr{}, serviceAddress())
	if err != nil {
		return "", fmt.Errorf("hold conns: %w", err)
	}
	defer holds.Close()
	name := lab.Real(quiet)
	i := slices.IndexFunc(holds, func(h *lab.Held) bool { return h.Real == name })
	if i < 0 {
		return "", fmt.Errorf("none of %d conns came to %s: %s", len(holds), name, tally(holds.Count()))
	}
	if err := d.setWeight(ctx, "0"); err != nil {
		return "", err
	}
	table, err := d.ipvsadm(ctx, "-Ln")
	if err != nil {
		return "", err
	}
	d.say.block("", table)
	moved, err := d.newConns(ctx, name)
	if err != nil {
		return "", err
	}
	if err := heldBy(ctx, holds[i], name); err != nil {
		return "", err
	}
	if err := d.setWeight(ctx, "1"); err != nil {
		return "", err
	}
	back, err := d.web.askMany(ctx, 2*reals)
	if err == nil {
		err = byTurns(back, reals)
	}
	return fmt.Sprintf("%s got no new conn (%s) and went on answering the one it had; with weight 1 it takes turns again (%s)", name, moved, back), err
}

func (d *demo) setWeight(ctx context.Context, weight string) error {
	real := netip.AddrPortFrom(address(quiet, d.forward), serviceAddress().Port())
	_, err := d.ipvsadm(ctx, "-e", "-t", serviceAddress().String(), "-r", real.String(), "-g", "-w", weight)
	return err
}

// newConns sends requests of which none may come to the named real.
func (d *demo) newConns(ctx context.Context, without string) (tally, error) {
	d.say.now("sending requests past %s", without)
	count, err := d.web.askMany(ctx, 6*(reals-1))
	if err != nil {
		return count, err
	}
	if count[without] > 0 {
		return count, fmt.Errorf("%s got %d new conns with weight 0", without, count[without])
	}
	return count, byTurns(count, reals-1)
}

// heldBy asks on a held conn, more than once.
func heldBy(ctx context.Context, h *lab.Held, name string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for range 3 {
		who, err := h.Ask(ctx)
		if err == nil && who != name {
			err = errors.New(who + " answered")
		}
		if err != nil {
			return fmt.Errorf("ask on the conn held by %s: %w", name, err)
		}
	}
	return nil
}
