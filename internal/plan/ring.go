package plan

import (
	"fmt"

	"naru/internal/model"
	"naru/internal/sched"
)

// makeRing returns the buckets of a service whose scheduler looks clients up in a
// table, nil for the others. Ids and reals are in list order.
func makeRing(want *Service, list []uint32, reals []TableReal) ([]uint32, error) {
	var buckets []int
	switch want.Scheduler {
	case model.SH:
		weights := make([]uint32, len(reals))
		for i := range reals {
			weights[i] = reals[i].Weight
		}
		buckets = sched.SH(weights)
	case model.MH:
		if len(reals) > sched.MHSize { // ip_vs_mh.c refuses it too
			return nil, &InvalidError{
				Text: fmt.Sprintf("service %s has %d reals and scheduler mh can spread clients over %d reals at most", want.Key, len(reals), sched.MHSize),
				Hint: "use another scheduler",
			}
		}
		turns := make([]sched.MHReal, len(reals))
		for i := range reals {
			turns[i] = sched.MHReal{Addr: reals[i].Address.Addr(), Port: reals[i].Address.Port(), Weight: reals[i].RingWeight}
		}
		buckets = sched.MH(turns, sched.MHSize)
	case model.WLC, model.RR, model.WRR, model.LC:
		return nil, nil
	}
	ring := make([]uint32, len(buckets))
	for i, real := range buckets {
		if real != sched.Empty {
			ring[i] = list[real]
		}
	}
	return ring, nil
}

// InvalidError says that what is wanted of a service cannot be put into tables.
type InvalidError struct{ Text, Hint string }

// Error implements error.
func (e *InvalidError) Error() string { return e.Text }
