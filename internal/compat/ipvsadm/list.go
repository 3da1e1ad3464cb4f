package ipvsadm

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"naru/internal/api"
	"naru/internal/model"
)

// nameWidth is the column of addresses in lists; longer IPv4 names are cut.
const nameWidth = 28

// list carries out -L.
func (t *tool) list(ctx context.Context, c Command) error {
	if c.View == Conns {
		return t.listConns(ctx, c)
	}
	table, err := t.services(ctx)
	if err != nil {
		return err
	}
	if c.View == Timeouts {
		return t.listTimeouts(table.Timeouts, c.JSON)
	}
	if c.Protocol != 0 {
		if err := t.choose(ctx, c, &table); err != nil {
			return err
		}
	}
	if c.JSON {
		return t.printJSON(table)
	}
	if !c.NoSort {
		sortTable(&table)
	}
	name, done := t.names.namer(ctx, c.Numeric)
	defer done()
	return t.print(func(w *bufio.Writer) {
		if c.Protocol == 0 {
			fmt.Fprintf(w, "IP Virtual Server version 1.2.1 (size=%d)\n", table.Capacity)
		}
		writeTable(w, c, table.Services, name)
	})
}

func (t *tool) listTimeouts(s model.Timeouts, asJSON bool) error {
	if asJSON {
		return t.printJSON(s)
	}
	_, err := fmt.Fprintf(t.env.Stdout, "Timeout (tcp tcpfin udp): %d %d %d\n", s.TCP, s.TCPFin, s.UDP)
	return err
}

// choose leaves of the table only the service that c names.
func (t *tool) choose(ctx context.Context, c Command, table *api.Services) error {
	key, err := t.key(ctx, c)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(table.Services, func(s api.Service) bool { return s.Key == key })
	if i < 0 {
		return errNoTable
	}
	table.Services = table.Services[i : i+1]
	return nil
}

// sortTable puts services and reals into the order in which they are listed.
func sortTable(table *api.Services) {
	slices.SortStableFunc(table.Services, func(a, b api.Service) int { return a.Key.Compare(b.Key) })
	for _, s := range table.Services {
		slices.SortStableFunc(s.Reals, func(a, b api.Real) int { return a.Address.Compare(b.Address) })
	}
}

func writeTable(w *bufio.Writer, c Command, services []api.Service, name namer) {
	writeTitle(w, c.View)
	for i := range services {
		s := &services[i]
		writeService(w, c, s, name)
		for j := range s.Reals {
			writeReal(w, c, s.Protocol, &s.Reals[j], name)
		}
	}
}

func writeTitle(w *bufio.Writer, v View) {
	const title = "Prot LocalAddress:Port"
	switch v {
	case Stats:
		fmt.Fprintf(w, "%-33s %8s %8s %8s %8s %8s\n  -> RemoteAddress:Port\n",
			title, "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes")
	case Rates:
		fmt.Fprintf(w, "%-33s %8s %8s %8s %8s %8s\n  -> RemoteAddress:Port\n",
			title, "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS")
	default:
		fmt.Fprintf(w, "%s Scheduler Flags\n  -> %-28s Forward Weight ActiveConn InActConn\n",
			title, "RemoteAddress:Port")
	}
}

func writeService(w *bufio.Writer, c Command, s *api.Service, name namer) {
	p := strings.ToUpper(s.Protocol.String())
	at := cut(name(s.Protocol, addrPort(s.Key)))
	switch c.View {
	case Stats, Rates:
		fmt.Fprintf(w, "%-4s %-28s", p, at)
		writeCounters(w, c, s.Counters, s.Rates)
	default:
		fmt.Fprintf(w, "%-4s %s %s\n", p, at, s.Scheduler)
	}
}

func writeReal(w *bufio.Writer, c Command, p model.Protocol, r *api.Real, name namer) {
	at := cut(name(p, r.Address))
	switch c.View {
	case Stats, Rates:
		fmt.Fprintf(w, "  -> %-28s", at)
		writeCounters(w, c, r.Counters, r.Rates)
	default:
		fmt.Fprintf(w, "  -> %-28s %-7s %-6d %-10d %-10d\n",
			at, forwardWord(r.Forward), r.Effective, r.Active, r.Inactive)
	}
}

func writeCounters(w *bufio.Writer, c Command, n model.Counters, rates model.Rates) {
	if c.View == Rates {
		n = model.Counters(rates)
	}
	for _, v := range []uint64{n.Conns, n.InPackets, n.OutPackets, n.InBytes, n.OutBytes} {
		w.WriteString(counter(v, c.Exact))
	}
	w.WriteByte('\n')
}

// counter writes a number nine columns wide, in thousands of thousands if it must.
func counter(v uint64, exact bool) string {
	switch {
	case exact || v < 1e8:
		return fmt.Sprintf(" %8d", v)
	case v < 1e9:
		return fmt.Sprintf("%8dK", v/1e3)
	case v < 1e11:
		return fmt.Sprintf("%8dM", v/1e6)
	case v < 1e14:
		return fmt.Sprintf("%8dG", v/1e9)
	}
	return fmt.Sprintf("%8dT", v/1e12)
}

// cut shortens a name to its column. IPv6 addresses are never cut.
func cut(name string) string {
	if len(name) > nameWidth && name[0] != '[' {
		return name[:nameWidth]
	}
	return name
}

func forwardWord(f model.Forward) string {
	switch f {
	case model.NAT:
		return "Masq"
	case model.TUN:
		return "Tunnel"
	case model.Local:
		return "Local"
	}
	return "Route"
}
