package server

import (
	"slices"

	"naru/internal/api"
	"naru/internal/control"
	"naru/internal/metrics"
	"naru/internal/model"
	"naru/internal/plan"
)

// join puts what is wanted beside what is counted, in the order in which ipvsadm lists
// it. What is not in the tables yet (id 0) has counted nothing.
func join(s *control.Snapshot, stats plan.Stats, rates metrics.Rates) []api.Service {
	services := make([]api.Service, 0, len(s.Services))
	for i := range s.Services {
		v := &s.Services[i]
		service := api.Service{
			Name:      v.Name,
			Key:       v.Key,
			Scheduler: v.Scheduler,
			Owner:     v.Owner,
			Held:      v.Held,
			Counters:  at(stats.Services, v.ID),
			Rates:     rates.Service(v.ID),
			Reals:     make([]api.Real, 0, len(v.Reals)),
		}
		for j := range v.Reals {
			service.Reals = append(service.Reals, joinReal(&v.Reals[j], stats, rates))
		}
		slices.SortFunc(service.Reals, func(a, b api.Real) int { return a.Address.Compare(b.Address) })
		services = append(services, service)
	}
	slices.SortFunc(services, func(a, b api.Service) int { return model.Key.Compare(a.Key, b.Key) })
	return services
}

func joinReal(v *control.RealView, stats plan.Stats, rates metrics.Rates) api.Real {
	counted := at(stats.Reals, v.ID)
	return api.Real{
		Real:      v.Real,
		Effective: v.Effective,
		Owner:     v.Owner,
		Reachable: v.Reachable,
		Active:    counted.Active,
		Inactive:  counted.Inactive,
		Counters:  counted.Counters,
		Rates:     rates.Real(v.ID),
	}
}

// at returns what was counted for an id, nothing for one that is not in the tables.
func at[T any](counted []T, id uint32) T {
	var none T
	if id == 0 || int(id) >= len(counted) {
		return none
	}
	return counted[id]
}
