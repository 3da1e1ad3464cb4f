package main

import (
	"errors"
	"os"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/config"
	"naru/internal/model"
)

// explainOne is the table of what the errors of other packages mean to a caller.
func explainOne(err error) error {
	if errors.Is(err, api.ErrUnreachable) {
		return &cli.Error{Code: cli.Unreachable, Err: err}
	}
	var refused *api.Error
	if errors.As(err, &refused) {
		code := cli.Failed
		if refused.Code == model.Denied {
			code = cli.Unable
		}
		return &cli.Error{Code: code, Err: err, Hint: refused.Hint}
	}
	var fault config.Error
	if errors.As(err, &fault) {
		return &cli.Error{Code: cli.Usage, Err: err} // its own text says the mend
	}
	var hinting interface {
		error
		Hint() string
	}
	if errors.As(err, &hinting) {
		return &cli.Error{Code: cli.Failed, Err: err, Hint: hinting.Hint()}
	}
	return err
}

// needRoot refuses to start what would fail half-way for want of privilege.
func needRoot(command string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return cli.Errorf(cli.Unable, "%s: this needs root", command).WithHint("try 'sudo %s'", command)
}
