package control_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"naru/internal/control"
	"naru/internal/dataplane/dptest"
	"naru/internal/model"
	"naru/internal/plan"
)

const webFile = `service tcp:192.0.2.10:80 wrr web
real 192.0.2.21:80 dr 1
real 192.0.2.22:80 dr 2
`

const webHost = `held 192.0.2.10
via 192.0.2.21 1
via 192.0.2.22 2
`

func (r *rig) edit(line string) ([]string, error) {
	return r.Edit(context.Background(), []model.Edit{parseEdit(r.t.(*testing.T), line)})
}

func (r *rig) file(text string) ([]string, error) {
	return r.SetFile(context.Background(), parseFile(r.t.(*testing.T), text))
}

func code(err error) model.Code {
	var r *model.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func TestRestartChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, err := r.file(webFile)
		check(t, err)
		r.SetHost(parseHost(t, webHost))
		_, err = r.edit("add-real tcp:192.0.2.10:80 192.0.2.23:80 dr 1")
		check(t, err)
		before := r.tables.String()
		r.tables.Steps()
		r.restart()
		time.Sleep(5 * time.Second) // before the file is set, nothing may be taken away
		_, err = r.file(webFile)
		check(t, err)
		time.Sleep(5 * time.Second) // before the host has spoken, ways and VIPs stay
		r.SetHost(parseHost(t, webHost))
		synctest.Wait()
		if steps := r.tables.Steps(); len(steps) > 0 {
			t.Errorf("a restart caused %v", steps)
		}
		if after := r.tables.String(); after != before {
			t.Errorf("tables (-before +after):\n%s", cmp.Diff(before, after))
		}
	})
}

func TestFailedApplyIsRetriedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		attempts := 0
		r.tables.Fail(func(plan.Step) error { attempts++; return errors.New("no memory") })
		changes, err := r.file(webFile)
		check(t, err)
		if !strings.Contains(strings.Join(changes, "\n"), "not carried out yet, trying again: write the tables: no memory") {
			t.Errorf("changes do not tell it: %q", changes)
		}
		notes, err := r.edit("add-real tcp:192.0.2.10:80 192.0.2.23:80 dr 1")
		if err != nil || len(notes) != 1 {
			t.Errorf("an edit meanwhile: %q, %v", notes, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.Snapshot(); len(s.Faults) != 1 || !strings.Contains(s.Faults[0], "no memory") || s.Services[0].ID != 0 {
			t.Errorf("faults %q, id %d", s.Faults, s.Services[0].ID)
		}
		if attempts < 12 || attempts > 20 { // 2, then 0.2+0.4+… s, then every 5 s
			t.Errorf("%d attempts in a minute", attempts)
		}
		r.tables.Fail(nil)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if s := r.Snapshot(); len(s.Faults) != 0 || s.Services[0].ID != 1 || len(s.Services[0].Reals) != 3 {
			t.Errorf("after it was mended: %s", listing(s))
		}
	})
}

func TestHalfDoneApplyIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, err := r.file(webFile)
		check(t, err)
		r.tables.Fail(func(s plan.Step) error {
			if _, ok := s.(plan.PutService); ok {
				return errors.New("no memory")
			}
			return nil
		})
		// Only the weight is written: the service must start its round again all the same.
		_, err = r.edit("edit-real tcp:192.0.2.10:80 192.0.2.21:80 dr 5")
		check(t, err)
		r.tables.Steps()
		r.tables.Fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		steps := r.tables.Steps()
		if len(steps) != 1 {
			t.Fatalf("steps %v, want one", steps)
		}
		if put, ok := steps[0].(plan.PutService); !ok || !slices.Equal(put.Service.List, []uint32{2, 1}) {
			t.Errorf("step %v", steps[0])
		}
		time.Sleep(time.Minute)
		if steps := r.tables.Steps(); len(steps) > 0 {
			t.Errorf("it does not end: %v", steps)
		}
	})
}

