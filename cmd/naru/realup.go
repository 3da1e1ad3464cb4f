package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"naru/internal/agent"
	"naru/internal/cli"
	"naru/internal/config"
)

// realUpOptions are the flags of naru real up.
type realUpOptions struct {
	instance realInstance
	vips     realVIPs
	config   string
}

func newRealUp(e cli.Env) *cobra.Command {
	var o realUpOptions
	c := &cobra.Command{
		Use:   "up",
		Short: "serve a VIP, or all of a file",
		Long: `Up makes the machine a real server of the VIPs given, or of those in the file, and
prints what it changed. VIPs that are up already stay up, except those that an earlier
version of the file named. A second time it changes nothing.

It exits with 1 if something is still wrong afterwards, such as another address of the
VIP that answers ARP, or, with nat, replies that do not go through the director. It
needs root.`,
		Example: `  naru real up                         the VIPs of /etc/naru/real.yaml
  naru real up --vip 192.0.2.10        forward dr
  naru real up --vip 192.0.2.10 --forward tun --director 192.0.2.2 --director 192.0.2.3
  naru real up --vip 192.0.2.10 --forward nat --gateway 10.0.0.10`,
		Args: noArguments(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e, c.Flags()) },
	}
	o.instance.addFlag(c.Flags())
	o.vips.addFlags(c.Flags())
	c.Flags().StringVarP(&o.config, "config", "c", "", "the `FILE` to take VIPs from (default "+realFile+" without --vip)")
	return c
}

func (o *realUpOptions) run(ctx context.Context, e cli.Env, flags *pflag.FlagSet) error {
	vips, whole, err := o.read(flags)
	if err != nil {
		return err
	}
	return o.instance.change(e, "naru real up", func(a *agent.Agent) ([]string, error) {
		return a.Up(ctx, vips, whole)
	})
}

// read returns the VIPs of the command line, or all those of the file.
func (o *realUpOptions) read(flags *pflag.FlagSet) (vips []agent.VIP, whole bool, err error) {
	if len(o.vips.vips) > 0 {
		if o.config != "" {
			return nil, false, cli.Errorf(cli.Usage, "read command line: --vip and -c exclude each other").
				WithHint("write the VIP into the file, or leave -c out")
		}
		vips, err = o.vips.parse()
		return vips, false, err
	}
	for _, name := range []string{"forward", "director", "gateway", "interface"} {
		if flags.Changed(name) {
			return nil, false, cli.Errorf(cli.Usage, "read command line: --%s says how a VIP is served, and there is no --vip", name).
				WithHint("add --vip ADDRESS, or leave --%s out to take the VIPs of a file", name)
		}
	}
	vips, err = readRealFile(o.config)
	return vips, true, err
}

// readRealFile returns the VIPs of a file, the default one if it has no name.
func readRealFile(name string) ([]agent.VIP, error) {
	if name == "" {
		name = realFile
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Errorf(cli.Usage, "read %s: it is not there", name).
			WithHint("'naru config reference --real' prints one, or name a VIP with --vip")
	}
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "read the file: %w", err)
	}
	parsed, err := config.ParseReal(name, data)
	if err != nil {
		return nil, err
	}
	var vips []agent.VIP
	for _, v := range parsed.VIPs {
		vips = append(vips, agentVIP(v))
	}
	return vips, nil
}

// realDownOptions are the flags of naru real down.
type realDownOptions struct {
	instance realInstance
	vips     []string
}

func newRealDown(e cli.Env) *cobra.Command {
	var o realDownOptions
	c := &cobra.Command{
		Use:   "down [all]",
		Short: "end serving a VIP, or all",
		Long: `Down takes the VIPs given, or all that are up, off the machine and then restores the
kernel settings that up found, once no other VIP needs them. It removes nothing that
was there before naru. It needs root.`,
		Example: `  naru real down --vip 192.0.2.10
  naru real down                       all`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "all" && len(o.vips) == 0 {
				return nil
			}
			return noArguments()(c, args)
		},
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	o.instance.addFlag(c.Flags())
	c.Flags().StringSliceVar(&o.vips, "vip", nil, "the `ADDRESS` to end serving; may be repeated (default all)")
	return c
}

func (o *realDownOptions) run(ctx context.Context, e cli.Env) error {
	vips, err := parseAddrs("--vip", o.vips)
	if err != nil {
		return err
	}
	return o.instance.change(e, "naru real down", func(a *agent.Agent) ([]string, error) {
		return a.Down(ctx, vips...)
	})
}
