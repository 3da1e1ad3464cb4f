package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/model"
)

// connsOptions are the flags of naru conns.
type connsOptions struct {
	instance instanceFlag
	service  string
	real     string
	client   string
	json     bool
}

func newConns(e cli.Env) *cobra.Command {
	var o connsOptions
	c := &cobra.Command{
		Use:   "conns",
		Short: "list the conns: who is connected, and to which real",
		Long: `Conns lists the conns of the director: each client's connection and the real it is
bound to. EXPIRES is the idle time left, in minutes and seconds. Packets and bytes are
those that pass the director: of dr and tun, only the client's.

Filters may be combined; a conn is listed if it passes all of them.`,
		Example: `  naru conns
  naru conns --service web --client 198.51.100.0/24
  naru conns --real 192.0.2.21:80 --json`,
		Args: noArguments(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	o.instance.addFlag(c.Flags())
	c.Flags().StringVar(&o.service, "service", "", "only conns of this `SERVICE`: its name, or as in tcp:192.0.2.10:80")
	c.Flags().StringVar(&o.real, "real", "", "only conns to this real: `ADDRESS`, ADDRESS:PORT or PREFIX")
	c.Flags().StringVar(&o.client, "client", "", "only conns of this client: `ADDRESS`, ADDRESS:PORT or PREFIX")
	addJSON(c.Flags(), &o.json)
	return c
}

func (o *connsOptions) run(ctx context.Context, e cli.Env) error {
	var f connFilter
	var err error
	if f.real, err = parseEnds("real", o.real); err != nil {
		return err
	}
	if f.client, err = parseEnds("client", o.client); err != nil {
		return err
	}
	client, err := o.instance.client(e)
	if err != nil {
		return err
	}
	defer client.Close()
	if f.service, err = findService(ctx, client, o.service); err != nil {
		return err
	}
	conns := f.pass(client.Conns(ctx))
	if o.json {
		return api.WriteConns(e.Stdout, conns)
	}
	return writeConns(e.Stdout, conns)
}

// findService returns the key of a service given by its name or its key, nil if no
// service is given.
func findService(ctx context.Context, client *api.Client, name string) (*model.Key, error) {
	if name == "" {
		return nil, nil
	}
	table, err := client.Services(ctx)
	if err != nil {
		return nil, err
	}
	for i := range table.Services {
		if s := &table.Services[i]; s.Name == name || s.Key.String() == name {
			return &s.Key, nil
		}
	}
	return nil, cli.Errorf(cli.Failed, "find service %q: there is none of that name", name).
		WithHint("'naru status' lists the services")
}

// connRow is wide enough for IPv4; longer addresses only shift their own row.
const connRow = "%-5s  %-11s  %7s  %-21s  %-21s  %-21s  %-7s  %10v  %12v\n"

// writeConns prints a row for each conn as it comes: there may be millions.
func writeConns(w io.Writer, conns iter.Seq2[model.Conn, error]) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, connRow, "PROTO", "STATE", "EXPIRES", "CLIENT", "VIRTUAL", "REAL", "FORWARD", "PACKETS", "BYTES")
	for c, err := range conns {
		if err != nil {
			b.Flush()
			return err
		}
		_, err = fmt.Fprintf(b, connRow, c.Protocol, c.State, fmt.Sprintf("%02d:%02d", c.Expires/60, c.Expires%60),
			c.Client, c.Virtual, c.Real, c.Forward, c.Packets, c.Bytes)
		if err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
