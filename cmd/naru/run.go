package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"naru/internal/cli"
	"naru/internal/daemon"
)

// runOptions are the flags of naru run.
type runOptions struct {
	instance instanceFlag
	config   string
	logLevel string
	logJSON  bool
}

func newRun(e cli.Env) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run",
		Short: "be the director: forward, and answer the other commands",
		Long: `Run is the director. It loads the packet path, puts it on the interfaces, makes the
services of the file and answers the other commands. It stays in the foreground and
tells systemd when it is ready. Without a file it carries what ipvsadm asks for.

SIGHUP reads the file again, as 'naru reload' does. SIGTERM or Ctrl-C ends the daemon
but not the forwarding: conns go on, and the next run takes them over. 'naru off' ends
the forwarding too.

It needs root and a kernel of 6.1 or later.`,
		Example: `  naru run                             the file is /etc/naru/naru.yaml, if it is there
  naru run -c naru.yaml --log-level debug`,
		Args: noArguments(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	o.instance.addFlag(c.Flags())
	c.Flags().StringVarP(&o.config, "config", "c", "", "the configuration `FILE` (default /etc/naru/naru.yaml if it is there)")
	c.Flags().StringVar(&o.logLevel, "log-level", "info", "log from this `LEVEL`: debug, info, warn or error")
	c.Flags().BoolVar(&o.logJSON, "log-json", false, "log as JSON, one object a line")
	return c
}

func (o *runOptions) run(ctx context.Context, e cli.Env) error {
	log, err := newLog(e.Stderr, o.logLevel, o.logJSON)
	if err != nil {
		return err
	}
	instance, err := o.instance.starting(e)
	if err != nil {
		return err
	}
	if err := needRoot("naru run"); err != nil {
		return err
	}
	return daemon.Run(ctx, daemon.Options{Config: o.config, Instance: instance, Log: log, Version: version()})
}

// newLog returns the daemon's log.
func newLog(w io.Writer, level string, asJSON bool) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, cli.Errorf(cli.Usage, "read command line: log level %q is unknown", level).
			WithHint("use debug, info, warn or error")
	}
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})), nil
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}
