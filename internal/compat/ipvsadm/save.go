package ipvsadm

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"

	"naru/internal/api"
	"naru/internal/model"
)

// save carries out -S: lines that -R reads. Weights are those asked for, not those in
// effect, so that a restore does not make a failed check last.
func (t *tool) save(ctx context.Context, c Command) error {
	table, err := t.services(ctx)
	if err != nil {
		return err
	}
	sortTable(&table)
	name, done := t.names.namer(ctx, c.Numeric)
	defer done()
	return t.print(func(w *bufio.Writer) {
		for i := range table.Services {
			saveService(w, &table.Services[i], name)
		}
	})
}

func saveService(w *bufio.Writer, s *api.Service, name namer) {
	service := serviceOption(s.Protocol) + " " + name(s.Protocol, addrPort(s.Key))
	fmt.Fprintf(w, "-A %s -s %s\n", service, s.Scheduler)
	for i := range s.Reals {
		r := &s.Reals[i]
		fmt.Fprintf(w, "-a %s -r %s %s -w %d", service, name(s.Protocol, r.Address), forwardOption(r.Forward), r.Weight)
		if r.Forward == model.TUN {
			w.WriteString(" --tun-type ipip")
		}
		w.WriteByte('\n')
	}
}

func addrPort(k model.Key) netip.AddrPort { return netip.AddrPortFrom(k.VIP, k.Port) }
