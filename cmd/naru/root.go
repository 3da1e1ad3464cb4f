package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"naru/internal/cli"
)

// The headings of the overview.
const (
	groupDirector = "director"
	groupLook     = "look"
	groupFile     = "file"
	groupOther    = "other"
)

// newRoot returns naru's commands. Cobra prints no error by itself: cli.Env.Report
// does, in one way for all.
func newRoot(e cli.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "naru",
		Short: "a Linux Virtual Server in one program",
		Long: `naru is a Linux Virtual Server in one program: it forwards the conns of a service
to real servers by dr, nat or tun, in BPF, without ip_vs, ipvsadm or keepalived.`,
		Example: `  naru run -c /etc/naru/naru.yaml      start the director
  naru status                          look at it
  naru ipvsadm -Ln                     the same, as ipvsadm shows it`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          choose,
	}
	root.SetIn(e.Stdin)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	root.SetFlagErrorFunc(badFlag)
	root.SetHelpTemplate(helpTemplate)
	root.SetHelpCommand(newHelp())
	root.SetVersionTemplate("naru {{.Version}}\n")
	root.AddGroup(
		&cobra.Group{ID: groupDirector, Title: "Direct and serve:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupFile, Title: "Before it runs:"},
		&cobra.Group{ID: groupOther, Title: "More:"},
	)
	addGroup(root, groupDirector, newRun(e), newReload(e), newOff(e), newIPVSAdm(e), newReal(e))
	addGroup(root, groupLook, newStatus(e), newConns(e))
	addGroup(root, groupFile, newConfig(e), newPlan(e))
	addGroup(root, groupOther, newDemo(e), newVersion(e))
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	return root
}

func addGroup(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = id
		root.AddCommand(c)
	}
}

// helpTemplate is cobra's, with the exit codes, which are part of every command.
const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}
` + cli.ExitCodes + "\n"

// choose is what a command that only has subcommands does: without a name it helps,
// with one that it does not have it says so.
func choose(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	err := cli.Errorf(cli.Usage, "read command line: %s has no command %q", c.CommandPath(), args[0])
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2 // cobra's default, which it sets too late for us
	}
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return err.WithHint("did you mean '%s %s'?", c.CommandPath(), strings.Join(near, "' or '"))
	}
	return err.WithHint("'%s --help' lists the commands", c.CommandPath())
}

func badFlag(c *cobra.Command, err error) error {
	return cli.Errorf(cli.Usage, "read command line: %w", err).
		WithHint("'%s --help' shows the flags", c.CommandPath())
}

// atMost returns a check of the number of arguments. what names the arguments there
// may be, for the error.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return cli.Errorf(cli.Usage, "read command line: %s takes %s, %q is one too many", c.CommandPath(), what, args[n]).
			WithHint("'%s --help' shows the usage", c.CommandPath())
	}
}

// noArguments refuses arguments that would otherwise be ignored.
func noArguments() cobra.PositionalArgs { return atMost(0, "no arguments") }

// newHelp replaces cobra's help command, which succeeds for a topic it does not have.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "show the help of a command",
		Long:  "Help shows what a command does, its flags and its exit codes.",
		Example: `  naru help config check
  naru config check --help             the same`,
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || (len(rest) > 0 && found.HasSubCommands()) {
				return choose(found, rest)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			found, _, err := c.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, sub := range found.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, fmt.Sprintf("%s\t%s", sub.Name(), sub.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// explain gives an error of another package the exit code and hint that this program
// promises for it. Joined errors keep a line each.
func explain(err error) error {
	var known *cli.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range many.Unwrap() {
			all = append(all, explain(one))
		}
		return errors.Join(all...)
	}
	return explainOne(err)
}
