package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"naru/internal/lab"
	"naru/internal/model"
)

// requests is how many each forward carries: ten by each real.
const requests = 10 * reals

// stories say what each forward is, in the guides' order.
var stories = map[model.Forward]string{
	model.DR:  "dr, direct routing: the director rewrites the MAC address, the real answers the client itself",
	model.NAT: "nat: the director rewrites addresses, replies come back through it",
	model.TUN: "tun: the director wraps packets in IP-in-IP, the real unwraps them and answers the client itself",
}

// showForward sends requests by one forward. Its error is that of an interrupt.
func (d *demo) showForward(ctx context.Context, f model.Forward) error {
	d.say.title(stories[f])
	d.say.command("real1, real2, real3", append([]string{"naru"}, realUp(f)...)...)
	d.say.command(lab.Director, "cat", d.config())
	d.say.block("", configuration(f))
	d.say.command(lab.Director, "naru", "reload")
	if err := d.use(ctx, f); err != nil {
		d.fail(ctx, f.String(), err)
		return ctx.Err()
	}
	d.check(ctx, f.String(), func(ctx context.Context) (string, error) {
		d.say.now("sending %d requests", requests)
		count, err := d.web.askMany(ctx, requests)
		if err != nil {
			return "", err
		}
		table, err := d.ipvsadm(ctx, "-Ln")
		if err != nil {
			return "", err
		}
		d.say.block("", table)
		return fmt.Sprintf("%d requests, each on a conn of its own: %s", requests, count), byTurns(count, reals)
	})
	return ctx.Err()
}

// use makes the cluster forward in one way: the reals first, then the director.
func (d *demo) use(ctx context.Context, f model.Forward) error {
	for i := 1; i <= reals; i++ {
		d.say.now("setting up %s for %s", lab.Real(i), f)
		if err := d.setUpReal(ctx, lab.Real(i), f); err != nil {
			return err
		}
	}
	d.say.now("configuring the director for %s", f)
	if err := os.WriteFile(d.config(), []byte(configuration(f)), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if _, err := d.exec(ctx, lab.Director, d.naru, "reload", "--instance", d.Instance); err != nil {
		return err
	}
	d.forward = f
	return d.waitReachable(ctx)
}

// setUpReal is what an administrator does on each real.
func (d *demo) setUpReal(ctx context.Context, node string, f model.Forward) error {
	if f != d.forward { // the first is dr, and finds the real as it was made
		down := []string{"real", "down", "--vip", lab.VIP().String(), "--instance", d.realInstance(node)}
		if _, err := d.exec(ctx, node, d.naru, down...); err != nil {
			return err
		}
	}
	_, err := d.exec(ctx, node, d.naru, append(realUp(f), "--instance", d.realInstance(node))...)
	return err
}

// realUp is the command that readies a real for a forward.
func realUp(f model.Forward) []string {
	command := []string{"real", "up", "--vip", lab.VIP().String(), "--forward", f.String()}
	switch f {
	case model.NAT:
		command = append(command, "--gateway", lab.DirectorBack().String())
	case model.TUN:
		command = append(command, "--director", lab.DirectorFront().String())
	}
	return command
}

// address returns where a forward finds a real.
func address(i int, f model.Forward) netip.Addr {
	if f == model.NAT {
		return lab.RealBack(i)
	}
	return lab.RealFront(i)
}

func configuration(f model.Forward) string {
	var addrs []string
	for i := 1; i <= reals; i++ {
		addrs = append(addrs, address(i, f).String())
	}
	return lines(
		"services:",
		"  - name: web",
		"    vip: "+lab.VIP().String(),
		"    port: 80",
		"    scheduler: rr",
		"    forward: "+f.String(),
		"    reals: ["+strings.Join(addrs, ", ")+"]",
	)
}

// waitReachable waits until the director holds the VIP and knows the way to all reals,
// as the API says. It sends no request: that would take somebody's turn.
func (d *demo) waitReachable(ctx context.Context) error {
	d.say.now("waiting until the director reaches the reals")
	err := until(ctx, 10*time.Second, func(ctx context.Context) error {
		s, err := d.service(ctx)
		if err != nil {
			return err
		}
		if !s.Held {
			return errors.New("the director does not hold the VIP")
		}
		for _, r := range s.Reals {
			if !r.Reachable {
				return fmt.Errorf("the director does not know the way to %s", r.Address)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for the reals: %w", err)
	}
	return nil
}
