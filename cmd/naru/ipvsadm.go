package main

import (
	"github.com/spf13/cobra"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/compat/ipvsadm"
)

func newIPVSAdm(e cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "ipvsadm OPTIONS",
		Short: "ipvsadm's commands, as a link named ipvsadm has them",
		Long: `Ipvsadm takes ipvsadm's options and gives its output and exit codes. A link named
ipvsadm to this program does the same. What it changes is kept for the next run, beside
the file. NARU_INSTANCE names the director if the machine has several.`,
		Example: `  naru ipvsadm -A -t 192.0.2.10:80 -s wlc
  naru ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 2
  naru ipvsadm -Ln
  naru ipvsadm --help                  all of its options`,
		DisableFlagParsing: true,
		RunE:               func(_ *cobra.Command, args []string) error { return exitCode(runIPVSAdm(e, args)) },
	}
}

func runIPVSAdm(e cli.Env, args []string) int {
	return ipvsadm.Run(e, func() (ipvsadm.Client, error) {
		instance, err := api.Discover(e.Getenv)
		if err != nil {
			return nil, err
		}
		return api.NewClient(api.Socket(instance)), nil
	}, args)
}
