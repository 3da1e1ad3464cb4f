package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"naru/internal/cli"
	"naru/internal/daemon"
)

// offOptions are the flags of naru off.
type offOptions struct {
	instance instanceFlag
}

func newOff(e cli.Env) *cobra.Command {
	var o offOptions
	c := &cobra.Command{
		Use:   "off",
		Short: "end the forwarding and undo what the director did to this machine",
		Long: `Off stops the daemon if it runs, takes the packet path off the interfaces, removes the
VIPs that naru added and sets back the kernel settings that it changed. Conns through
the director end. It works with the daemon dead, and a second time.

What ipvsadm asked for stays in /var/lib/naru for the next run. It needs root.`,
		Example: `  naru off`,
		Args:    noArguments(),
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	o.instance.addFlag(c.Flags())
	return c
}

func (o *offOptions) run(ctx context.Context, e cli.Env) error {
	instance, err := o.instance.resolve(e)
	if err != nil {
		return err
	}
	if err := needRoot("naru off"); err != nil {
		return err
	}
	log, err := newLog(e.Stderr, slog.LevelWarn.String(), false)
	if err != nil {
		return err
	}
	done, err := daemon.Off(ctx, daemon.Options{Instance: instance, Log: log, Version: version()})
	if errOut := writeLines(e.Stdout, done, "nothing was on"); err == nil {
		err = errOut
	}
	return err
}
