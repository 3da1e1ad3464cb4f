// Package cli is how naru's commands talk to people. Its rules:
//
//   - Results go to standard output, everything else to standard error.
//   - An error is one line, "naru: error: …", then, where the mend is known, one
//     line "naru: hint: …". No capitals, no full stop.
//   - Progress and colours appear only on a terminal (NO_COLOR turns colours off).
//   - The exit codes below are the whole contract, and every help text repeats them.
//
// The compat commands (ipvsadm) follow their originals instead and use only Env.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// The exit codes of every naru command.
const (
	OK          = 0 // done
	Failed      = 1 // tried, and it did not work
	Usage       = 2 // the command line or the configuration is wrong; nothing was done
	Unable      = 3 // this machine cannot: no root, or a kernel without a feature
	Unreachable = 4 // no daemon answers
)

// ExitCodes is the text that help pages show.
const ExitCodes = `exit codes:
  0  done
  1  tried, and it did not work
  2  the command line or the configuration is wrong; nothing was done
  3  this machine cannot: no root, or a kernel without a needed feature
  4  no daemon answers on the instance's socket`

// Env is the world as a command sees it.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
}

// OS returns the process's own world.
func OS() Env {
	return Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
}

// Terminal says whether w is a terminal on which colours and progress are welcome.
func (e Env) Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || e.Getenv("NO_COLOR") != "" || e.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// Error is an error that knows its exit code and, perhaps, its mend.
type Error struct {
	Code int
	Err  error
	Hint string // one line, or empty
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap implements errors.Unwrap.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an *Error with a code and a formatted message (%w wraps).
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// WithHint returns e with its mend.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Report prints err by the rules of this package and returns the exit code it calls
// for: OK for nil, Failed for an error that knows no better. Of joined errors each
// has its line, and the first Error decides the code.
func (e Env) Report(err error) int {
	if err == nil {
		return OK
	}
	code := Failed
	var known *Error
	if errors.As(err, &known) {
		code = known.Code
	}
	for _, one := range split(err) {
		fmt.Fprintf(e.Stderr, "naru: error: %v\n", one)
		var hint *Error
		if errors.As(one, &hint) && hint.Hint != "" {
			fmt.Fprintf(e.Stderr, "naru: hint: %s\n", hint.Hint)
		}
	}
	return code
}

func split(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
