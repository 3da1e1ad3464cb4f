package dataplane

import (
	"math/rand/v2"
	"testing"
	"time"

	"naru/internal/model"
)

// TestSpaceHandsOutEachSlotOnce takes and releases at random and compares with a map of
// who has what.
func TestSpaceHandsOutEachSlotOnce(t *testing.T) {
	const size = 500
	r := rand.New(rand.NewPCG(1, 2))
	s := newSpace(size)
	owner := make([]int, size)
	held := map[int]span{}
	for i := 1; i < 5000; i++ {
		if r.IntN(2) == 0 && len(held) > 0 {
			for who, at := range held {
				for slot := at.at; slot < at.at+at.n; slot++ {
					owner[slot] = 0
				}
				s.put(at)
				delete(held, who)
				break
			}
			continue
		}
		at, err := s.take(uint32(1 + r.IntN(40)))
		if err != nil {
			continue // full for now
		}
		for slot := at.at; slot < at.at+at.n; slot++ {
			if owner[slot] != 0 {
				t.Fatalf("slot %d of %v belongs to %d already", slot, at, owner[slot])
			}
			owner[slot] = i
		}
		held[i] = at
	}
	for _, at := range held {
		s.put(at)
	}
	if len(s.free) != 1 || s.free[0] != (span{0, size}) {
		t.Errorf("free at the end: %v, want all in one piece", s.free)
	}
}

// TestSpaceRestsBeforeReuse: a packet may still be reading a list that was replaced.
func TestSpaceRestsBeforeReuse(t *testing.T) {
	s := newSpace(10)
	first, err := s.take(10)
	if err != nil {
		t.Fatal(err)
	}
	s.release(first)
	if got, err := s.take(10); err == nil {
		t.Errorf("handed out %v again at once", got)
	}
	s.wake(time.Now().Add(restTime))
	if _, err := s.take(10); err != nil {
		t.Error(err)
	}
}

// TestSpaceClaimsWhatIsInUse is how a later process learns of it.
func TestSpaceClaimsWhatIsInUse(t *testing.T) {
	s := newSpace(100)
	for _, r := range []span{{0, 10}, {50, 10}, {90, 10}} {
		s.claim(r)
	}
	want := []span{{10, 40}, {60, 30}}
	if len(s.free) != 2 || s.free[0] != want[0] || s.free[1] != want[1] {
		t.Errorf("free: %v, want %v", s.free, want)
	}
}

// TestTicksAndSeconds: what is set comes back, and a listing shows what ip_vs would.
func TestTicksAndSeconds(t *testing.T) {
	for _, s := range []model.Seconds{1, 2, 3, 120, 300, 900, 3600, model.MaxTimeout} {
		n := ticks(s.Duration())
		if got := seconds(n); got != s {
			t.Errorf("%d s are %d ticks, which are %d s", s, n, got)
		}
		if got := secondsLeft(n, 0); got != s {
			t.Errorf("of %d s, %d s are left at once", s, got)
		}
		if got := secondsLeft(n, ^uint32(0)); got != s {
			t.Errorf("of %d s, %d s are left for a packet that has just come", s, got)
		}
		if got := secondsLeft(n, n+1); got != 0 {
			t.Errorf("of %d s, %d s are left afterwards", s, got)
		}
	}
}

// TestMemoryPerConn holds the estimate to the budget: 160 bytes, 256 with NAT.
func TestMemoryPerConn(t *testing.T) {
	if got := Memory(1<<20, false) >> 20; got != 156 {
		t.Errorf("a million conns take %d MiB, want 156", got)
	}
	if got := Memory(1<<20, true) >> 20; got != 244 {
		t.Errorf("a million NAT conns take %d MiB, want 244", got)
	}
}