// TestFailureOfOneServiceHidesNoOther edits a service that can be written while another
// cannot: both must be carried out in the end, and the fault stays until they are.
func TestFailureOfOneServiceHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, err := r.file(webFile)
		check(t, err)
		other := parseKey(t, "tcp:192.0.2.9:80")
		r.tables.Fail(func(s plan.Step) error {
			if put, ok := s.(plan.PutService); ok && put.Service.Key == other {
				return errors.New("no memory")
			}
			return nil
		})
		_, err = r.edit("add-service " + other.String() + " rr")
		check(t, err)
		r.tables.Steps()
		notes, err := r.edit("edit-real tcp:192.0.2.10:80 192.0.2.21:80 dr 5")
		if err != nil || len(notes) != 1 || len(r.Snapshot().Faults) != 1 {
			t.Errorf("notes %q, %v, faults %q", notes, err, r.Snapshot().Faults)
		}
		if steps := r.tables.Steps(); len(steps) != 1 || r.Snapshot().Services[1].Reals[0].Effective != 5 {
			t.Errorf("steps %v", steps)
		}
		r.tables.Fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := fmt.Sprint(r.tables.Steps()); strings.Count(got, "put service") != 2 {
			t.Errorf("steps %v, want both services", got)
		}
		if s := r.Snapshot(); len(s.Faults) != 0 || s.Services[0].ID != 2 {
			t.Errorf("in the end: %s", listing(s))
		}
	})
}

func TestUnreadableTablesRefuseEdits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.tables.FailRead(errors.New("map is gone"))
		if _, err := r.file(webFile); code(err) != model.Internal {
			t.Errorf("set file: %v", err)
		}
		r.tables.FailRead(nil)
		_, err := r.file(webFile)
		check(t, err)
		r.tables.FailRead(errors.New("map is gone"))
		if _, err := r.edit("add-service tcp:192.0.2.11:80 rr"); code(err) != model.Internal {
			t.Errorf("edit: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := r.Snapshot(); len(s.Faults) != 1 || len(s.Services) != 1 || r.store.String() != "" {
			t.Errorf("faults %q, %d services, stored %s", s.Faults, len(s.Services), r.store)
		}
		r.tables.FailRead(nil)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if s := r.Snapshot(); len(s.Faults) != 0 {
			t.Errorf("faults %q", s.Faults)
		}
	})
}

func TestDamageIsHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, err := r.file(webFile)
		check(t, err)
		before := r.tables.String()
		r.tables.Damage(func(t *plan.Tables) {
			delete(t.Reals, 1)
			s := t.Services[1]
			s.Held = true
			t.Services[1] = s
			t.Timeouts.UDP = 1
		})
		r.SetHost(model.Host{Held: map[netip.Addr]bool{netip.MustParseAddr("192.0.2.10"): false}})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if after := r.tables.String(); after != before {
			t.Errorf("tables (-before +after):\n%s", cmp.Diff(before, after))
		}
	})
}

// keptAside is the error of a store that could not understand its file.
type keptAside struct{ error }

func (keptAside) KeptAside() string { return "/var/lib/naru/edits.json.corrupt" }

func TestLostEditsAreAFaultAndUnreadableOnesAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.store.BreakLoad(keptAside{errors.New("edits cannot be understood")})
		r.restart()
		_, err := r.file(webFile)
		check(t, err)
		if s := r.Snapshot(); len(s.Faults) != 1 || !strings.Contains(s.Faults[0], "understood") {
			t.Errorf("faults %q", s.Faults)
		}
		_, err = r.edit("add-service tcp:192.0.2.11:80 rr")
		check(t, err)
		if s := r.Snapshot(); len(s.Faults) != 0 {
			t.Errorf("faults after the next edit %q", s.Faults)
		}
		store := &store{loads: errors.New("input/output error")}
		c := control.New(control.Options{Tables: r.tables, Store: store, Log: slog.New(slog.DiscardHandler)})
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "load edits: input/output error") {
			t.Errorf("run: %v", err)
		}
		if _, err := c.SetFile(t.Context(), control.File{}); code(err) != model.Internal {
			t.Errorf("after run: %v", err)
		}
	})
}

func TestStartGoesOnWhenEndedEditsCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, err := r.file(webFile)
		check(t, err)
		_, err = r.edit("add-real tcp:192.0.2.10:80 192.0.2.23:80 dr 1")
		check(t, err)
		r.store.Break(errors.New("no room left"))
		r.restart()
		changes, err := r.file("")
		if err != nil || len(changes) != 2 {
			t.Errorf("changes %q, %v", changes, err)
		}
		if s := r.Snapshot(); len(s.Faults) != 1 || !strings.Contains(s.Faults[0], "no room left") {
			t.Errorf("faults %q", s.Faults)
		}
	})
}

func TestBurstOfHostFactsIsOneChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, err := r.file(webFile)
		check(t, err)
		r.SetHost(parseHost(t, webHost))
		synctest.Wait()
		r.tables.Steps()
		r.tables.Fail(func(plan.Step) error { time.Sleep(100 * time.Millisecond); return nil })
		for i := range byte(200) {
			h := parseHost(t, webHost)
			h.Hops[netip.MustParseAddr("192.0.2.21")] = model.Hop{Ifindex: 2, DstMAC: [6]byte{2, 1, 0, 0, 0, i}}
			r.SetHost(h)
			if i == 0 {
				synctest.Wait() // it is being written
			}
		}
		time.Sleep(10 * time.Second)
		steps := r.tables.Steps()
		if len(steps) != 2 || steps[1].(plan.PutReal).Real.Hop.DstMAC[5] != 199 {
			t.Errorf("steps %v, want the first and the last", steps)
		}
	})
}

func TestLocalRealOnAnotherPortIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, err := r.file("service tcp:192.0.2.10:80 rr web\nreal 192.0.2.21:8080 nat 1\n")
		check(t, err)
		r.SetHost(parseHost(t, "local 192.0.2.21"))
		synctest.Wait()
		if s := r.Snapshot(); len(s.Faults) != 1 || !strings.Contains(s.Faults[0], "192.0.2.21:8080 of web") {
			t.Errorf("faults %q", s.Faults)
		}
	})
}

func TestSnapshotIsSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		first := r.Snapshot()
		if first.Revision != 0 {
			t.Errorf("revision %d before the file", first.Revision)
		}
		_, err := r.file(webFile)
		check(t, err)
		<-first.Superseded()
		second := r.Snapshot()
		vips, reals := second.Addresses()
		if second.Revision != 1 || fmt.Sprint(vips, reals) != "[192.0.2.10] [192.0.2.21 192.0.2.22]" {
			t.Errorf("revision %d, addresses %v %v", second.Revision, vips, reals)
		}
		time.Sleep(time.Minute)
		select {
		case <-second.Superseded():
			t.Error("a new snapshot though nothing changed")
		default:
		}
	})
}

func TestAskingEndsWithContextAndRun(t *testing.T) {
	c := control.New(control.Options{Tables: dptest.NewMemory(t, limits), Store: &store{}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Edit(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("before Run: %v", err)
	}
	if err := c.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
	if _, err := c.SetFile(t.Context(), control.File{}); code(err) != model.Internal {
		t.Errorf("after Run: %v", err)
	}
}

// TestNothingAcceptedIsLost makes random edits, half of the time on tables that fail all
// the time, with restarts between, and expects in the end exactly what was accepted.
func TestNothingAcceptedIsLost(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r, rnd := newRig(t), rand.New(rand.NewPCG(seed, 2))
			want := make(map[string]string)
			_, err := r.file("")
			check(t, err)
			if seed%2 == 0 {
				r.tables.Fail(dptest.Every(2+rnd.IntN(5), errors.New("on purpose")))
			}
			for range 60 {
				randomEdit(t, r, rnd, want)
				if rnd.IntN(10) == 0 {
					r.restart()
					_, err := r.file("")
					check(t, err)
				}
				if rnd.IntN(4) == 0 {
					time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
				}
			}
			time.Sleep(2 * time.Minute) // failing still, but getting further each time
			synctest.Wait()
			tables, err := r.tables.Read()
			check(t, err)
			if diff := cmp.Diff(want, inUse(tables)); diff != "" {
				t.Errorf("seed %d (-accepted +in the tables):\n%s", seed, diff)
			}
			if s := r.Snapshot(); len(s.Faults) > 0 {
				t.Errorf("seed %d: faults %q", seed, s.Faults)
			}
			// What was put together edit by edit is what another daemon finds.
			before := listing(r.Snapshot())
			r.restart()
			changes, err := r.file("")
			if after := listing(r.Snapshot()); err != nil || len(changes) > 0 || before != after {
				t.Errorf("seed %d: a restart changes %q, %v, and the services (-before +after):\n%s", seed, changes, err, cmp.Diff(before, after))
			}
		})
	}
}

