package api

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"naru/internal/model"
)

// document is as much of OpenAPI as the file uses.
type document struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas   map[string]schema
		Responses map[string]body
	}
}

type operation struct {
	RequestBody *body           `yaml:"requestBody"`
	Responses   map[string]body `yaml:"responses"`
}

type body struct {
	Ref     string `yaml:"$ref"`
	Content map[string]struct{ Schema schema }
}

type schema struct {
	Ref        string `yaml:"$ref"`
	Type       string
	Enum       []string
	Required   []string
	Properties map[string]schema
	Items      *schema
	Additional *schema `yaml:"additionalProperties"`
}

func readDocument(t *testing.T) document {
	t.Helper()
	b, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := yaml.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// operations is what api.go's comments say about the paths, by path.
var operations = map[string]struct {
	method          string
	request, answer any
}{
	PathServices: {"get", nil, Services{}},
	PathEdits:    {"post", EditsRequest{}, EditsAnswer{}},
	PathConns:    {"get", nil, Conns{}},
	PathReload:   {"post", Empty{}, Reload{}},
	PathStatus:   {"get", nil, Status{}},
	PathStop:     {"post", Empty{}, Empty{}},
}

func TestDocumentHasEveryPath(t *testing.T) {
	d := readDocument(t)
	want := constants(t, "api.go", func(name, _ string) bool { return strings.HasPrefix(name, "Path") })
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(d.Paths))); diff != "" {
		t.Errorf("paths (-code +document):\n%s", diff)
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(operations))); diff != "" {
		t.Errorf("paths (-code +this test):\n%s", diff)
	}
	ref := func(b body) string { return b.Content["application/json"].Schema.Ref }
	for path, want := range operations {
		op, ok := d.Paths[path][want.method]
		if !ok || len(d.Paths[path]) != 1 {
			t.Errorf("%s: the document's methods are %v, want only %s", path, slices.Collect(maps.Keys(d.Paths[path])), want.method)
			continue
		}
		if got := ref(op.Responses["200"]); got != refOf(want.answer) {
			t.Errorf("%s: answers %q, want %q", path, got, refOf(want.answer))
		}
		if op.Responses["default"].Ref != "#/components/responses/Refused" {
			t.Errorf("%s: has no default response", path)
		}
		switch {
		case (want.request == nil) != (op.RequestBody == nil):
			t.Errorf("%s: takes a request in one of code and document only", path)
		case want.request != nil && ref(*op.RequestBody) != refOf(want.request):
			t.Errorf("%s: takes %q, want %q", path, ref(*op.RequestBody), refOf(want.request))
		}
	}
	if got := ref(d.Components.Responses["Refused"]); got != refOf(Error{}) {
		t.Errorf("Refused is a %q, want %q", got, refOf(Error{}))
	}
}

func refOf(v any) string { return reference(reflect.TypeOf(v)) }

func reference(t reflect.Type) string { return "#/components/schemas/" + schemaName(t) }

// schemaName returns what the document calls a type.
func schemaName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return "Address"
	case reflect.TypeFor[netip.AddrPort]():
		return "AddressPort"
	case reflect.TypeFor[model.Service]():
		return "ServiceAsked"
	case reflect.TypeFor[model.Real]():
		return "RealAsked"
	case reflect.TypeFor[Error]():
		return "Error"
	}
	return t.Name()
}

func TestDocumentHasEveryField(t *testing.T) {
	d := readDocument(t)
	want := make(map[string]schema)
	for _, op := range operations {
		describe(want, reflect.TypeOf(op.answer))
		if op.request != nil {
			describe(want, reflect.TypeOf(op.request))
		}
	}
	describe(want, reflect.TypeFor[Error]())
	for name, values := range enums(t) {
		want[name] = schema{Type: "string", Enum: values}
	}
	if diff := cmp.Diff(want, d.Components.Schemas); diff != "" {
		t.Errorf("schemas (-code +document):\n%s", diff)
	}
}

// describe adds the schema of a type, and those of all types within it, and returns
// how a field of it is written.
func describe(all map[string]schema, t reflect.Type) schema {
	switch {
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		if _, known := all[schemaName(t)]; !known {
			all[schemaName(t)] = schema{Type: "string"}
		}
		return schema{Ref: reference(t)}
	case t.Kind() == reflect.Struct:
		if _, known := all[schemaName(t)]; !known {
			s := schema{Type: "object"}
			describeFields(all, t, &s)
			all[schemaName(t)] = s
		}
		return schema{Ref: reference(t)}
	case t.Kind() == reflect.Slice:
		items := describe(all, t.Elem())
		return schema{Type: "array", Items: &items}
	case t.Kind() == reflect.Map:
		values := describe(all, t.Elem())
		return schema{Type: "object", Additional: &values}
	case t.Kind() == reflect.Bool:
		return schema{Type: "boolean"}
	case t.Kind() == reflect.String && t.PkgPath() != "":
		return schema{Ref: reference(t)}
	case t.Kind() == reflect.String:
		return schema{Type: "string"}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return schema{Type: "integer"}
	}
	panic(fmt.Sprintf("api: type %s has no form on the wire", t))
}

func describeFields(all map[string]schema, t reflect.Type, s *schema) {
	for f := range t.Fields() {
		tag, named := f.Tag.Lookup("json")
		if f.Anonymous && !named {
			describeFields(all, f.Type, s) // inlined, as encoding/json does
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if s.Properties == nil {
			s.Properties = make(map[string]schema)
		}
		s.Properties[name] = describe(all, f.Type)
		if !strings.Contains(options, "omit") {
			s.Required = append(s.Required, name)
		}
	}
}

// enums returns the values of every enumeration on the wire.
func enums(t *testing.T) map[string][]string {
	of := func(typ string) []string {
		return constants(t, "../model/edit.go", func(_, t string) bool { return t == typ })
	}
	var states, forwards []string
	for s := model.State(0); !strings.HasPrefix(s.String(), "STATE("); s++ {
		states = append(states, s.String())
	}
	for f := model.Forward(0); !strings.HasPrefix(f.String(), "forward("); f++ {
		forwards = append(forwards, f.String())
	}
	return map[string][]string{
		"EditOp":    of("EditOp"),
		"OwnerKind": of("OwnerKind"),
		"Code":      of("Code"),
		"Scheduler": model.Schedulers(),
		"State":     states,
		"Forward":   forwards,
		"Protocol":  {model.TCP.String(), model.UDP.String()},
	}
}

// constants returns the values of a file's string constants, in their order.
func constants(t *testing.T, file string, wanted func(name, typ string) bool) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is || len(spec.Values) != 1 {
			return true
		}
		typ := ""
		if id, is := spec.Type.(*ast.Ident); is {
			typ = id.Name
		}
		lit, is := spec.Values[0].(*ast.BasicLit)
		if !is || lit.Kind != token.STRING || !wanted(spec.Names[0].Name, typ) {
			return true
		}
		value, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s: no such constants", file)
	}
	return values
}
