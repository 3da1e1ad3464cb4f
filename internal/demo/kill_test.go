package demo

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"naru/internal/lab"
	"naru/internal/lab/labtest"
)

// trafficDemo is a demo whose VIP is simply real1's, with servers that end with ctx.
func trafficDemo(t *testing.T, ctx context.Context) *demo {
	t.Helper()
	l := labtest.New(t, lab.Options{Prefix: "nrdemo-", Reals: 1})
	if err := l.AddAddress(lab.Real(1), lab.Front, netip.PrefixFrom(lab.VIP(), 32)); err != nil {
		t.Fatal(err)
	}
	err := l.Do(lab.Real(1), func() error {
		s, err := lab.Listen(lab.DefaultPorts)
		if err == nil {
			go s.Serve(ctx, lab.Real(1))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	env, _, _ := testEnv()
	return &demo{say: newSay(env), lab: l, web: newAsker(l)}
}

func waitSent(t *testing.T, tr *traffic, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); tr.sent() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || tr.fault() != nil {
			t.Fatalf("%d requests of %d answered: %v", tr.sent(), n, tr.fault())
		}
	}
}

func TestTrafficCountsEveryAnswerAndNoStopAsAFault(t *testing.T) {
	d := trafficDemo(t, t.Context())
	tr, err := d.startTraffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.holds.Close()
	waitSent(t, tr, 40)
	tr.stop()
	if err := tr.fault(); err != nil {
		t.Errorf("traffic that was stopped reports %v", err)
	}
	if tr.fresh == 0 || tr.held == 0 || tr.fresh+tr.held != tr.sent() {
		t.Errorf("%d requests on new conns, %d on held ones, %d in all", tr.fresh, tr.held, tr.sent())
	}
}

func TestTrafficReportsARequestThatFails(t *testing.T) {
	serving, end := context.WithCancel(t.Context())
	d := trafficDemo(t, serving)
	tr, err := d.startTraffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.holds.Close()
	waitSent(t, tr, 10)
	end()
	tr.wg.Wait() // both kinds end by themselves when an answer fails
	if tr.fault() == nil {
		t.Error("the servers ended in mid-traffic and no request failed")
	}
	tr.stop()
}

// A wait that ends in vain says what it waited for.
func TestUntilGivesTheLastReason(t *testing.T) {
	tries, errNotYet := 0, errors.New("not yet")
	err := until(t.Context(), 100*time.Millisecond, func(context.Context) error {
		tries++
		return errNotYet
	})
	if !errors.Is(err, errNotYet) || tries < 2 {
		t.Errorf("%d tries, %v", tries, err)
	}
}
