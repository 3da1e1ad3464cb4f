package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one fault of a file. Its parts are apart so that a program can show them
// its own way; Error() is the one line for people.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 where the fault has no place in a file
	Path         string // what it is about: `services[0] "web": real 2`; empty at the top
	Text         string // what is wrong
	Hint         string // how to mend it, where Text does not say so; may be empty
}

// Error returns "naru.yaml:12:7: services[0] "web": real 2: weight 70000 is out of
// range: use 0 to 65535".
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	for _, part := range []string{e.Path, e.Text, e.Hint} {
		if part != "" {
			b.WriteString(": " + part)
		}
	}
	return b.String()
}

// Errors is every fault of a file, in the order of their places. A caller gets it by
// errors.As from what Parse and ParseReal return.
type Errors []Error

// Error returns one line for each fault.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap implements the interface of joined errors.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}

// err returns nil for no faults, so that callers cannot meet a non-nil empty error.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}
