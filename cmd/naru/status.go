package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/model"
)

// statusOptions are the flags of naru status.
type statusOptions struct {
	instance instanceFlag
	json     bool
}

func newStatus(e cli.Env) *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "show how the director and its services are",
		Long: `Status shows the director, what is wrong with it if anything is, the interfaces the
packet path is on, the services with their reals, what became of the packets, and what
happened to the conn table.`,
		Example: `  naru status
  naru status --json | jq .conns`,
		Args: noArguments(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	o.instance.addFlag(c.Flags())
	addJSON(c.Flags(), &o.json)
	return c
}

// report is what naru status shows: both answers in one.
type report struct {
	api.Status
	Timeouts model.Timeouts `json:"timeouts"`
	Services []api.Service  `json:"services"`
}

func (o *statusOptions) run(ctx context.Context, e cli.Env) error {
	client, err := o.instance.client(e)
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	table, err := client.Services(ctx)
	if err != nil {
		return err
	}
	r := report{status, table.Timeouts, table.Services}
	if o.json {
		return writeJSON(e.Stdout, r)
	}
	var b strings.Builder
	r.write(&b, time.Now())
	if _, err := io.WriteString(e.Stdout, b.String()); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// write lays the report out for people: faults first, for they are why one looks.
func (r *report) write(w io.Writer, now time.Time) {
	for _, f := range r.Faults {
		fmt.Fprintf(w, "! %s\n", f)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "naru\t%s, instance %s, process %d%s\n", r.Version, r.Instance, r.PID, since(r.Started, now))
	if r.File != "" {
		fmt.Fprintf(t, "file\t%s\n", r.File)
	}
	fmt.Fprintf(t, "conns\t%d of %d\n", r.Conns, r.Capacity)
	fmt.Fprintf(t, "timeouts\ttcp %d s, tcp after fin %d s, udp %d s\n", r.Timeouts.TCP, r.Timeouts.TCPFin, r.Timeouts.UDP)
	for _, h := range r.Hooks {
		fmt.Fprintf(t, "hook\t%s (%s%s): %s\n", h.Interface, h.Kind, because(h), h.Why)
	}
	if len(r.Hooks) == 0 {
		fmt.Fprintf(t, "hook\tnone\n")
	}
	t.Flush()
	r.writeServices(w)
	writeCounts(w, "PACKETS\t  LEFT THE PACKET PATH AS", r.Exits)
	writeCounts(w, "TIMES\t  IN THE CONN TABLE", r.Events)
}

func since(started string, now time.Time) string {
	at, err := time.Parse(time.RFC3339, started)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", up %s", max(0, now.Sub(at)).Truncate(time.Second))
}

func (r *report) writeServices(w io.Writer) {
	if len(r.Services) == 0 {
		fmt.Fprintf(w, "\nno services\n")
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tFORWARD\tWEIGHT\tACTIVE\tINACTIVE\tCONNS/S\tPACKETS/S\tBYTES/S\t")
	for i := range r.Services {
		s := &r.Services[i]
		fmt.Fprintf(t, "%s\t\t\t\t\t%d\t%d\t%d\t%s\n", title(s), s.Rates.Conns,
			s.Rates.InPackets, s.Rates.InBytes, remarks(s.Owner, !s.Held, "VIP not held"))
		for j := range s.Reals {
			real := &s.Reals[j]
			fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", realTitle(real), real.Forward, weight(real),
				real.Active, real.Inactive, real.Rates.Conns, real.Rates.InPackets, real.Rates.InBytes,
				remarks(real.Owner, !real.Reachable, "no MAC known"))
		}
	}
	t.Flush()
}

func title(s *api.Service) string {
	t := s.Key.String() + " " + s.Scheduler.String()
	if s.Name != "" {
		t = s.Name + " " + t
	}
	return t
}

func realTitle(r *api.Real) string {
	if r.Name != "" {
		return r.Name + " " + r.Address.String()
	}
	return r.Address.String()
}

// weight shows the effective weight, and the asked one where that differs.
func weight(r *api.Real) string {
	if r.Effective != r.Weight {
		return fmt.Sprintf("%d (of %d)", r.Effective, r.Weight)
	}
	return fmt.Sprint(r.Weight)
}

// remarks says what is unlike the ordinary: not of the file, or not working.
func remarks(owner model.Owner, wrong bool, what string) string {
	var all []string
	if wrong {
		all = append(all, what)
	}
	if owner.Kind == model.EditOwner {
		all = append(all, "by edit")
	}
	return strings.Join(all, ", ")
}

// writeCounts lists what has counted, by name.
func writeCounts(w io.Writer, title string, counts map[string]uint64) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] > 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 0, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\n"+title)
	for _, name := range names {
		fmt.Fprintf(t, "%d\t  %s\n", counts[name], name)
	}
	t.Flush()
}

// because is why the hook is of its kind, in words that go on from that.
func because(h api.Hook) string {
	if h.Choice == "" {
		return ""
	}
	return ", as " + h.Choice
}
