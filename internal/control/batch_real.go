package control

import (
	"fmt"
	"slices"

	"naru/internal/model"
)

// onReal makes an edit on a real: of the file, added to a service of the file, or of a
// service of the edits.
func (b *batch) onReal(e *model.Edit) *model.Refusal {
	key, real := e.Service.Key, e.Real
	if f := b.file.byKey[key]; f != nil {
		if i := f.Find(real.Address); i >= 0 {
			return b.onFileReal(e.Op, f, i, real)
		}
		s := f.Service
		s.Reals = b.ownReals(key)
		r := b.onEditReal(e.Op, &s, real)
		if b.edits.reals[key] = s.Reals; len(s.Reals) == 0 {
			delete(b.edits.reals, key)
			delete(b.mine, key)
		}
		return r
	}
	s := b.own(key)
	if s == nil {
		return noService(key)
	}
	return b.onEditReal(e.Op, s, real)
}

// onFileReal makes an edit on the file's real i.
func (b *batch) onFileReal(op model.EditOp, f *FileService, i int, real model.Real) *model.Refusal {
	old, owner := f.Reals[i], b.file.realOwner(f, i)
	what := fmt.Sprintf("real %s of %s", old.Address, f.Title())
	switch op {
	case model.DeleteReal:
		return b.fileOwned(owner, what, "remove it there and run naru reload, or give it weight 0")
	case model.AddReal:
		// Local is how a director's listing shows a real of any forward.
		if !b.restore || real.Forward != old.Forward && real.Forward != model.Local {
			return refuse(model.RealExists, "", "%s exists: %s names it", what, place(owner))
		}
	}
	old.Weight = real.Weight
	if faults := f.CheckReal(&old); len(faults) > 0 {
		return refuse(model.Invalid, "", "%s: %s", what, faults[0].Text)
	}
	b.override(f, i, real.Weight)
	return nil
}

// onEditReal makes an edit on a real of s.Reals, all of which are edits.
func (b *batch) onEditReal(op model.EditOp, s *model.Service, real model.Real) *model.Refusal {
	i := s.Find(real.Address)
	what := fmt.Sprintf("real %s of %s", real.Address, s.Title())
	if op == model.AddReal && i >= 0 {
		return refuse(model.RealExists, "", "%s exists", what)
	}
	if op != model.AddReal && i < 0 {
		return refuse(model.NoReal, "", "%s does not exist", what)
	}
	b.touched[s.Key] = true
	if op == model.DeleteReal {
		s.Reals = slices.Delete(s.Reals, i, i+1)
		return nil
	}
	if real.Forward == model.Local {
		real.Forward = model.DR
	}
	if faults := s.CheckReal(&real); len(faults) > 0 {
		return refuse(model.Invalid, "", "%s: %s", what, faults[0].Text)
	}
	if op == model.AddReal {
		s.Reals = append(s.Reals, real)
		return nil
	}
	if real.Name == "" {
		real.Name = s.Reals[i].Name
	}
	s.Reals[i] = real
	return nil
}
