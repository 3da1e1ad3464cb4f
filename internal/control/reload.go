package control

import (
	"fmt"
	"maps"
	"net/netip"

	"naru/internal/model"
)

// under returns the edits that stay in force under a new file, and a sentence for each
// that ends: its object is gone, or the file now names it.
func (e *edits) under(f *fileIndex) (stay edits, ended []string) {
	r := reload{file: f, edits: e.clone()}
	for _, key := range sortedKeys(r.edits.services) {
		if s := f.byKey[key]; s != nil {
			r.takeOver(s)
		}
	}
	for _, key := range sortedKeys(r.edits.reals) {
		r.reals(key)
	}
	for _, key := range sortedKeys(r.edits.weights) {
		r.weights(key)
	}
	return r.edits, r.ended
}

type reload struct {
	file  *fileIndex
	edits edits
	ended []string
}

func (r *reload) end(format string, args ...any) {
	r.ended = append(r.ended, fmt.Sprintf("edit ended: "+format, args...))
}

// takeOver makes the file the owner of a service that was an edit. Reals that the file
// does not name are edits on it from now on.
func (r *reload) takeOver(s *FileService) {
	reals := r.edits.services[s.Key].Reals
	delete(r.edits.services, s.Key)
	r.end("service %s, because %s names it now", s.Key, place(r.file.owner(s)))
	if len(reals) > 0 {
		r.edits.reals[s.Key] = reals
	}
}

// reals ends the edits on a service's reals that the new file leaves no place for.
func (r *reload) reals(key model.Key) {
	s := r.file.byKey[key]
	var stay []model.Real
	for _, real := range r.edits.reals[key] {
		switch {
		case s == nil:
			r.end("real %s of %s, because %s does not name the service any more", real.Address, key, r.name())
		case s.Find(real.Address) >= 0:
			r.end("real %s of %s, because %s names it now", real.Address, key, place(r.file.realOwner(s, s.Find(real.Address))))
		default:
			stay = append(stay, real)
		}
	}
	r.edits.reals[key] = stay
	if len(stay) == 0 {
		delete(r.edits.reals, key)
	}
}

// weights ends the overrides of reals that the new file does not name.
func (r *reload) weights(key model.Key) {
	s, stay := r.file.byKey[key], maps.Clone(r.edits.weights[key])
	maps.DeleteFunc(stay, func(real netip.AddrPort, _ uint32) bool { return s == nil || s.Find(real) < 0 })
	for _, real := range sortedReals(r.edits.weights[key]) {
		if _, stays := stay[real]; !stays {
			r.end("weight %d of %s in %s, because %s does not name the real any more", r.edits.weights[key][real], real, key, r.name())
		}
	}
	r.edits.weights[key] = stay
	if len(stay) == 0 {
		delete(r.edits.weights, key)
	}
}

func (r *reload) name() string { return place(model.Owner{File: r.file.Name}) }
