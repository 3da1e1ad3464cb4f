package ipvsadm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"naru/internal/model"
)

func TestParseForms(t *testing.T) {
	web := Place{"1.2.3.4", "80"}
	for _, test := range []struct {
		args string
		want Command
	}{
		{"", Command{}},
		{"-Ln", Command{Numeric: true}},
		{"-Lcn", Command{Numeric: true, View: Conns}},
		{"-ln --rate --stats", Command{Numeric: true, View: Stats}},
		{"-L --timeout --json", Command{View: Timeouts, JSON: true}},
		{"-At 1.2.3.4:80 -s mh", Command{Verb: AddService, Protocol: model.TCP, Service: web, Scheduler: model.MH}},
		{"-Eu1.2.3.4:80", Command{Verb: EditService, Protocol: model.UDP, Service: web}},
		{"-at 1.2.3.4:80 -r rs1:http -mw5", Command{Verb: AddReal, Protocol: model.TCP, Service: web,
			Real: Place{"rs1", "http"}, Forward: model.NAT, Forwarded: true, Weight: 5}},
		{"-e -t 1.2.3.4:80 -r [2001:DB8::1]:080 -i --weight=0", Command{Verb: EditReal, Protocol: model.TCP, Service: web,
			Real: Place{"2001:db8::1", "80"}, Forward: model.TUN, Forwarded: true}},
		{"-e -t 1.2.3.4:80 -r 5.6.7.8", Command{Verb: EditReal, Protocol: model.TCP, Service: web,
			Real: Place{Host: "5.6.7.8"}, Weight: 1}},
		{"--set 900 120 300", Command{Verb: SetTimeouts, Timeouts: model.DefaultTimeouts}},
		{"-h --whatever", Command{Verb: Help}},
	} {
		got, err := Parse(strings.Fields(test.args))
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
		} else if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.args, diff)
		}
	}
}

// seed adds every command line of the golden files.
func seed(f *testing.F, add func(line, stdin string)) {
	files, _ := filepath.Glob("testdata/golden/*.txt")
	if len(files) == 0 {
		f.Fatal("no golden files")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "$ ipvsadm"); ok {
				add(strings.TrimSpace(rest), "")
			} else if rest, ok := strings.CutPrefix(line, "< "); ok {
				add("", rest)
			}
		}
	}
}

// FuzzParse holds that whatever is accepted can be written down again and is then read
// as the same. Words are separated by newlines, so that they may contain blanks.
func FuzzParse(f *testing.F) {
	seed(f, func(line, _ string) { f.Add(strings.Join(shellWords(line+" "), "\n")) })
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(strings.Split(text, "\n"))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		again, err := Parse(c.Args())
		if err != nil {
			t.Fatalf("%q was read as %q, which is not: %v", text, c.Args(), err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("%q was read as %q (-first +second)\n%s", text, c.Args(), diff)
		}
	})
}

// FuzzRestore holds the same for the lines of a restore.
func FuzzRestore(f *testing.F) {
	seed(f, func(line, stdin string) { f.Add(line + "\n" + stdin) })
	f.Add("# nothing\n\n-A -t web:http # a service\nipvsadm -a -t web:http -r rs1\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := ParseRestore(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("an error without a line: %v", err)
			}
			return
		}
		var b strings.Builder
		for _, line := range lines {
			b.WriteString(strings.Join(line.Args(), " ") + "\n")
		}
		again, err := ParseRestore(strings.NewReader(b.String()))
		if err != nil || len(again) != len(lines) {
			t.Fatalf("%q was read as %q, which is not: %v", text, b.String(), err)
		}
		for i := range lines {
			if diff := cmp.Diff(lines[i].Command, again[i].Command); diff != "" {
				t.Errorf("%q (-first +second)\n%s", text, diff)
			}
		}
	})
}
