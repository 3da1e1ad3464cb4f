package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"naru/internal/agent"
	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/state"
)

func newReal(e cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "real",
		Short: "make this machine a real server",
		Long: `Real is the real server's side: it makes the machine hold a VIP without answering ARP
for it (dr, tun), takes the director's tunnels apart (tun), or checks that replies go
back through the director (nat). Nothing has to run on afterwards.

What was there before naru, such as a VIP on lo:0 or tunl0, works as it is: it is
recognised, left alone and never removed.`,
		Example: `  naru real up --vip 192.0.2.10 --forward dr
  naru real up --vip 192.0.2.10 --forward tun --director 192.0.2.2
  naru real up                         the VIPs of /etc/naru/real.yaml
  naru real status
  naru real down`,
		Args: cobra.ArbitraryArgs,
		RunE: choose,
	}
	c.AddCommand(newRealUp(e), newRealDown(e), newRealStatus(e), newRealScript(e))
	return c
}

// realInstance is the flag --instance of a real server's commands.
type realInstance struct{ name string }

func (f *realInstance) addFlag(fs *pflag.FlagSet) {
	fs.StringVar(&f.name, "instance", "",
		"the `NAME` to remember by (default $NARU_INSTANCE, else real, or one of its own in a network namespace)")
}

// open returns the agent of the machine, or of the network namespace naru runs in.
func (f *realInstance) open(e cli.Env, log *slog.Logger) (*agent.Agent, *state.Dir, error) {
	name := f.name
	if name == "" {
		name = e.Getenv(api.EnvInstance)
	}
	if name == "" {
		name = agent.Instance()
	}
	if err := api.CheckInstance(name); err != nil {
		return nil, nil, cli.Errorf(cli.Usage, "%w", err)
	}
	// What Up does is gone after a boot, and so is this directory. A director of the
	// same name has its socket there, which is not for root only.
	if err := os.MkdirAll(api.RunDir(name), 0o755); err != nil {
		return nil, nil, fmt.Errorf("make the directory of the record: %w", err)
	}
	dir, err := state.Open(api.RunDir(name))
	if err != nil {
		return nil, nil, err
	}
	return agent.New(dir.File("real.json"), log), dir, nil
}

// change opens the agent for a command that changes the machine.
func (f *realInstance) change(e cli.Env, command string, do func(*agent.Agent) ([]string, error)) error {
	if err := needRoot(command); err != nil {
		return err
	}
	log, err := newLog(e.Stderr, slog.LevelWarn.String(), false)
	if err != nil {
		return err
	}
	a, dir, err := f.open(e, log)
	if err != nil {
		return err
	}
	release, err := dir.Lock()
	if err != nil {
		return err
	}
	defer release()
	done, err := do(a)
	if errors.Is(err, agent.ErrKernel) {
		err = cli.Errorf(cli.Unable, "%w", err)
	}
	if errOut := writeLines(e.Stdout, done, "nothing to do"); err == nil {
		err = errOut
	}
	return err
}
