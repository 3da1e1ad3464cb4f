package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"naru/internal/cli"
)

func newVersion(e cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version of this program",
		Long:    "Version prints the version of this program and of the Go it was built with.",
		Example: `  naru version`,
		Args:    noArguments(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(e.Stdout, "naru %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// unreleased is the version of a build that knows no better.
const unreleased = "devel"

// version returns what Go recorded: the module's version, else the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unreleased
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	set := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	commit := set["vcs.revision"]
	if commit == "" {
		return unreleased
	}
	v := unreleased + "-" + commit[:min(len(commit), 12)]
	if set["vcs.modified"] == "true" {
		v += "-modified"
	}
	return v
}
