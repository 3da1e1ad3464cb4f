package plan_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"naru/internal/dataplane/dptest"
	"naru/internal/model"
	"naru/internal/plan"
)

// randomWant draws up to 4 services of up to 5 reals from few names, so that things go
// and come back.
func randomWant(r *rand.Rand) plan.Want {
	want := plan.Want{Timeouts: model.Timeouts{TCP: 900, TCPFin: 120, UDP: model.Seconds(1 + r.IntN(2))}}
	for _, port := range r.Perm(6)[:r.IntN(5)] {
		s := plan.Service{
			Key:       model.Key{Protocol: model.TCP, VIP: netip.MustParseAddr("192.0.2.10"), Port: uint16(80 + port)},
			Scheduler: model.Scheduler(r.IntN(len(model.Schedulers()))),
			Held:      r.IntN(2) == 0,
		}
		for _, n := range r.Perm(7)[:r.IntN(6)] {
			s.Reals = append(s.Reals, plan.Real{
				Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(20 + n)}), s.Port),
				Forward: model.Forward(r.IntN(3)), Weight: uint32(r.IntN(3)),
				Hop: model.Hop{Ifindex: uint32(1 + r.IntN(2)), DstMAC: [6]byte{2}},
			})
		}
		want.Services = append(want.Services, s)
	}
	return want
}

// TestAnySequenceOfWantsKeepsTheContract walks random wanted states; the tables check
// each step, and the rest is checked here.
func TestAnySequenceOfWantsKeepsTheContract(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		limits := plan.Limits{Services: 12, Reals: 60, Ring: 1 << 20}
		m := dptest.NewMemory(t, limits)
		for range 60 {
			have, _ := m.Read()
			for id := range have.Reals {
				if r.IntN(3) == 0 {
					m.SetConns(id, uint32(r.IntN(2)))
				}
			}
			have, _ = m.Read()
			want := randomWant(r)
			steps, err := plan.Diff(have, want, limits)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			_ = m.Apply(steps)
			after, _ := m.Read()
			checkIDsLast(t, have, after)
			checkCarried(t, after, want)
			again, err := plan.Diff(after, want, limits)
			again = slices.DeleteFunc(again, func(s plan.Step) bool { // what was just retired may be freed
				_, real := s.(plan.FreeReal)
				_, service := s.(plan.FreeService)
				return real || service
			})
			if err != nil || len(again) > 0 {
				t.Fatalf("seed %d: a second Diff yields %v, %v", seed, again, err)
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

// TestInterruptedAtEveryStepItConverges carries out one step at a time, as an Apply that
// always fails at the second would: each Diff must get further, and none may undo.
func TestInterruptedAtEveryStepItConverges(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		limits := plan.Limits{Services: 12, Reals: 60}
		m := dptest.NewMemory(t, limits)
		for range 10 {
			want := randomWant(r)
			have, _ := m.Read()
			steps, err := plan.Diff(have, want, limits)
			if err != nil {
				t.Fatal(err)
			}
			// What is retired on the way is freed on the way, hence twice.
			for left := 2*len(steps) + 1; len(steps) > 0; left-- {
				if left == 0 {
					t.Fatalf("seed %d: it goes round in circles: %v", seed, steps)
				}
				_ = m.Apply(steps[:1])
				have, _ = m.Read()
				if steps, err = plan.Diff(have, want, limits); err != nil {
					t.Fatal(err)
				}
			}
			checkCarried(t, have, want)
		}
	}
}

// checkIDsLast fails if a service or real that is there before and after changed its id,
// or an entry with conns its meaning.
func checkIDsLast(t *testing.T, before, after plan.Tables) {
	t.Helper()
	ids := make(map[string]uint32)
	name := func(t plan.Tables, r plan.TableReal) string {
		return fmt.Sprint(t.Services[r.Service].Key, r.Address)
	}
	for id, r := range after.Reals {
		ids[name(after, r)] = id
	}
	for id, r := range before.Reals {
		if now, ok := ids[name(before, r)]; ok && now != id {
			t.Errorf("real %s had id %d and has %d", name(before, r), id, now)
		}
		if r.Conns > 0 && name(after, after.Reals[id]) != name(before, r) {
			t.Errorf("real %d with conns was %s and is %s", id, name(before, r), name(after, after.Reals[id]))
		}
	}
}

// checkCarried fails if the tables do not list exactly what is wanted, newest first.
func checkCarried(t *testing.T, tables plan.Tables, want plan.Want) {
	t.Helper()
	type line struct {
		Scheduler model.Scheduler
		Held      bool
		Reals     []plan.Real
	}
	wanted, carried := make(map[model.Key]line), make(map[model.Key]line)
	for _, s := range want.Services {
		s.Reals = slices.Clone(s.Reals)
		slices.Reverse(s.Reals)
		wanted[s.Key] = line{s.Scheduler, s.Held, s.Reals}
	}
	for _, s := range tables.Services {
		if s.Retired {
			continue
		}
		l := line{s.Scheduler, s.Held, nil}
		for _, id := range s.List {
			r := tables.Reals[id]
			l.Reals = append(l.Reals, plan.Real{Address: r.Address, Forward: r.Forward, Weight: r.Weight, Hop: r.Hop})
		}
		carried[s.Key] = l
	}
	equal := cmp.Comparer(func(a, b plan.Real) bool { return a == b })
	if diff := cmp.Diff(wanted, carried, equal, cmp.Comparer(func(a, b model.Key) bool { return a == b })); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
}

func TestDamagedTablesAreHealed(t *testing.T) {
	limits := plan.Limits{Services: 12, Reals: 60}
	want := randomWant(rand.New(rand.NewPCG(8, 8)))
	damages := map[string]func(*plan.Tables){
		"two entries of one key": func(t *plan.Tables) {
			s := t.Services[1]
			s.List, s.Ring = nil, nil
			t.Services[9] = s
		},
		"two entries of one real": func(t *plan.Tables) { t.Reals[50] = t.Reals[1] },
		"a real of no service":    func(t *plan.Tables) { t.Reals[50] = plan.TableReal{Service: 11} },
		"a foreign real listed": func(t *plan.Tables) {
			s := t.Services[1]
			s.List = append(s.List, 50)
			t.Services[1] = s
		},
		"a weight":        func(t *plan.Tables) { r := t.Reals[1]; r.Weight += 9; t.Reals[1] = r },
		"a real gone":     func(t *plan.Tables) { delete(t.Reals, 1) },
		"a service gone":  func(t *plan.Tables) { delete(t.Services, 1) },
		"all reals gone":  func(t *plan.Tables) { clear(t.Reals) },
		"a real retired":  func(t *plan.Tables) { r := t.Reals[1]; r.Retired = true; t.Reals[1] = r },
		"timeouts zeroed": func(t *plan.Tables) { t.Timeouts = model.Timeouts{} },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			var tables plan.Tables
			tables = tables.Clone()
			settle(t, &tables, want, limits)
			damage(&tables)
			settle(t, &tables, want, limits)
			checkCarried(t, tables, want)
			for id, r := range tables.Reals {
				if r.Retired {
					t.Errorf("real %d stays retired", id)
				}
			}
		})
	}
}

