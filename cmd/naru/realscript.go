package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"naru/internal/agent"
	"naru/internal/cli"
)

// realScriptOptions are the flags of naru real script.
type realScriptOptions struct {
	vips   realVIPs
	config string
	system string
}

func newRealScript(e cli.Env) *cobra.Command {
	var o realScriptOptions
	c := &cobra.Command{
		Use:   "script",
		Short: "print a script for a real server without naru",
		Long: `Script prints a commented script that makes a machine without naru a real server of the
VIPs, by hand, and can undo it: for a shell on Linux, for PowerShell on Windows. On
Linux, tun takes the kernel's ipip module; Windows has no tun. It needs no root.`,
		Example: `  naru real script --vip 192.0.2.10 > real.sh
  naru real script --vip 192.0.2.10 --os windows > real.ps1`,
		Args: noArguments(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(e) },
	}
	o.vips.addFlags(c.Flags())
	c.Flags().StringVarP(&o.config, "config", "c", "", "the `FILE` to take VIPs from, in place of --vip")
	c.Flags().StringVar(&o.system, "os", agent.Linux, "the machine's `SYSTEM`: linux or windows")
	return c
}

func (o *realScriptOptions) run(e cli.Env) (err error) {
	var vips []agent.VIP
	switch {
	case len(o.vips.vips) > 0 && o.config == "":
		vips, err = o.vips.parse()
	case len(o.vips.vips) == 0 && o.config != "":
		vips, err = readRealFile(o.config)
	default:
		return cli.Errorf(cli.Usage, "read command line: give either --vip or -c").
			WithHint("'naru real script --help' shows the usage")
	}
	if err != nil {
		return err
	}
	text, err := agent.Script(vips, o.system)
	if err != nil {
		return cli.Errorf(cli.Usage, "%w", err)
	}
	if _, err := fmt.Fprint(e.Stdout, text); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
