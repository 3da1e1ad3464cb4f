package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"naru/internal/cli"
	"naru/internal/daemon"
)

// planOptions are the flags of naru plan.
type planOptions struct {
	instance instanceFlag
}

func newPlan(e cli.Env) *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "say what running this file would change, and what it would leave alone",
		Long: `Plan reads the file (default /etc/naru/naru.yaml) and this machine, and says what
'naru run' or 'naru reload' would change: services, addresses, kernel settings, the
interfaces the packet path goes on. It also says what it would leave alone, such as
another program's hook. It changes nothing. It needs root to read the packet path.`,
		Example: `  naru plan
  naru plan new.yaml`,
		Args: atMost(1, "one FILE"),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e, args) },
	}
	o.instance.addFlag(c.Flags())
	return c
}

func (o *planOptions) run(ctx context.Context, e cli.Env, args []string) error {
	instance, err := o.instance.resolve(e)
	if err != nil {
		return err
	}
	if err := needRoot("naru plan"); err != nil {
		return err
	}
	log, err := newLog(e.Stderr, slog.LevelWarn.String(), false)
	if err != nil {
		return err
	}
	file := ""
	if len(args) > 0 {
		file = args[0]
	}
	lines, err := daemon.Plan(ctx, daemon.Options{Config: file, Instance: instance, Log: log, Version: version()})
	if err != nil {
		return err
	}
	return writeLines(e.Stdout, lines, "nothing would change")
}
