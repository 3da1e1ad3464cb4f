package control_test

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"naru/internal/control"
	"naru/internal/model"
	"naru/internal/plan"
)

// plain are tables that check nothing and cost what a copy costs.
type plain struct{ tables plan.Tables }

func (p *plain) Read() (plan.Tables, error) { return p.tables.Clone(), nil }

func (p *plain) Limits() plan.Limits { return plan.Limits{Services: 20_000, Reals: 200_000} }

func (p *plain) Zero([]uint32, []uint32) error { return nil }

func (p *plain) Apply(steps []plan.Step) error {
	for _, s := range steps {
		p.tables.Carry(s)
	}
	return nil
}

// BenchmarkLarge measures 10 000 services of 10 reals: the file at once, and one weight.
func BenchmarkLarge(b *testing.B) {
	f := control.File{Name: "naru.yaml"}
	host := model.Host{Hops: make(map[netip.Addr]model.Hop), Held: make(map[netip.Addr]bool)}
	for i := range 10_000 {
		s := control.FileService{Line: i}
		s.Key = model.Key{Protocol: model.TCP, VIP: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Port: 80}
		host.Held[s.VIP] = true
		for j := range 10 {
			a := netip.AddrFrom4([4]byte{10, byte(1 + j), byte(i >> 8), byte(i)})
			s.Reals = append(s.Reals, model.Real{Address: netip.AddrPortFrom(a, 80), Weight: 1})
			host.Hops[a] = model.Hop{Ifindex: 2, DstMAC: [6]byte{2, 0, byte(j), 0, byte(i >> 8), byte(i)}}
		}
		f.Services = append(f.Services, s)
	}
	tables := &plain{}
	tables.tables = tables.tables.Clone()
	c := control.New(control.Options{Tables: tables, Store: &store{}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	c.SetHost(host)
	if _, err := c.SetFile(ctx, f); err != nil {
		b.Fatal(err)
	}
	b.Run("file", func(b *testing.B) {
		for b.Loop() {
			tables.tables = plan.Tables{}
			tables.tables = tables.tables.Clone()
			if _, err := c.SetFile(ctx, f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("weight", func(b *testing.B) {
		weight := uint32(0)
		for b.Loop() {
			weight++
			edit := model.Edit{Op: model.EditReal, Service: f.Services[5000].Service, Real: f.Services[5000].Reals[5]}
			edit.Real.Weight = weight%100 + 2
			if _, err := c.Edit(ctx, []model.Edit{edit}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
