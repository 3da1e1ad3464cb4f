package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/config"
	"naru/internal/model"
	"naru/internal/server"
)

func TestErrorsOfOtherPackagesHaveTheirCode(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		code int
		want string // of standard error
	}{
		{"none", nil, cli.OK, ""},
		{"unknown", errors.New("boom"), cli.Failed, "naru: error: boom\n"},
		{"no daemon", fmt.Errorf("connect x: %w", api.ErrUnreachable), cli.Unreachable,
			"naru: error: connect x: " + api.ErrUnreachable.Error() + "\n"},
		{"refused", &api.Error{Code: model.FileOwned, Message: "no", Hint: "edit the file"}, cli.Failed,
			"naru: error: no\nnaru: hint: edit the file\n"},
		{"denied", &api.Error{Code: model.Denied, Message: "no"}, cli.Unable, "naru: error: no\n"},
		{"a fault of a file", config.Error{File: "f", Line: 2, Column: 3, Text: "bad"}, cli.Usage, "naru: error: f:2:3: bad\n"},
		{"faults of a file", config.Errors{{File: "f", Text: "bad"}, {File: "f", Text: "worse"}}, cli.Usage,
			"naru: error: f: bad\nnaru: error: f: worse\n"},
		{"in use", fmt.Errorf("api: %w", &server.InUseError{Socket: "s", PID: 7}), cli.Failed,
			"naru: error: api: listen on s: naru runs already, as process 7\n" +
				"naru: hint: stop that one first, or give this one a name of its own by --instance\n"},
		{"our own", cli.Errorf(cli.Unable, "no root"), cli.Unable, "naru: error: no root\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			code := cli.Env{Stderr: &b}.Report(explain(test.err))
			if code != test.code || b.String() != test.want {
				t.Errorf("exit %d and\n%swant %d and\n%s", code, b.String(), test.code, test.want)
			}
		})
	}
}
