package dptest_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"naru/internal/dataplane/dptest"
	"naru/internal/model"
	"naru/internal/plan"
)

var (
	web  = model.Key{Protocol: model.TCP, VIP: netip.MustParseAddr("192.0.2.10"), Port: 80}
	dns  = model.Key{Protocol: model.UDP, VIP: netip.MustParseAddr("192.0.2.10"), Port: 53}
	rs21 = plan.TableReal{Service: 1, Address: netip.MustParseAddrPort("192.0.2.21:80"), Weight: 1, RingWeight: 1}
	rs22 = plan.TableReal{Service: 1, Address: netip.MustParseAddrPort("192.0.2.22:80"), Weight: 1, RingWeight: 1}
)

// tables hold a service of one real, a retired real with a conn, one without, and a
// retired service.
func tables() plan.Tables {
	busy, idle := rs22, rs22
	busy.Retired, busy.Weight, busy.RingWeight, busy.Conns = true, 0, 0, 1
	idle.Address = netip.MustParseAddrPort("192.0.2.23:80")
	idle.Service, idle.Retired, idle.Weight, idle.RingWeight = 2, true, 0, 0
	return plan.Tables{
		Services: map[uint32]plan.TableService{
			1: {Key: web, List: []uint32{1}},
			2: {Key: dns, Retired: true},
			3: {Key: model.Key{Protocol: model.TCP}, Retired: true},
		},
		Reals: map[uint32]plan.TableReal{1: rs21, 2: busy, 3: idle},
	}
}

func TestStepsAreHeldToTheContract(t *testing.T) {
	retired := rs21
	retired.Retired, retired.Weight = true, 0
	counting, heavy, nobodys := rs22, rs22, rs22
	counting.Conns = 1
	heavy.RingWeight = 2
	nobodys.Service = 0
	for fault, step := range map[string]plan.Step{
		"outside 1 to 9":          plan.PutReal{ID: 10, Real: rs22},
		"is another real's":       plan.PutReal{ID: 1, Real: rs22},
		"still lists the real":    plan.PutReal{ID: 1, Real: retired},
		"names no service":        plan.PutReal{ID: 4, Real: nobodys},
		"not the last weight":     plan.PutReal{ID: 4, Real: heavy},
		"path's to count":         plan.PutReal{ID: 4, Real: counting},
		"nothing changes":         plan.PutReal{ID: 1, Real: rs21},
		"outside 1 to 4":          plan.PutService{ID: 0},
		"is another service's":    plan.PutService{ID: 2, Service: plan.TableService{Key: web}},
		"has the same key":        plan.PutService{ID: 4, Service: plan.TableService{Key: web}},
		"by its own step":         plan.PutService{ID: 1, Service: plan.TableService{Key: web, Retired: true}},
		"real 2, which is not in": plan.PutService{ID: 1, Service: plan.TableService{Key: web, List: []uint32{2}}},
		"real 1 of service 1":     plan.PutService{ID: 2, Service: plan.TableService{Key: dns, List: []uint32{1}}},
		"real 1 twice":            plan.PutService{ID: 1, Service: plan.TableService{Key: web, List: []uint32{1, 1}}},
		"wants 256":               plan.PutService{ID: 1, Service: plan.TableService{Key: web, Scheduler: model.SH}},
		"which the list does not": plan.PutService{ID: 1, Service: plan.TableService{Key: web, Scheduler: model.SH, Ring: append(make([]uint32, 255), 1)}},
		"is not in use":           plan.RetireService{ID: 2},
		"real was not retired":    plan.FreeReal{ID: 1},
		"real has conns":          plan.FreeReal{ID: 2},
		"service was not retired": plan.FreeService{ID: 1},
		"real 3 names":            plan.FreeService{ID: 2},
		"a timeout is 0":          plan.SetTimeouts{},
		"is unknown":              nil,
	} {
		have := tables()
		if got := dptest.Violation(&have, plan.Limits{Services: 5, Reals: 10}, step); !strings.Contains(got, fault) {
			t.Errorf("step %v: got %q, want %q", step, got, fault)
		}
	}
}

func TestStepsThatKeepTheContractPass(t *testing.T) {
	m := dptest.NewMemory(t, plan.Limits{Services: 5, Reals: 10})
	m.Damage(func(have *plan.Tables) { *have = tables() })
	retired := rs21
	retired.Retired, retired.Weight, retired.RingWeight = true, 0, 0
	if err := m.Apply([]plan.Step{
		plan.FreeReal{ID: 3}, plan.FreeService{ID: 2}, plan.FreeService{ID: 3},
		plan.PutReal{ID: 2, Real: rs22},
		plan.PutService{ID: 1, Service: plan.TableService{Key: web, List: []uint32{2}}},
		plan.PutReal{ID: 1, Real: retired},
		plan.RetireService{ID: 1},
		plan.SetTimeouts{Timeouts: model.DefaultTimeouts},
	}); err != nil {
		t.Error(err)
	}
	want := `service 1: tcp:192.0.2.10:80 retired
real 1: service 1 192.0.2.21:80 dr retired
real 2: service 1 192.0.2.22:80 dr weight 1 conns 1
timeouts: tcp 900 tcpfin 120 udp 300
`
	if got := m.String(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestFailingStopsHalfWay(t *testing.T) {
	cause := errors.New("on purpose")
	f := dptest.NewFailing(dptest.NewMemory(t, plan.Limits{Services: 5, Reals: 10}))
	f.Fail(dptest.Every(2, cause))
	err := f.Apply([]plan.Step{plan.PutReal{ID: 1, Real: rs21}, plan.PutReal{ID: 2, Real: rs22}, plan.PutReal{ID: 3, Real: rs22}})
	if steps := f.Steps(); !errors.Is(err, cause) || len(steps) != 1 {
		t.Errorf("got %v after %v", err, steps)
	}
	f.FailRead(cause)
	if _, err := f.Read(); !errors.Is(err, cause) {
		t.Errorf("read: %v", err)
	}
	f.FailRead(nil)
	if have, err := f.Read(); err != nil || len(have.Reals) != 1 {
		t.Errorf("read: %v, %v", have, err)
	}
}