// settle applies differences until there are none, and fails if that takes long.
func settle(t *testing.T, tables *plan.Tables, want plan.Want, limits plan.Limits) {
	t.Helper()
	for range 5 {
		steps, err := plan.Diff(*tables, want, limits)
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) == 0 {
			return
		}
		for _, s := range steps {
			tables.Carry(s)
		}
	}
	t.Error("the tables do not settle")
}

func TestListedRealIsNotFreed(t *testing.T) {
	web := model.Key{Protocol: model.TCP, VIP: netip.MustParseAddr("192.0.2.10"), Port: 80}
	have := plan.Tables{
		Services: map[uint32]plan.TableService{1: {Key: web, List: []uint32{1}}},
		Reals:    map[uint32]plan.TableReal{1: {Service: 1, Retired: true}},
	}
	want := plan.Want{Services: []plan.Service{{Key: web}}}
	steps, err := plan.Diff(have, want, plan.Limits{Services: 2, Reals: 2})
	if _, put := steps[0].(plan.PutService); err != nil || len(steps) != 1 || !put {
		t.Errorf("steps %v, %v: the service must let go of the real first", steps, err)
	}
}

// TestFreedIDsAreGivenOnce fills tables with new names whose only room are entries that
// this very Diff frees.
func TestFreedIDsAreGivenOnce(t *testing.T) {
	limits := plan.Limits{Services: 2, Reals: 3}
	m := dptest.NewMemory(t, limits)
	address := func(n byte) plan.Real {
		return plan.Real{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 80), Weight: 1}
	}
	service := func(port uint16, reals ...plan.Real) plan.Want {
		key := model.Key{Protocol: model.TCP, VIP: netip.MustParseAddr("192.0.2.10"), Port: port}
		return plan.Want{Services: []plan.Service{{Key: key, Reals: reals}}, Timeouts: model.DefaultTimeouts}
	}
	for _, want := range []plan.Want{service(80, address(21), address(22)), {Timeouts: model.DefaultTimeouts}, service(81, address(23), address(21))} {
		have, _ := m.Read()
		steps, err := plan.Diff(have, want, limits)
		if err != nil {
			t.Fatal(err)
		}
		_ = m.Apply(steps)
		have, _ = m.Read()
		checkCarried(t, have, want)
	}
}

