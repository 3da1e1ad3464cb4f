package ipvsadm

import (
	"errors"
	"fmt"
	"strings"

	"naru/internal/api"
	"naru/internal/model"
)

// The messages that are said in more than one place, as ipvsadm 1.31 words them.
const (
	textTryHelp     = "Try `ipvsadm -h' or 'ipvsadm --help' for more information."
	textNoService   = "No such service"
	textNoScheduler = "Scheduler or persistence engine not found"
)

// usage is a fault of the arguments, found before anything was done.
type usage struct {
	code int
	text string
}

// Error implements error.
func (u *usage) Error() string { return u.text }

func usagef(format string, args ...any) error {
	return &usage{exitUsage, fmt.Sprintf(format, args...)}
}

// notCarried refuses what ipvsadm knows and naru does not have.
func notCarried(what string) error {
	return usagef("option %s is not carried by this version of naru", what)
}

// The faults of addresses, which also a name that does not resolve has.
var (
	errService = usagef("illegal virtual server address[:port] specified")
	errReal    = usagef("illegal real server address[:port] specified")
)

// errNoTable is a list of a service that does not exist.
var errNoTable = &usage{exitNoTable, textNoService}

// unreachable says that the director could not be asked.
type unreachable struct{ cause error }

// Error implements error.
func (u *unreachable) Error() string { return u.cause.Error() }

// Unwrap implements errors.Unwrap.
func (u *unreachable) Unwrap() error { return u.cause }

// report prints err, of carrying out c, and returns the exit code it calls for.
func (t *tool) report(err error, c Command) int {
	var (
		fault   *usage
		gone    *unreachable
		refusal *model.Refusal
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &fault):
		t.complain(fault.text)
		return fault.code
	case errors.As(err, &gone):
		t.complain("Can't initialize ipvs: " + gone.Error())
		t.complain(unreachableHint(gone.cause))
		return exitUsage
	case errors.As(err, &refusal):
		t.complain(refusalText(refusal, c.Verb))
		return exitRefused
	}
	t.complain(err.Error())
	return exitNoTable
}

func (t *tool) complain(text string) { fmt.Fprintln(t.env.Stderr, text) }

// unreachableHint says how to mend what kept the director from being asked.
func unreachableHint(cause error) string {
	var refusal *model.Refusal
	if errors.As(cause, &refusal) && refusal.Hint != "" {
		return refusal.Hint
	}
	if errors.Is(cause, api.ErrUnreachable) { // which says how to start it
		return "If it should be running, see 'systemctl status naru'."
	}
	return "Is the director running? Start it by 'naru run', or see 'systemctl status naru'."
}

// refusalText returns the kernel's words for a refusal if it has some, else naru's.
func refusalText(r *model.Refusal, v Verb) string {
	switch r.Code {
	case model.ServiceExists:
		return "Service already exists"
	case model.NoService:
		if v == AddReal || v == EditReal || v == DeleteReal {
			return "Service not defined"
		}
		return textNoService
	case model.RealExists:
		return "Destination already exists"
	case model.NoReal:
		return "No such destination"
	case model.Denied:
		return joined("Permission denied (you must be root)", r.Message, r.Hint)
	}
	return joined(r.Message, r.Hint)
}

// joined puts each text that is not empty on a line.
func joined(texts ...string) string {
	var b strings.Builder
	for _, text := range texts {
		if text != "" {
			b.WriteString("\n" + text)
		}
	}
	return strings.TrimPrefix(b.String(), "\n")
}
