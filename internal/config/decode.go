package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file is the strict decoder. A field says once how its key is read and how a
// JSON Schema describes it; object reads a map by its fields, reports every key it
// does not know, and goes on after a fault, so that one reading finds all of them.

// decoder gathers the faults of one file.
type decoder struct {
	file   string
	faults Errors
}

func (d *decoder) fault(at place, path, hint, format string, args ...any) {
	d.faults = append(d.faults, Error{
		File: d.file, Line: at.line, Column: at.column,
		Path: path, Text: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// scope is a decoder within the thing that path names.
type scope struct {
	*decoder
	path string
}

func (s scope) fault(at place, hint, format string, args ...any) {
	s.decoder.fault(at, s.path, hint, format, args...)
}

// in returns the scope of a part.
func (s scope) in(part string) scope {
	if s.path != "" {
		part = s.path + ": " + part
	}
	return scope{s.decoder, part}
}

// wrong reports a value of the wrong type.
func (s scope) wrong(n node, key, want string) {
	if n.kind != refused {
		s.fault(n.place, "write "+want, "%s is %s", key, n.describe())
	}
}

// schema is a JSON Schema, draft 2020-12.
type schema map[string]any

// value is a kind of value: how to read it and how a schema describes it. read
// reports what is wrong and then returns false.
type value[V any] struct {
	schema schema
	read   func(s scope, key string, n node) (V, bool)
}

// field is one key of a map that is read into a T.
type field[T any] struct {
	name     string
	doc      string // one sentence for the schema
	required bool
	schema   schema
	read     func(s scope, n node, into *T) bool
}

// bind makes a field that reads v into what at points to, and leaves that alone if
// the value cannot be read.
func bind[T, V any](name, doc string, v value[V], at func(*T) *V) field[T] {
	return field[T]{name: name, doc: doc, schema: v.schema, read: func(s scope, n node, into *T) bool {
		got, ok := v.read(s, name, n)
		if ok {
			*at(into) = got
		}
		return ok
	}}
}

// must returns f as a key that may not be missing.
func must[T any](f field[T]) field[T] {
	f.required = true
	return f
}

// record is what object learnt about a map beside its values.
type record struct {
	place
	written map[string]place // where the value of each known key is
	bad     map[string]bool  // keys whose value is unknown: unreadable, or missing though required
}

// has says whether the key is written, well or badly.
func (r record) has(key string) bool { _, ok := r.written[key]; return ok }

// at returns the place of the first of the keys that is written, else of the map.
func (r record) at(keys ...string) place {
	for _, key := range keys {
		if p, ok := r.written[key]; ok {
			return p
		}
	}
	return r.place
}

// object reads a map by its fields. key is what s calls the map, empty for a whole
// file; want is for the sentence that refuses what is no map. Nothing written is an
// empty map, where one is allowed.
func object[T any](s scope, key, want string, n node, fields []field[T], into *T) record {
	r := record{place: n.place, written: map[string]place{}, bad: map[string]bool{}}
	required := slices.ContainsFunc(fields, func(f field[T]) bool { return f.required })
	if n.kind != table && (n.kind != empty || required) {
		s.wrong(n, cmp.Or(key, "the file"), want)
		for _, f := range fields {
			r.bad[f.name] = true
		}
		return r
	}
	if key != "" {
		s = s.in(key)
	}
	for _, p := range s.distinct(n) {
		i := slices.IndexFunc(fields, func(f field[T]) bool { return f.name == p.key.text })
		if i < 0 {
			s.unknown(p.key, names(fields))
			continue
		}
		r.written[p.key.text] = p.value.place
		if !fields[i].read(s, p.value, into) {
			r.bad[p.key.text] = true
		}
	}
	for _, f := range fields {
		if f.required && !r.has(f.name) {
			s.fault(r.place, "", "%s is missing", f.name)
			r.bad[f.name] = true
		}
	}
	return r
}

// distinct returns the pairs of a table without those whose key came before, which
// it reports.
func (s scope) distinct(n node) []pair {
	out := make([]pair, 0, len(n.pairs))
	first := make(map[string]int, len(n.pairs))
	for _, p := range n.pairs {
		switch line, twice := first[p.key.text]; {
		case p.key.kind == list || p.key.kind == table || p.key.kind == refused: // reported when read
		case twice:
			s.fault(p.key.place, "", "key %q is written twice (first on line %d)", p.key.text, line)
		default:
			first[p.key.text] = p.key.line
			out = append(out, p)
		}
	}
	return out
}

func names[T any](fields []field[T]) []string {
	out := make([]string, len(fields))
	for i := range fields {
		out[i] = fields[i].name
	}
	return out
}

// unknown reports a key, with the known one it looks like if there is one.
func (s scope) unknown(key node, known []string) {
	hint := "known here: " + strings.Join(known, ", ")
	if near := nearest(key.text, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	s.fault(key.place, hint, "unknown key %q", key.text)
}

// nearest returns the known word that a slip of the fingers away from got, or "".
func nearest(got string, known []string) string {
	best, at := "", 1+max(1, len(got)/3)
	if len(got) > 2*maxName { // no slip: spare the work
		return ""
	}
	for _, word := range known {
		if d := distance(strings.ToLower(got), word); d < at {
			best, at = word, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// objectSchema describes what object reads.
func objectSchema[T any](doc string, fields []field[T]) schema {
	properties := schema{}
	var required []string
	for _, f := range fields {
		one := maps.Clone(f.schema)
		one["description"] = f.doc
		properties[f.name] = one
		if f.required {
			required = append(required, f.name)
		}
	}
	out := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if doc != "" {
		out["description"] = doc
	}
	if required != nil {
		out["required"] = required
	}
	return out
}

// orNull lets a list or map be left empty.
func orNull(s schema) schema {
	s["type"] = []any{s["type"], "null"}
	return s
}
