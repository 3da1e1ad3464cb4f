package config

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
)

//go:embed reference.yaml
var reference []byte

//go:embed real.yaml
var realReference []byte

// Reference returns the director's file with every key, commented: the manual.
func Reference() []byte { return slices.Clone(reference) }

// RealReference returns the same for the real server's file.
func RealReference() []byte { return slices.Clone(realReference) }

// Schema returns the JSON Schema of the director's file, made from the tables of keys
// that Parse uses.
func Schema() []byte {
	return document("naru.yaml: a director", objectSchema("The services of a director, and how it carries them.", configFields()))
}

// RealSchema returns the JSON Schema of the real server's file.
func RealSchema() []byte {
	return document("naru's real.yaml: a real server", objectSchema("The VIPs that a machine is a real server of.", realConfigFields()))
}

// document writes a schema of a whole file; an empty file is a valid one.
func document(title string, s schema) []byte {
	s = orNull(s)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil { // only our own constants are in it
		panic(fmt.Sprintf("write schema: %v", err))
	}
	return append(out, '\n')
}
