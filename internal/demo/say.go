package demo

import (
	"fmt"
	"strings"
	"time"

	"naru/internal/cli"
)

// say is how the demo talks: results to standard output; what is being done now to
// standard error, and only on a terminal.
type say struct {
	env            cli.Env
	colours, live  bool
	passed, failed int
}

func newSay(e cli.Env) *say {
	return &say{env: e, colours: e.Terminal(e.Stdout), live: e.Terminal(e.Stderr) && e.Terminal(e.Stdout)}
}

// title begins a part of the demo.
func (s *say) title(text string) {
	s.erase()
	if s.colours {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(s.env.Stdout, "\n%s\n", text)
}

// now says what is being done, until the next thing is said.
func (s *say) now(format string, args ...any) {
	if s.live {
		s.erase()
		fmt.Fprintf(s.env.Stderr, "  … "+format, args...)
	}
}

func (s *say) erase() {
	if s.live {
		fmt.Fprint(s.env.Stderr, "\r\x1b[K")
	}
}

// command shows a command that runs on a node, as its user would type it.
func (s *say) command(node string, words ...string) {
	s.erase()
	fmt.Fprintf(s.env.Stdout, "  %s# %s\n", node, strings.Join(words, " "))
}

// block shows text that is not the demo's own.
func (s *say) block(heading, text string) {
	s.erase()
	if heading != "" {
		fmt.Fprintf(s.env.Stdout, "  %s\n", heading)
	}
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Fprint(s.env.Stdout, "    ", line)
	}
}

// verdict prints whether a line passed, and counts it.
func (s *say) verdict(name, text string, err error) {
	s.erase()
	mark, colour := "ok    ", 32
	if s.colours {
		mark = "✓"
	}
	if s.passed++; err != nil {
		s.passed--
		s.failed++
		mark, colour, text = "FAILED", 31, err.Error()
		if s.colours {
			mark = "✗"
		}
	}
	if s.colours {
		mark = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, mark)
	}
	fmt.Fprintf(s.env.Stdout, "%s %s: %s\n", mark, name, text)
}

func (s *say) summary(took time.Duration) {
	s.erase()
	all := s.passed + s.failed
	if s.failed == 0 {
		fmt.Fprintf(s.env.Stdout, "\nevery line passed: %d of %d, in %.1f s\n", s.passed, all, took.Seconds())
		return
	}
	fmt.Fprintf(s.env.Stdout, "\n%d of %d lines passed, in %.1f s\n", s.passed, all, took.Seconds())
}

func lines(ls ...string) string { return strings.Join(ls, "\n") + "\n" }
