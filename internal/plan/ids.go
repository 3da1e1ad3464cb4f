package plan

import "fmt"

// FullError says that a table has no room for what is wanted.
type FullError struct {
	Table   string // "service", "real" or "ring"
	Size    uint32 // how many entries, or buckets of rings, it can hold
	Wanted  uint64 // of rings: how many buckets are wanted
	Retired uint32 // entries of removed services or reals whose conns have not ended
}

// Error implements error.
func (e *FullError) Error() string {
	switch {
	case e.Table == "ring":
		return fmt.Sprintf("the ring table is full: it holds %d buckets and the services with scheduler sh or mh need %d", e.Size, e.Wanted)
	case e.Retired > 0:
		return fmt.Sprintf("the %s table is full: it holds %d, and %d of them were removed but still have conns", e.Table, e.Size, e.Retired)
	}
	return fmt.Sprintf("the %s table is full: it holds %d", e.Table, e.Size)
}

// Hint says how to mend it.
func (e *FullError) Hint() string {
	switch {
	case e.Table == "ring":
		return "give some services another scheduler, or make the table larger"
	case e.Retired > 0:
		return fmt.Sprintf("wait until those conns have ended, remove %ss, or make the table larger", e.Table)
	}
	return fmt.Sprintf("remove %ss, or make the table larger", e.Table)
}

// ids gives out the ids of one table, lowest first.
type ids struct {
	table   string
	size    uint32
	next    uint32            // to look at
	used    func(uint32) bool // says whether an entry has the id
	freed   []uint32          // given back by this Diff: taken last, so that they rest as long as possible
	retired uint32            // entries that cannot be given back yet
}

func (p *ids) giveBack(id uint32) { p.freed = append(p.freed, id) }

// take returns an id that no entry has.
func (p *ids) take() (uint32, error) {
	if id, ok := p.unused(); ok {
		return id, nil
	}
	if len(p.freed) > 0 {
		id := p.freed[0]
		p.freed = p.freed[1:]
		return id, nil
	}
	return 0, &FullError{Table: p.table, Size: max(p.size, 1) - 1, Retired: p.retired}
}

// unused returns an id that no entry had before this Diff.
func (p *ids) unused() (uint32, bool) {
	for p.next < p.size {
		id := p.next
		p.next++
		if !p.used(id) {
			return id, true
		}
	}
	return 0, false
}
