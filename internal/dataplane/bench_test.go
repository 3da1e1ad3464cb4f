package dataplane

import (
	"testing"

	"github.com/cilium/ebpf"

	"naru/internal/model"
)

//go:generate clang-19 -O2 -g -Wall -Werror -Wno-unused-function -mcpu=v3 -target bpf -fdebug-compilation-dir=. -c ../../bpf/bench.tc.bpf.c -o testdata/bench.o
//go:generate llvm-strip-19 -g testdata/bench.o

// benchSetting is struct bench of bpf/bench.tc.bpf.c.
type benchSetting struct {
	Flows, Next uint32
	VIP         [4]byte
	Port        uint16 // network byte order
	Flags, Zero uint8
}

const tcpSYN, tcpACK = 0x02, 0x10

// BenchmarkPath measures what a packet of 64 bytes costs in the path, by test runs. Each
// sub-benchmark reports ns/packet with the making of the packet in it: subtract that of
// "floor" from the same run.
func BenchmarkPath(b *testing.B) {
	for _, c := range []struct {
		name    string
		program string
		forward model.Forward
		flows   uint32 // 0: every packet is a new conn
		port    uint16 // asked for; the service is on 80
	}{
		{"floor", "bench_floor", model.DR, 1, 80},
		{"hit-dr", "bench_path", model.DR, 1, 80},
		{"hit-nat", "bench_path", model.NAT, 1, 80},
		{"hit-local", "bench_path", model.Local, 1, 80},
		{"hit-dr-64K-flows", "bench_path", model.DR, 1 << 16, 80},
		{"not-ours", "bench_path", model.DR, 1, 81},
		{"first-dr", "bench_path", model.DR, 0, 80},
		{"first-nat", "bench_path", model.NAT, 0, 80},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := open(b, Options{Conns: 1 << 18, NAT: true})
			set(b, d, service{protocol: model.TCP, forward: c.forward, weights: []uint32{1, 1}}.want())
			programs := benchPrograms(b, d)
			setting := benchSetting{Flows: c.flows, VIP: vip.As4(), Port: port(c.port), Flags: tcpSYN}
			run := func(rounds int) float64 {
				if err := programs.Maps["bench"].Put(uint32(0), &setting); err != nil {
					b.Fatal(err)
				}
				data := build(b, frame{protocol: model.TCP, syn: true, payload: 10})
				verdict, took, err := programs.Programs[c.program].Benchmark(data, rounds, nil)
				if err != nil || verdict == drop {
					b.Fatalf("verdict %d, error %v, %v", int32(verdict), err, counted(b, d))
				}
				return float64(took.Nanoseconds())
			}
			rounds := max(b.N, 1000)
			if c.flows == 0 {
				rounds = min(rounds, int(d.Capacity()*8/10)) // below the mark at which conns are reclaimed
			} else {
				run(int(c.flows))
				setting.Flags = tcpACK
			}
			b.ResetTimer()
			ns := run(rounds)
			b.ReportMetric(ns, "ns/packet")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSweep measures one slice of the sweep: it runs in the softirq that packets
// wait for.
func BenchmarkSweep(b *testing.B) {
	d := open(b, Options{Conns: 1 << 18})
	set(b, d, service{protocol: model.TCP, weights: []uint32{1, 1}}.want())
	programs := benchPrograms(b, d)
	setting := benchSetting{VIP: vip.As4(), Port: port(80), Flags: tcpSYN}
	if err := programs.Maps["bench"].Put(uint32(0), &setting); err != nil {
		b.Fatal(err)
	}
	data := build(b, frame{protocol: model.TCP, syn: true, payload: 10})
	if _, _, err := programs.Programs["bench_path"].Benchmark(data, 10000, nil); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	verdict, took, err := programs.Programs["bench_sweep"].Benchmark(data, max(b.N, 100), nil)
	if err != nil || verdict == drop {
		b.Fatalf("verdict %d, error %v, %v", int32(verdict), err, counted(b, d))
	}
	b.ReportMetric(float64(took.Nanoseconds()), "ns/slice")
	b.ReportMetric(0, "ns/op")
}

// benchPrograms loads the measuring programs on the tables of d.
func benchPrograms(b *testing.B, d *Dataplane) *ebpf.Collection {
	b.Helper()
	spec, err := ebpf.LoadCollectionSpec("testdata/bench.o")
	if err != nil {
		b.Fatal(err)
	}
	tables := map[string]*ebpf.Map{}
	for name, m := range map[string]*ebpf.Map{
		lbMapFlows4: d.objs.Flows4, lbMapConns4: d.objs.Conns4, lbMapFree4: d.objs.Free4,
		lbMapServiceIds: d.objs.ServiceIds, lbMapServices: d.objs.Services, lbMapReals: d.objs.Reals,
		lbMapSlots: d.objs.Slots, lbMapServiceCounters: d.objs.ServiceCounters, lbMapRealCounters: d.objs.RealCounters,
		lbMapExits: d.objs.Exits, lbMapEvents: d.objs.Events, lbMapFragments4: d.objs.Fragments4,
		lbMapSettings: d.objs.Settings, lbMapTableState: d.objs.TableState,
	} {
		if s := spec.Maps[name]; s != nil {
			s.MaxEntries = m.MaxEntries()
			tables[name] = m
		}
	}
	programs, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: tables})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(programs.Close)
	return programs
}
