// Package demo is naru demo: a whole LVS cluster in network namespaces of one machine
// with real HTTP through it, by each forward, and past a dead daemon. Everything that
// naru does in it is done by the real program, as a user would run it; the demo only
// builds the network, asks like a client, and judges the answers.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/lab"
	"naru/internal/model"
)

// Options say how to run the demo.
type Options struct {
	Keep     bool // leave the cluster running
	Env      cli.Env
	Naru     string // path of the naru program
	Instance string // of the daemon; demos of two instances can run at once
}

// Run shows the demo. Its error, if any, is a *cli.Error that says why not every line
// passed. With Keep, a cluster of which every line was shown stays, whatever the verdicts;
// else nothing of the demo is left when Run returns.
func Run(ctx context.Context, o Options) error {
	if err := errors.Join(api.CheckInstance(o.Instance), able()); err != nil {
		return err
	}
	started := time.Now()
	d := &demo{Options: o, place: place{o.Instance}, say: newSay(o.Env)}
	err := d.run(ctx)
	if ctx.Err() != nil {
		err = cli.Errorf(cli.Failed, "show demo: interrupted; the cluster is removed")
	}
	kept := o.Keep && err == nil
	if kept {
		d.lab.Leave()
	} else if err := d.close(); err != nil {
		d.say.verdict("clean up", "", err)
	}
	if err != nil {
		return err
	}
	d.say.summary(time.Since(started))
	if kept {
		d.tellKept()
	}
	if d.say.failed > 0 {
		return cli.Errorf(cli.Failed, "show demo: %d of %d lines did not pass", d.say.failed, d.say.failed+d.say.passed)
	}
	return nil
}

// Clean removes what a demo left: one that was kept, or one that was killed.
func Clean(instance string) error {
	if err := errors.Join(api.CheckInstance(instance), able()); err != nil {
		return err
	}
	p := place{instance}
	if err := lab.Clean(p.prefix()); err != nil {
		return labError(err)
	}
	if err := p.removeFiles(); err != nil {
		return cli.Errorf(cli.Failed, "clean up demo: %w", err)
	}
	return nil
}

// Serve runs a real's servers in the caller's network namespace until ctx ends. The
// demo runs it as a process of its own, so that a kept cluster goes on answering.
func Serve(ctx context.Context, name string) error {
	s, err := lab.Listen(lab.DefaultPorts)
	if err != nil {
		return err
	}
	return s.Serve(ctx, name)
}

func able() error {
	if err := lab.Able(); err != nil {
		return cli.Errorf(cli.Unable, "build cluster: %w", err).
			WithHint("run it as root, on a Linux machine or in a privileged container")
	}
	return nil
}

// labError is why the cluster could not be built or removed.
func labError(err error) error {
	e := cli.Errorf(cli.Failed, "%w", err)
	if errors.Is(err, lab.ErrInUse) {
		return e.WithHint("another naru demo is running: wait until it has ended")
	}
	return e
}

// demo is one run.
type demo struct {
	Options
	place
	say     *say
	lab     *lab.Lab
	naru    string // what to start: o.Naru, or a copy that outlives go run
	daemon  *process
	web     *asker
	forward model.Forward
}

// run shows every line. An error means that the rest could not be shown.
func (d *demo) run(ctx context.Context) error {
	d.say.title("naru demo: a Linux Virtual Server cluster in network namespaces of this machine")
	if err := d.build(ctx); err != nil {
		return err
	}
	for _, f := range []model.Forward{model.DR, model.NAT, model.TUN} {
		if err := d.showForward(ctx, f); err != nil {
			return err
		}
	}
	d.say.title("the daemon is not the packet path")
	d.say.now("going back to dr")
	if err := d.use(ctx, model.DR); err != nil {
		d.fail(ctx, "back to dr", err)
		return ctx.Err()
	}
	d.check(ctx, "weight 0", d.showQuiesce)
	d.check(ctx, "kill -9", d.showKill)
	if !d.Keep {
		d.check(ctx, "naru off", d.showOff)
	}
	return ctx.Err()
}

// check runs one line and prints its verdict, and the daemon's last words if it did
// not pass.
func (d *demo) check(ctx context.Context, name string, line func(context.Context) (string, error)) {
	if ctx.Err() != nil {
		return
	}
	text, err := line(ctx)
	if err != nil {
		d.fail(ctx, name, err)
		return
	}
	d.say.verdict(name, text, nil)
}

func (d *demo) fail(ctx context.Context, name string, err error) {
	if ctx.Err() != nil {
		return // an interrupt says nothing about naru
	}
	d.say.verdict(name, "", err)
	if d.daemon != nil {
		d.say.block("the daemon's log ends:", d.daemon.tail())
	}
}

// close removes the cluster and every file of the demo, if they are this demo's.
func (d *demo) close() error {
	if d.lab == nil {
		return nil
	}
	return errors.Join(d.lab.Close(), d.removeFiles())
}

// tellKept says what can be done with a cluster that stays.
func (d *demo) tellKept() {
	enter := "nsenter --net=" + d.lab.Path("%s")
	in := func(node, command string) string { return "  " + fmt.Sprintf(enter, node) + " " + command }
	vip := serviceAddress().Addr()
	io.WriteString(d.Env.Stdout, lines(
		"",
		"The cluster stays. Its nodes:",
		in(lab.Client, "bash"),
		in(lab.Director, "bash"),
		in(lab.Real(1), "bash")+"    (likewise real2, real3)",
		"Try:",
		in(lab.Client, fmt.Sprintf("curl http://%s/", vip)),
		in(lab.Director, d.home()+"/ipvsadm -Ln"),
		in(lab.Director, fmt.Sprintf("%s/ipvsadm -e -t %s -r %s:80 -g -w 0", d.home(), serviceAddress(), lab.RealFront(2))),
		in(lab.Real(1), d.home()+"/naru real status --instance "+d.realInstance(lab.Real(1))),
		fmt.Sprintf("  kill -9 %d    (the daemon; curl goes on)", d.daemon.pid()),
		in(lab.Director, fmt.Sprintf("%s/naru run --instance %s -c %s", d.home(), d.Instance, d.config())),
		"Remove it:",
		"  "+d.home()+"/naru demo --clean"+d.flag(),
	))
}
