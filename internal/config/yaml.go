package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// kind is what a node is, as far as our files tell values apart.
type kind uint8

const (
	empty kind = iota // null, or nothing at all
	text
	number // anything YAML does not take for text: 80, -1, 1.5, 0x50
	boolean
	list
	table
	refused // already reported; whoever reads it says nothing more
)

// place is where something is written, from 1.
type place struct{ line, column int }

// node is a value as written. It has nothing of YAML beyond what our files use:
// aliases, anchors, tags and merge keys are refused while it is made, so that a file
// means what it shows and cannot grow when it is read.
type node struct {
	place
	kind  kind
	text  string // of a scalar: without quotes
	items []node // of a list
	pairs []pair // of a table, in the order of the file, duplicates included
}

type pair struct{ key, value node }

// find returns the value of the first such key of a table.
func (n node) find(key string) (node, bool) {
	for _, p := range n.pairs {
		if p.key.text == key {
			return p.value, true
		}
	}
	return node{}, false
}

// describe says what a value is, for a sentence that goes on with what to write.
func (n node) describe() string {
	switch n.kind {
	case empty:
		return "empty"
	case text:
		return fmt.Sprintf("%q", n.text)
	case list:
		return "a list"
	case table:
		return "a map"
	}
	return n.text
}

// parseYAML reads a file into nodes. After a fault of syntax nothing else is said:
// what follows it cannot be trusted.
func (d *decoder) parseYAML(data []byte) node {
	root := node{place: place{1, 1}}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at, hint, what := unreadable(data); what != "" {
		d.fault(at, "", hint, "%s", what)
		return root
	}
	file, err := parseTokens(lexer.Tokenize(string(data)))
	if err != nil {
		d.syntax(err)
		return root
	}
	docs := file.Docs
	if len(docs) > 0 {
		if _, is := docs[0].Body.(*ast.DirectiveNode); is {
			d.refuse(docs[0].Body, "directives such as %YAML", "leave the line out")
			docs = docs[1:]
		}
	}
	if len(docs) > 1 {
		at := place{1, 1}
		if docs[1].Start != nil {
			at = placeOf(docs[1].Start)
		}
		d.fault(at, "", "keep one and take the --- line out", "a second document begins here")
	}
	if len(docs) > 0 && docs[0].Body != nil {
		root = d.node(docs[0].Body)
	}
	return root
}

// unreadable finds what the YAML library should not be given.
func unreadable(data []byte) (at place, hint, what string) {
	if len(data) > maxFile {
		return place{1, 1}, "", fmt.Sprintf("the file has %d bytes, which is more than %d", len(data), maxFile)
	}
	for line := range bytes.Lines(data) {
		at.line++
		if len(line) > maxLine {
			return place{at.line, 1}, "break it", fmt.Sprintf("the line has %d bytes, which is more than %d", len(line), maxLine)
		}
		if utf8.Valid(line) {
			continue
		}
		for len(line) > 0 {
			at.column++
			r, n := utf8.DecodeRune(line)
			if r == utf8.RuneError && n == 1 {
				break
			}
			line = line[n:]
		}
		return at, "save the file as UTF-8", "here is a byte that is not UTF-8"
	}
	return at, "", ""
}

// parseTokens runs the library's parser. A file must not end the daemon: one nested so
// deeply that the recursive parser runs out of stack, which Go cannot recover from, is
// refused before, and a panic of the library is a fault of syntax.
func parseTokens(tokens token.Tokens) (file *ast.File, err error) {
	if tk := tooDeep(tokens); tk != nil {
		return nil, &yaml.SyntaxError{Message: "lists and maps are nested too deeply", Token: tk}
	}
	defer func() {
		if recover() != nil {
			file, err = nil, errors.New("the text is not YAML")
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// tooDeep returns the first token that lies more than maxDepth levels deep. Levels
// come from brackets, from indentation, and from marks that follow each other.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, marks := 0, 0
	prev := &token.Token{Position: &token.Position{}}
	for _, tk := range tokens {
		starts := tk.Position.Line != prev.Position.Line // its line
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType:
			if starts { // a sibling of what stands above, or indented
				marks = 0
			}
			marks++
		case token.TagType, token.AnchorType:
			marks++
		default:
			if prev.Type != token.AnchorType { // an anchor's name does not end a run
				marks = 0
			}
		}
		indented := starts && brackets <= 0 && tk.Type != token.CommentType && tk.Position.Column > 2*maxDepth
		if brackets > maxDepth || marks > maxDepth || indented {
			return tk
		}
		prev = tk
	}
	return nil
}

// syntax reports what the library could not read.
func (d *decoder) syntax(err error) {
	at, message := place{1, 1}, err.Error()
	var known yaml.Error
	if errors.As(err, &known) {
		message = known.GetMessage()
		if tk := known.GetToken(); tk != nil {
			at = placeOf(tk)
		}
	}
	d.fault(at, "", "", "cannot be read as YAML: %s", message)
}

// refuse reports a part of YAML that our files do not use.
func (d *decoder) refuse(n ast.Node, what, hint string) {
	d.fault(placeOf(n.GetToken()), "", hint, "%s are not used here", what)
}

func placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{1, 1}
	}
	return place{tk.Position.Line, tk.Position.Column}
}

// key converts a key, which for our files is a single word.
func (d *decoder) key(n ast.Node) node {
	if explicit, is := n.(*ast.MappingKeyNode); is {
		n = explicit.Value
	}
	key := d.node(n)
	if key.kind == list || key.kind == table {
		d.fault(key.place, "", "write a single word", "the key is %s", key.describe())
		key.text = ""
	}
	return key
}

var digits = regexp.MustCompile(`^[-+]?[0-9]+$`)

// node converts a node of the library.
func (d *decoder) node(n ast.Node) node {
	if n == nil { // an anchor or tag without a value
		return node{}
	}
	out := node{place: placeOf(n.GetToken()), text: n.GetToken().Value}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		out.kind, out.text = text, n.Value
		if n.Token.Type == token.StringType && digits.MatchString(n.Value) {
			out.kind = number // the library takes 080 and what exceeds 64 bits for text
		}
	case *ast.LiteralNode:
		out.kind, out.text = text, n.Value.Value
	case *ast.BoolNode:
		out.kind = boolean
	case *ast.SequenceNode:
		out.kind = list
		for _, item := range n.Values {
			out.items = append(out.items, d.node(item))
		}
	case *ast.MappingNode:
		d.table(&out, n.Values)
	case *ast.MappingValueNode:
		d.table(&out, []*ast.MappingValueNode{n})
	case *ast.AnchorNode:
		d.refuse(n, "anchors (&)", "write values where they are used")
		return d.node(n.Value)
	case *ast.AliasNode:
		d.refuse(n, "aliases (*)", "write the value out")
		out.kind, out.text = refused, ""
	case *ast.TagNode:
		d.refuse(n, "tags (!)", "leave it out")
		return d.node(n.Value)
	default:
		out.kind = number
	}
	return out
}

// table fills a table; it begins where its first key does, or its brace.
func (d *decoder) table(out *node, values []*ast.MappingValueNode) {
	out.kind = table
	for i, v := range values {
		if i == 0 && out.text != "{" {
			out.place = placeOf(v.Key.GetToken())
		}
		if v.Key.IsMergeKey() {
			d.refuse(v.Key, "merge keys (<<)", "write the keys out")
			continue
		}
		key := d.key(v.Key)
		value := d.node(v.Value)
		if value.kind == empty { // nothing is written: the library's place is arbitrary
			value.place = key.place
		}
		out.pairs = append(out.pairs, pair{key, value})
	}
}
