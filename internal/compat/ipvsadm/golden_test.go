package ipvsadm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"naru/internal/api"
	"naru/internal/model"
)

// step is one command of a golden file and what ipvsadm said to it.
type step struct {
	line  int
	args  []string
	stdin string
	want  result
}

// readGolden reads a file of the form that testdata/record.sh writes.
func readGolden(t *testing.T, file string) []step {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	line := 0
	for text := range strings.Lines(string(b)) {
		line++
		rest := strings.TrimPrefix(text[1:], " ")
		if text[0] == '$' {
			steps = append(steps, step{line: line, args: shellWords(rest)[1:]})
			continue
		}
		if text[0] == '#' {
			continue
		}
		s := &steps[len(steps)-1]
		switch text[0] {
		case '<':
			s.stdin += rest
		case '>':
			s.want.out += rest
		case '!':
			s.want.err += rest
		case '=':
			if s.want.code, err = strconv.Atoi(strings.TrimSpace(rest)); err != nil {
				t.Fatalf("%s:%d: %v", file, line, err)
			}
		default:
			t.Fatalf("%s:%d: cannot read %q", file, line, text)
		}
	}
	return steps
}

// shellWords splits at blanks outside single quotes.
func shellWords(s string) (words []string) {
	var word strings.Builder
	open, quoted := false, false
	for _, c := range s {
		switch {
		case c == '\'':
			open, quoted = true, !quoted
		case strings.ContainsRune(" \n", c) && !quoted:
			if open {
				words = append(words, word.String())
			}
			open = false
			word.Reset()
		default:
			open = true
			word.WriteRune(c)
		}
	}
	return words
}

// TestSaysWhatIpvsadmSays holds every command line of testdata/golden to the output,
// the messages and the exit code that were recorded.
func TestSaysWhatIpvsadmSays(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			d := newDirector()
			for _, s := range readGolden(t, file) {
				got := invoke(t, d, s.stdin, s.args...)
				if diff := cmp.Diff(s.want, got, cmp.AllowUnexported(result{})); diff != "" {
					t.Errorf("%s:%d: ipvsadm %q (-want +got)\n%s", file, s.line, s.args, diff)
				}
			}
		})
	}
}

// TestListsTraffic holds the views of a director under traffic to what was recorded.
func TestListsTraffic(t *testing.T) {
	files, err := filepath.Glob("testdata/traffic/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		d := newDirector()
		var state struct {
			Table api.Services
			Conns []model.Conn
		}
		b, err := os.ReadFile(strings.TrimSuffix(file, ".txt") + ".json")
		if err == nil {
			err = json.Unmarshal(b, &state)
		}
		if err != nil {
			t.Fatal(err)
		}
		d.table, d.conns = state.Table, state.Conns
		for _, s := range readGolden(t, file) {
			got := invoke(t, d, "", s.args...)
			if diff := cmp.Diff(s.want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("%s:%d: ipvsadm %q (-want +got)\n%s", file, s.line, s.args, diff)
			}
		}
	}
}
