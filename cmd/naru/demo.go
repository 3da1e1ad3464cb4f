package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/demo"
)

// demoOptions are the flags of naru demo.
type demoOptions struct {
	keep     bool
	clean    bool
	instance string
}

func newDemo(e cli.Env) *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "show a whole cluster at work on this machine",
		Long: `Demo builds a client, a director and three real servers in network namespaces of this
machine, and sends real HTTP requests through them by dr, by nat and by tun. Then it
sets a real's weight to 0, and kills the daemon in mid-traffic and starts it again. Each
line says whether it went as it should. It ends in less than half a minute and leaves
nothing behind.

With --keep the cluster stays, and demo prints how to enter its nodes and what to try.
It needs root; nothing leaves the namespaces.`,
		Example: `  naru demo
  naru demo --keep
  naru demo --clean                    remove a cluster that was kept`,
		Args: noArguments(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	c.Flags().BoolVar(&o.keep, "keep", false, "leave the cluster running")
	c.Flags().BoolVar(&o.clean, "clean", false, "only remove what an earlier demo left")
	c.Flags().StringVar(&o.instance, "instance", demo.DefaultInstance, "the `NAME` of this demo, if several are to run at once")
	c.AddCommand(newDemoServe())
	return c
}

func (o *demoOptions) run(ctx context.Context, e cli.Env) error {
	if err := api.CheckInstance(o.instance); err != nil {
		return cli.Errorf(cli.Usage, "%w", err)
	}
	if o.clean && o.keep {
		return cli.Errorf(cli.Usage, "read command line: --keep and --clean exclude each other")
	}
	if o.clean {
		return demo.Clean(o.instance)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	return demo.Run(ctx, demo.Options{Keep: o.keep, Env: e, Naru: program, Instance: o.instance})
}

// newDemoServe is a real of the demo: the servers behind the VIP.
func newDemoServe() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "serve",
		Short: "be the servers of a real in the demo",
		Long: `Serve answers HTTP on port 80 and UDP on port 53 with a name, until it is ended. The
demo runs one in each of its reals.`,
		Example: `  naru demo serve --name real1`,
		Hidden:  true,
		Args:    noArguments(),
		RunE:    func(c *cobra.Command, _ []string) error { return demo.Serve(c.Context(), name) },
	}
	c.Flags().StringVar(&name, "name", "", "the `NAME` it answers with")
	return c
}
