package config

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"naru/internal/model"
)

func defaultTimeouts() model.Timeouts { return model.DefaultTimeouts }

func compileSchema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	data := map[string][]byte{"naru.yaml": Schema(), "real.yaml": RealSchema()}[file]
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("read schema of %s: %v", file, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatalf("compile schema of %s: %v", file, err)
	}
	return s
}

// value is the file as an editor's JSON Schema checker sees it; ok is false for a
// file that it would not come to, such as one that is not YAML.
func instance(data []byte) (v any, ok bool) {
	d := &decoder{}
	root := d.parseYAML(data)
	return plain(root), len(d.faults) == 0
}

func plain(n node) any {
	switch n.kind {
	case empty:
		return nil
	case number:
		var v any
		dec := json.NewDecoder(strings.NewReader(n.text))
		dec.UseNumber()
		if dec.Decode(&v) == nil {
			return v
		}
	case boolean:
		return n.text == "true"
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = plain(item)
		}
		return out
	case table:
		out := map[string]any{}
		for _, p := range n.pairs {
			out[p.key.text] = plain(p.value)
		}
		return out
	}
	return n.text
}

// checkSchema holds the schema to a script: it takes every valid file, and of the
// invalid ones it refuses those that the script says it can see. A valid file may say
// "schema: misread" where the library hands the schema something else than is written.
func checkSchema(t *testing.T, script *txtar.Archive, valid bool) {
	t.Helper()
	input := script.Files[0]
	sees := strings.Contains(string(script.Comment), "schema: sees")
	if blind := strings.Contains(string(script.Comment), "schema: blind"); !valid && sees == blind {
		t.Fatal(`the comment must say "schema: sees" or "schema: blind"`)
	}
	if strings.Contains(string(script.Comment), "schema: misread") {
		return
	}
	v, ok := instance(input.Data)
	if !ok {
		if sees {
			t.Error("the schema cannot see a fault of YAML")
		}
		return
	}
	err := compileSchema(t, input.Name).Validate(v)
	switch {
	case valid && err != nil:
		t.Errorf("the schema refuses a valid file: %v", err)
	case !valid && sees && err == nil:
		t.Error("the schema takes the file")
	case !valid && !sees && err != nil:
		t.Errorf("the schema does see the fault: %v", err)
	}
}

// The reference files are the manual: they parse, the schema takes them, and they
// show every key the decoder knows and no other.
func TestReferencesHaveEveryKey(t *testing.T) {
	for file, c := range map[string]struct {
		text, schema []byte
		parse        func() error
	}{
		"naru.yaml": {Reference(), Schema(), func() error { _, err := Parse("reference.yaml", Reference()); return err }},
		"real.yaml": {RealReference(), RealSchema(), func() error { _, err := ParseReal("real.yaml", RealReference()); return err }},
	} {
		t.Run(file, func(t *testing.T) {
			if err := c.parse(); err != nil {
				t.Fatal(err)
			}
			v, _ := instance(c.text)
			if err := compileSchema(t, file).Validate(v); err != nil {
				t.Error(err)
			}
			var s map[string]any
			if err := json.Unmarshal(c.schema, &s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(schemaKeys(s, ""), fileKeys(v)); diff != "" {
				t.Errorf("keys (-decoder +reference):\n%s", diff)
			}
		})
	}
}

// schemaKeys lists the keys a schema knows, as "services[].reals[].weight"; a map
// whose keys are free is "interfaces.*".
func schemaKeys(s map[string]any, at string) []string {
	var out []string
	if properties, ok := s["properties"].(map[string]any); ok {
		for name, one := range properties {
			out = append(out, at+name)
			out = append(out, schemaKeys(one.(map[string]any), at+name+".")...)
		}
	}
	if more, ok := s["additionalProperties"].(map[string]any); ok {
		out = append(out, schemaKeys(more, at+"*.")...)
	}
	if items, ok := s["items"].(map[string]any); ok {
		out = append(out, schemaKeys(items, strings.TrimSuffix(at, ".")+"[].")...)
	}
	for _, one := range anys(s["anyOf"]) {
		out = append(out, schemaKeys(one.(map[string]any), at)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func anys(v any) []any { out, _ := v.([]any); return out }

// fileKeys lists the keys of a file in the same form.
func fileKeys(v any) []string {
	var out []string
	var walk func(v any, at string)
	walk = func(v any, at string) {
		switch v := v.(type) {
		case map[string]any:
			for name, one := range v {
				if at == "interfaces." {
					name = "*"
				} else {
					out = append(out, at+name)
				}
				walk(one, at+name+".")
			}
		case []any:
			for _, one := range v {
				walk(one, strings.TrimSuffix(at, ".")+"[].")
			}
		}
	}
	walk(v, "")
	slices.Sort(out)
	return slices.Compact(out)
}

// What the reference shows at the top of the file is what a file without it gets.
func TestReferenceShowsTheDefaults(t *testing.T) {
	got, err := Parse("reference.yaml", Reference())
	if err != nil {
		t.Fatal(err)
	}
	want, err := Parse("empty", nil)
	if err != nil {
		t.Fatal(err)
	}
	want.Interfaces, want.Services = got.Interfaces, got.Services
	if diff := cmp.Diff(want.Timeouts, got.Timeouts); diff != "" {
		t.Errorf("timeouts (-default +reference):\n%s", diff)
	}
	if want.VIPs != got.VIPs || want.Miss != got.Miss || want.Conns != got.Conns {
		t.Errorf("got %+v, want the defaults %+v", got, want)
	}
	web := got.Services[0]
	if web.Protocol != DefaultProtocol || web.Scheduler != DefaultScheduler || web.Reals[0].Forward != DefaultForward || web.Reals[0].Weight != DefaultWeight {
		t.Errorf("the first service does not show the defaults: %+v", web)
	}
	if got.Interfaces[0].Hook != DefaultHook {
		t.Errorf("the first interface does not show the default: %+v", got.Interfaces[0])
	}
}

// What Reference returns is the caller's own.
func TestReferenceIsACopy(t *testing.T) {
	Reference()[0], RealReference()[0] = 'x', 'x'
	if Reference()[0] != '#' || RealReference()[0] != '#' {
		t.Error("a caller changed the embedded file")
	}
}