func TestDiffOfOneServiceIsThatOfAll(t *testing.T) {
	limits := plan.Limits{Services: 12, Reals: 60}
	compared := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 4))
		var tables plan.Tables
		tables = tables.Clone()
		want := randomWant(r)
		settle(t, &tables, want, limits)
		if len(want.Services) == 0 {
			continue
		}
		s := &want.Services[0]
		s.Reals = slices.Clone(s.Reals[:r.IntN(len(s.Reals)+1)])
		for i := range s.Reals {
			s.Reals[i].Weight = uint32(r.IntN(3))
		}
		s.Held = !s.Held
		for id, have := range tables.Services {
			if have.Key != s.Key {
				continue
			}
			all, err := plan.Diff(tables, want, limits)
			one, ok := plan.DiffService(tables, id, *s, limits)
			if err != nil || !ok || fmt.Sprint(all) != fmt.Sprint(one) {
				t.Errorf("seed %d: all %v, %v; one %v, %t", seed, all, err, one, ok)
			}
			compared++
			s.Reals = append(s.Reals, plan.Real{Address: netip.MustParseAddrPort("192.0.2.99:80")})
			if steps, ok := plan.DiffService(tables, id, *s, limits); ok {
				t.Errorf("a new real was given an id without a look at the others: %v", steps)
			}
		}
		if _, ok := plan.DiffService(tables, 11, *s, limits); ok {
			t.Error("a service that is not there was compared")
		}
	}
	if compared < 100 {
		t.Errorf("only %d were compared", compared)
	}
}

func TestFullErrorsSayHowToMend(t *testing.T) {
	want := plan.Want{Services: []plan.Service{
		{Key: model.Key{Protocol: model.TCP, VIP: netip.MustParseAddr("192.0.2.10"), Port: 80}, Scheduler: model.MH},
	}}
	_, err := plan.Diff(plan.Tables{}, want, plan.Limits{Services: 2, Reals: 2, Ring: 4092})
	var full *plan.FullError
	if !errors.As(err, &full) || full.Table != "ring" || full.Wanted != 4093 {
		t.Errorf("got %v", err)
	}
	for _, e := range []plan.FullError{{Table: "ring"}, {Table: "real", Retired: 1}, {Table: "service"}} {
		if !strings.Contains(e.Hint(), "larger") || !strings.Contains(e.Error(), "full") {
			t.Errorf("%q, %q", e.Error(), e.Hint())
		}
	}
}

func TestMHRefusesMoreRealsThanBuckets(t *testing.T) {
	s := plan.Service{Key: model.Key{Protocol: model.TCP, VIP: netip.MustParseAddr("192.0.2.10"), Port: 80}, Scheduler: model.MH}
	addr := netip.MustParseAddr("10.0.0.1")
	for range 4094 {
		s.Reals = append(s.Reals, plan.Real{Address: netip.AddrPortFrom(addr, 80), Weight: 1})
		addr = addr.Next()
	}
	_, err := plan.Diff(plan.Tables{}, plan.Want{Services: []plan.Service{s}}, plan.Limits{Services: 10, Reals: 10000})
	if err == nil || !strings.Contains(err.Error(), "4093 reals at most") {
		t.Errorf("got %v", err)
	}
}

// BenchmarkDiff measures 10 000 services of 10 reals: nothing to do, one weight, and all.
func BenchmarkDiff(b *testing.B) {
	var want plan.Want
	for i := range 10_000 {
		s := plan.Service{
			Key: model.Key{Protocol: model.TCP, VIP: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Port: 80},
		}
		for j := range 10 {
			s.Reals = append(s.Reals, plan.Real{
				Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(1 + j), byte(i >> 8), byte(i)}), 80), Weight: 1,
			})
		}
		want.Services = append(want.Services, s)
	}
	limits := plan.Limits{Services: 20_000, Reals: 200_000}
	var empty plan.Tables
	full := empty.Clone()
	steps, err := plan.Diff(empty, want, limits)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range steps {
		full.Carry(s)
	}
	run := func(name string, have plan.Tables, steps int) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got, err := plan.Diff(have, want, limits); err != nil || len(got) != steps {
					b.Fatalf("%d steps, %v", len(got), err)
				}
			}
		})
	}
	run("unchanged", full, 0)
	run("all", empty, 110_000)
	want.Services[5000].Reals[5].Weight = 0
	run("weight", full, 1)
}
