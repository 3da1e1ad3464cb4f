package ipvsadm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"naru/internal/model"
)

// maxLine bounds a line of a restore: far more than any real one.
const maxLine = 64 << 10

// Line is one command of a restore and where it stood.
type Line struct {
	Number int
	Command
}

// ParseRestore reads what -S writes: one invocation a line. Its error joins one error
// for each bad line.
func ParseRestore(r io.Reader) ([]Line, error) {
	var lines []Line
	var faults []error
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	number := 0
	for in.Scan() {
		number++
		args := splitLine(in.Text())
		if len(args) == 0 {
			continue
		}
		c, err := parseLine(args)
		if err != nil {
			faults = append(faults, lineFault(number, err))
			continue
		}
		lines = append(lines, Line{number, c})
	}
	if err := in.Err(); err != nil {
		faults = append(faults, lineFault(number+1, err))
	}
	return lines, errors.Join(faults...)
}

// splitLine returns the words of a line without its comment and the program's name.
func splitLine(line string) []string {
	args := strings.Fields(line)
	for i, word := range args {
		if strings.HasPrefix(word, "#") {
			args = args[:i]
			break
		}
	}
	if len(args) > 0 && path.Base(args[0]) == "ipvsadm" {
		args = args[1:]
	}
	return args
}

// parseLine reads the words of a line, which must change something.
func parseLine(args []string) (Command, error) {
	c, err := Parse(args)
	if _, edits := ops[c.Verb]; err == nil && !edits {
		return c, usagef("the '%s' command does not belong into a restore", c.Verb)
	}
	return c, err
}

func lineFault(number int, err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("longer than %d bytes", maxLine)
	}
	return usagef("line %d: %v", number, err)
}

// restore makes all edits of standard input, or none.
func (t *tool) restore(ctx context.Context) error {
	lines, err := ParseRestore(t.env.Stdin)
	if err != nil {
		return usagef("%v", err)
	}
	edits := make([]model.Edit, len(lines))
	var faults []error
	for i, line := range lines {
		edits[i], err = t.edit(ctx, line.Command)
		var fault *usage
		if errors.As(err, &fault) {
			faults = append(faults, lineFault(line.Number, err))
		} else if err != nil {
			return err
		}
	}
	if err := errors.Join(faults...); err != nil {
		return usagef("%v", err)
	}
	if len(edits) == 0 {
		return nil
	}
	return atLine(t.send(ctx, edits), lines)
}

// atLine adds to a refusal the line that asked for the edit at fault.
func atLine(err error, lines []Line) error {
	var r *model.Refusal
	if !errors.As(err, &r) || r.Edit < 0 || r.Edit >= len(lines) {
		return err
	}
	line := lines[r.Edit]
	return &usage{exitRefused, fmt.Sprintf("line %d: %s", line.Number, refusalText(r, line.Verb))}
}
