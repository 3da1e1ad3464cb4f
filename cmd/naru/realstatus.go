package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"naru/internal/agent"
	"naru/internal/cli"
)

// realStatusOptions are the flags of naru real status.
type realStatusOptions struct {
	instance realInstance
	json     bool
}

func newRealStatus(e cli.Env) *cobra.Command {
	var o realStatusOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "show how this machine is as a real server",
		Long: `Status shows the VIPs that are up and where, those that somebody set up by hand, the
kernel settings against the ARP problem, and what the decapsulation program did with
packets. If something is wrong it says how to mend it, and exits with 1.`,
		Example: `  naru real status
  naru real status --json | jq .faults`,
		Args: noArguments(),
		RunE: func(*cobra.Command, []string) error { return o.run(e) },
	}
	o.instance.addFlag(c.Flags())
	c.Flags().BoolVar(&o.json, "json", false, "print it as JSON")
	return c
}

func (o *realStatusOptions) run(e cli.Env) error {
	if err := needRoot("naru real status"); err != nil {
		return err
	}
	log, err := newLog(e.Stderr, "warn", false)
	if err != nil {
		return err
	}
	a, _, err := o.instance.open(e, log)
	if err != nil {
		return err
	}
	s, err := a.Status()
	if err != nil {
		return err
	}
	if o.json {
		err = writeJSON(e.Stdout, s)
	} else {
		var b strings.Builder
		writeReal(&b, s)
		_, err = io.WriteString(e.Stdout, b.String())
	}
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if len(s.Faults) > 0 {
		return exitCode(cli.Failed)
	}
	return nil
}

// writeReal lays the status out for people: faults first, for they are why one looks.
func writeReal(w io.Writer, s agent.Status) {
	for _, f := range s.Faults {
		fmt.Fprintf(w, "! %s\n  mend: %s\n", f.Text, f.Mend)
	}
	if len(s.VIPs) == 0 && len(s.Classic) == 0 {
		fmt.Fprintln(w, "this machine is no real server")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VIP\tFORWARD\tON\tSET UP BY")
	for _, v := range s.VIPs {
		on := strings.Join(v.On, ", ")
		if on == "" {
			on = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tnaru%s\n", v.Address, v.Forward, on, terms(v.VIP))
	}
	for _, c := range s.Classic {
		fmt.Fprintf(t, "%s\t%s\t%s\thand\n", c.Address, c.Forward, c.On)
	}
	t.Flush()
	if len(s.ARP) > 0 {
		fmt.Fprintln(t, "\nINTERFACE\tARP_IGNORE\tARP_ANNOUNCE\tVIPS ON LO")
	}
	for _, a := range s.ARP {
		says := "answered for in ARP"
		if a.Silent {
			says = "kept silent"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\n", a.Interface, a.Ignore, a.Announce, says)
	}
	t.Flush()
	writeDecap(w, s.Decap)
}

// terms says what else a VIP was set up with.
func terms(v agent.VIP) string {
	var b strings.Builder
	for _, d := range v.Directors {
		fmt.Fprintf(&b, ", from %s", d)
	}
	if v.Gateway.IsValid() {
		fmt.Fprintf(&b, ", back through %s", v.Gateway)
	}
	if v.Interface != "" {
		fmt.Fprintf(&b, ", on %s", v.Interface)
	}
	return b.String()
}

func writeDecap(w io.Writer, s agent.Decap) {
	if len(s.Hooks) == 0 {
		return
	}
	fmt.Fprint(w, "\ntunnels are taken apart on")
	for _, h := range s.Hooks {
		fmt.Fprintf(w, " %s (%s)", h.Interface, h.Kind)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, name := range agent.DecapExits() {
		if n := s.Exits[name]; n > 0 {
			fmt.Fprintf(t, "  %s\t%d\n", name, n)
		}
	}
	t.Flush()
}
