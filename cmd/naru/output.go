package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

func addJSON(fs *pflag.FlagSet, into *bool) {
	fs.BoolVar(into, "json", false, "print what the API answered, as JSON")
}

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// writeLines prints sentences, or the one that says there are none.
func writeLines(w io.Writer, lines []string, none string) error {
	if len(lines) == 0 {
		lines = []string{none}
	}
	if _, err := io.WriteString(w, strings.Join(lines, "\n")+"\n"); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
