package dataplane

import (
	"fmt"
	"slices"
	"time"
)

// span is a range of slots.
type span struct{ at, n uint32 }

// space hands out ranges of the slots table: first fit in address order. A released
// range rests before it is handed out again, because a scan that began before the flip
// may still read it; a scan takes microseconds.
type space struct {
	size    uint32
	free    []span // in order, not adjacent
	resting []rest
}

type rest struct {
	span
	since time.Time
}

const restTime = 100 * time.Millisecond

func newSpace(size uint32) *space { return &space{size: size, free: []span{{0, size}}} }

// claim takes a range that is known to be in use.
func (s *space) claim(r span) {
	for i, f := range s.free {
		if r.n == 0 || r.at < f.at || r.at+r.n > f.at+f.n {
			continue
		}
		var parts []span
		if r.at > f.at {
			parts = append(parts, span{f.at, r.at - f.at})
		}
		if end := r.at + r.n; end < f.at+f.n {
			parts = append(parts, span{end, f.at + f.n - end})
		}
		s.free = slices.Replace(s.free, i, i+1, parts...)
		return
	}
}

// take returns n slots.
func (s *space) take(n uint32) (span, error) {
	if n == 0 {
		return span{}, nil
	}
	s.wake(time.Now())
	for i := range s.free {
		if f := &s.free[i]; f.n >= n {
			r := span{f.at, n}
			f.at += n
			f.n -= n
			if f.n == 0 {
				s.free = slices.Delete(s.free, i, i+1)
			}
			return r, nil
		}
	}
	return span{}, fmt.Errorf("no %d adjacent slots are free of %d in all: use fewer services with sh or mh, or fewer reals", n, s.size)
}

func (s *space) release(r span) {
	if r.n > 0 {
		s.resting = append(s.resting, rest{r, time.Now()})
	}
}

// wake frees what has rested.
func (s *space) wake(now time.Time) {
	n := 0
	for n < len(s.resting) && now.Sub(s.resting[n].since) >= restTime {
		s.put(s.resting[n].span)
		n++
	}
	s.resting = slices.Delete(s.resting, 0, n)
}

// put frees a range and joins it with its neighbours.
func (s *space) put(r span) {
	i, _ := slices.BinarySearchFunc(s.free, r.at, func(f span, at uint32) int { return int(int64(f.at) - int64(at)) })
	s.free = slices.Insert(s.free, i, r)
	if i+1 < len(s.free) && s.free[i].at+s.free[i].n == s.free[i+1].at {
		s.free[i].n += s.free[i+1].n
		s.free = slices.Delete(s.free, i+1, i+2)
	}
	if i > 0 && s.free[i-1].at+s.free[i-1].n == s.free[i].at {
		s.free[i-1].n += s.free[i].n
		s.free = slices.Delete(s.free, i, i+1)
	}
}