// randomEdit asks for one edit and notes in want what follows if it is accepted.
func randomEdit(t *testing.T, r *rig, rnd *rand.Rand, want map[string]string) {
	key := fmt.Sprintf("tcp:192.0.2.10:%d", 80+rnd.IntN(3))
	address := fmt.Sprintf("192.0.2.%d:%s", 20+rnd.IntN(4), key[len(key)-2:])
	weight := fmt.Sprint(rnd.IntN(4))
	scheduler := model.Schedulers()[rnd.IntN(6)]
	broken := rnd.IntN(8) == 0
	if broken {
		r.store.Break(errors.New("no room left"))
		defer r.store.Break(nil)
	}
	op := []string{"add-service", "edit-service", "delete-service", "add-real", "add-real", "edit-real", "delete-real"}[rnd.IntN(7)]
	line := op + " " + key
	switch op {
	case "add-service", "edit-service":
		line += " " + scheduler
	case "add-real", "edit-real", "delete-real":
		line += " " + address + " dr " + weight
	}
	_, err := r.edit(line)
	if err != nil {
		if broken != (code(err) == model.Internal) && code(err) == model.Internal {
			t.Errorf("%s: %v", line, err)
		}
		return
	}
	if broken {
		t.Errorf("%s was accepted though it could not be saved", line)
	}
	switch op {
	case "add-service", "edit-service":
		want[key] = scheduler
	case "delete-service":
		maps.DeleteFunc(want, func(k, _ string) bool { return strings.HasPrefix(k, key) })
	case "add-real", "edit-real":
		want[key+" "+address] = weight
	case "delete-real":
		delete(want, key+" "+address)
	}
}

// inUse returns what the tables carry, in the form of randomEdit's want.
func inUse(tables plan.Tables) map[string]string {
	got := make(map[string]string)
	for _, s := range tables.Services {
		if s.Retired {
			continue
		}
		got[s.Key.String()] = s.Scheduler.String()
		for _, id := range s.List {
			r := tables.Reals[id]
			got[s.Key.String()+" "+r.Address.String()] = fmt.Sprint(r.Weight)
		}
	}
	return got
}

// TestManyAskAtOnce is for the race detector.
func TestManyAskAtOnce(t *testing.T) {
	r := newRig(t)
	_, err := r.file(webFile)
	check(t, err)
	edit := parseEdit(t, "edit-real tcp:192.0.2.10:80 192.0.2.21:80 dr 5")
	file, host := parseFile(t, webFile), parseHost(t, webHost)
	var all sync.WaitGroup
	for i := range uint32(8) {
		all.Go(func() {
			for n := range uint32(50) {
				e := edit
				e.Real.Weight = i*100 + n
				if _, err := r.Edit(t.Context(), []model.Edit{e}); err != nil {
					t.Error(err)
				}
				r.SetHost(host)
				if n%10 == 0 {
					if _, err := r.SetFile(t.Context(), file); err != nil {
						t.Error(err)
					}
				}
				if s := r.Snapshot(); len(s.Services) != 1 || len(s.Services[0].Reals) != 2 {
					t.Errorf("snapshot %v", s)
				}
			}
		})
	}
	all.Wait()
	s := r.Snapshot()
	tables, err := r.tables.Read()
	check(t, err)
	if got, want := tables.Reals[1].Weight, s.Services[0].Reals[0].Effective; got != want {
		t.Errorf("the tables hold weight %d, the snapshot %d", got, want)
	}
}
