package demo

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"naru/internal/lab"
)

// answerTime is how long a request may take. It outlasts several of TCP's
// retransmissions: a packet that was lost shows as a slow answer, not as a failed one.
const answerTime = 10 * time.Second

// asker is the client.
type asker struct {
	lab   *lab.Lab
	fresh *http.Client // a new conn for each request
}

func newAsker(l *lab.Lab) *asker {
	return &asker{l, l.HTTP(lab.HTTPOptions{Timeout: answerTime})}
}

func (a *asker) ask(ctx context.Context, to netip.AddrPort) (string, error) {
	return lab.Get(ctx, a.fresh, to)
}

// tally is who answered how often.
type tally map[string]int

// String lists the reals in order: "real1 10, real2 10".
func (t tally) String() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(t)) {
		out = append(out, fmt.Sprintf("%s %d", name, t[name]))
	}
	return strings.Join(out, ", ")
}

// askMany sends n requests to the service, one after the other.
func (a *asker) askMany(ctx context.Context, n int) (tally, error) {
	count := tally{}
	for i := range n {
		name, err := a.ask(ctx, serviceAddress())
		if err != nil {
			return count, fmt.Errorf("request %d of %d: %w", i+1, n, err)
		}
		count[name]++
	}
	return count, nil
}

// byTurns says whether n reals shared the requests evenly, as rr does.
func byTurns(count tally, n int) error {
	if len(count) != n {
		return fmt.Errorf("%d reals answered, not %d: %s", len(count), n, count)
	}
	low, high := 1<<30, 0
	for _, c := range count {
		low, high = min(low, c), max(high, c)
	}
	if high-low > 1 {
		return fmt.Errorf("the reals did not take turns: %s", count)
	}
	return nil
}
