package ipvsadm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"naru/internal/model"
)

// scene is what the commands of one script share.
type scene struct {
	t        *testing.T
	director *director
	code     int
}

// TestScripts runs testdata/script. Beside testscript's own there are the commands
//
//	[!] ipvsadm ARG… [< FILE]   one invocation; with ! it must not exit with 0
//	status N                    what the last one exited with
//	table FILE                  the director's table, as the API writes it
//	director down|MESSAGE       no director answers; it refuses whatever it is asked
//	notes TEXT                  what it notes about edits from now on
//	requests N                  how many requests with edits it has had
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Values["scene"] = &scene{t: t, director: newDirector()}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ipvsadm": scriptInvoke, "status": scriptStatus, "table": scriptTable,
			"director": scriptDirector, "notes": scriptNotes, "requests": scriptRequests,
		},
	})
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value("scene").(*scene) }

func scriptInvoke(ts *testscript.TestScript, neg bool, args []string) {
	s, stdin := sceneOf(ts), ""
	if i := slices.Index(args, "<"); i >= 0 {
		stdin, args = ts.ReadFile(args[i+1]), args[:i]
	}
	got := invoke(s.t, s.director, stdin, args...)
	io.WriteString(ts.Stdout(), got.out)
	io.WriteString(ts.Stderr(), got.err)
	if s.code = got.code; neg != (s.code != 0) {
		ts.Fatalf("ipvsadm %q: exit code %d: %s", args, s.code, got.err)
	}
}

func scriptStatus(ts *testscript.TestScript, _ bool, args []string) {
	if want := args[0]; want != strconv.Itoa(sceneOf(ts).code) {
		ts.Fatalf("exit code %d, want %s", sceneOf(ts).code, want)
	}
}

func scriptTable(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &sceneOf(ts).director.table))
}

func scriptDirector(ts *testscript.TestScript, _ bool, args []string) {
	s := sceneOf(ts)
	if args[0] == "down" {
		s.director.fail = errors.New("connect /run/x: no such file")
		return
	}
	s.director.fail = &model.Refusal{Code: model.Code(args[0]), Message: args[1], Hint: args[2], Edit: -1}
}

func scriptNotes(ts *testscript.TestScript, _ bool, args []string) {
	sceneOf(ts).director.notes = args
}

func scriptRequests(ts *testscript.TestScript, _ bool, args []string) {
	if got := fmt.Sprint(len(sceneOf(ts).director.requests)); got != args[0] {
		ts.Fatalf("%s requests with edits, want %s", got, args[0])
	}
}
