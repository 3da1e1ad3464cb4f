// Command naru is a Linux Virtual Server in one program: the director, the real
// servers and the commands to look after them. Called by the name ipvsadm, as a link
// would, it is ipvsadm.
//
// This package only chooses: each subcommand has one file with its options, its flags
// and its run.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"naru/internal/cli"
)

func main() { os.Exit(run(cli.OS(), os.Args)) }

// run is the whole program. The name it is called by comes from argv: os.Executable
// follows a link to the one name all links have in common.
func run(e cli.Env, argv []string) int {
	if len(argv) == 0 {
		return e.Report(cli.Errorf(cli.Usage, "read own name: no arguments at all"))
	}
	if tool, ok := tools()[invokedAs(argv[0])]; ok {
		return tool(e, argv[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(e)
	root.SetArgs(argv[1:])
	err := root.ExecuteContext(ctx)
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	return e.Report(explain(err))
}

// tools are the other programs that naru is. They keep their originals' grammar,
// messages and exit codes.
func tools() map[string]func(cli.Env, []string) int {
	return map[string]func(cli.Env, []string) int{
		"ipvsadm": runIPVSAdm,
	}
}

// invokedAs returns the program's name as the caller typed it.
func invokedAs(argv0 string) string {
	return strings.TrimSuffix(strings.ToLower(filepath.Base(argv0)), ".exe")
}

// exitCode ends the program when everything was said already.
type exitCode int

// Error implements error; nobody prints it.
func (exitCode) Error() string { return "exit" }
