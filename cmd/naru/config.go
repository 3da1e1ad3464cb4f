package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"naru/internal/cli"
	"naru/internal/config"
	"naru/internal/daemon"
)

// The files that are meant when none is named.
const (
	directorFile = "/etc/naru/naru.yaml"
	realFile     = "/etc/naru/real.yaml"
)

// stdin is what stands for standard input in place of a file.
const stdin = "-"

// configOptions are the flags of the commands about files.
type configOptions struct {
	real bool // the real server's file, not the director's
}

func newConfig(e cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "check a configuration file, or show what one may hold",
		Long: `Config is about the files: naru.yaml of the director and, with --real, real.yaml of a
real server. It needs neither root nor a running daemon.`,
		Example: `  naru config reference > naru.yaml
  naru config check naru.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: choose,
	}
	c.AddCommand(newConfigCheck(e))
	c.AddCommand(newConfigText(e, "reference", "print a file with every key and what it means",
		"Reference prints a complete file with every key, its default and its limits. It is the\nmanual of the file, and a file to start from.",
		config.Reference, config.RealReference))
	c.AddCommand(newConfigText(e, "schema", "print the JSON Schema of the file",
		"Schema prints the JSON Schema of the file, for editors that complete and check YAML.",
		config.Schema, config.RealSchema))
	return c
}

func (o *configOptions) addFlag(c *cobra.Command) {
	c.Flags().BoolVar(&o.real, "real", false, "the file of a real server, real.yaml")
}

// newConfigText returns a command that prints one of two texts.
func newConfigText(e cli.Env, name, short, long string, director, real func() []byte) *cobra.Command {
	var o configOptions
	c := &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    long,
		Example: "  naru config " + name + "\n  naru config " + name + " --real",
		Args:    noArguments(),
		RunE: func(*cobra.Command, []string) error {
			text := director
			if o.real {
				text = real
			}
			if _, err := e.Stdout.Write(text()); err != nil {
				return fmt.Errorf("write output: %w", err)
			}
			return nil
		},
	}
	o.addFlag(c)
	return c
}

func newConfigCheck(e cli.Env) *cobra.Command {
	var o configOptions
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "find every fault in a file",
		Long: `Check reads the file (default /etc/naru/naru.yaml, '-' is standard input) as 'naru run'
would and prints every fault with its line, or one line that says what the file holds.
What only a machine can tell, such as whether an interface exists, 'naru plan' says.`,
		Example: `  naru config check naru.yaml
  naru config check --real real.yaml`,
		Args: atMost(1, "one FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return o.check(e, args) },
	}
	o.addFlag(c)
	return c
}

func (o *configOptions) check(e cli.Env, args []string) error {
	file, summarize := directorFile, summary
	if o.real {
		file, summarize = realFile, realSummary
	}
	if len(args) > 0 {
		file = args[0]
	}
	data, name, err := readFile(e, file)
	if err != nil {
		return cli.Errorf(cli.Usage, "%w", err)
	}
	text, err := summarize(name, data)
	if err != nil {
		return faults(err)
	}
	return writeLines(e.Stdout, []string{text}, "")
}

// readFile returns a file's bytes and what messages call it.
func readFile(e cli.Env, path string) (data []byte, name string, err error) {
	if path == stdin {
		data, err = io.ReadAll(e.Stdin)
		return data, "standard input", err
	}
	data, err = os.ReadFile(path)
	return data, path, err
}

// faults makes one line of each fault of a file.
func faults(err error) error {
	var all config.Errors
	if !errors.As(err, &all) {
		return cli.Errorf(cli.Usage, "%w", err)
	}
	lines := make([]error, len(all))
	for i, f := range all {
		one := &cli.Error{Code: cli.Usage, Hint: f.Hint}
		f.Hint = ""
		one.Err = f
		lines[i] = one
	}
	return errors.Join(lines...)
}

// summary says what a director's file holds, or every fault of it.
func summary(name string, data []byte) (string, error) {
	c, err := config.Parse(name, data)
	if err != nil {
		return "", err
	}
	reals := 0
	for i := range c.Services {
		reals += len(c.Services[i].Reals)
	}
	return fmt.Sprintf("%s: good: %s, %s, room for %s in some %d MiB of memory", name,
		count(len(c.Services), "service"), count(reals, "real"), count(int(c.Conns), "conn"),
		daemon.Memory(c.Conns)>>20), nil
}

// realSummary says what a real server's file holds, or every fault of it.
func realSummary(name string, data []byte) (string, error) {
	c, err := config.ParseReal(name, data)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: good: %s", name, count(len(c.VIPs), "VIP")), nil
}

func count(n int, what string) string {
	if n != 1 && !strings.HasSuffix(what, "s") {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
