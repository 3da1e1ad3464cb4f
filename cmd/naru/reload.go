package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/model"
)

// reloadOptions are the flags of naru reload.
type reloadOptions struct {
	instance instanceFlag
	json     bool
}

func newReload(e cli.Env) *cobra.Command {
	var o reloadOptions
	c := &cobra.Command{
		Use:   "reload",
		Short: "make the director read its file again",
		Long: `Reload makes the running director read its file again and prints what that changed,
also each edit by ipvsadm that the file put an end to. If anything in the file is
wrong, nothing changes and every fault is printed.`,
		Example: `  naru reload`,
		Args:    noArguments(),
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	o.instance.addFlag(c.Flags())
	addJSON(c.Flags(), &o.json)
	return c
}

func (o *reloadOptions) run(ctx context.Context, e cli.Env) error {
	client, err := o.instance.client(e)
	if err != nil {
		return err
	}
	defer client.Close()
	changes, err := client.Reload(ctx)
	if err != nil {
		return fileFaults(err)
	}
	if o.json {
		return writeJSON(e.Stdout, api.Reload{Changes: changes})
	}
	return writeLines(e.Stdout, changes, "nothing changed")
}

// fileFaults returns a refusal of the file as the faults that it has, one a line.
func fileFaults(err error) error {
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Code != model.Invalid {
		return err
	}
	var faults []error
	for line := range strings.Lines(refused.Message) {
		faults = append(faults, &cli.Error{Code: cli.Usage, Err: errors.New(strings.TrimSuffix(line, "\n"))})
	}
	return errors.Join(faults...)
}
