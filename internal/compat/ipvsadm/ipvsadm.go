// Package ipvsadm is the ipvsadm command: the same arguments, output, messages and exit
// codes as ipvsadm 1.31, on a table that naru keeps. What this package says was held
// byte for byte against ipvsadm 1.31 on a 6.1 kernel (testdata/golden).
//
// It differs where the original is unkind or naru does not carry the feature:
//
//   - Help, version and mistakes in the arguments need neither root nor a director.
//   - -R is all or nothing. Every line is read first, each bad one is reported with its
//     number, and the good ones are sent as one request. Lines may begin with the word
//     ipvsadm or a path to it, "#" begins a comment, and a line that lists is refused.
//     The original goes on after a refused line and returns the last line's status.
//   - --json prints what the API answered to -L, -Lc and -L --timeout.
//   - Persistence, firewall marks, one-packet scheduling, thresholds, flags, GUE and GRE
//     tunnels, SCTP and the sync daemon are recognised and refused in one sentence.
//   - An unknown scheduler is reported before a service that exists already or is missing.
//     Those of ip_vs that naru lacks get the kernel's message and a second line.
//   - Weights end at 65535, as in upstream's 1.31; Debian's build takes 2147483647.
//   - A -r before its -t or -u takes that service's port, also with -m, and may name its
//     port; the original gives port 0 or refuses the name.
//   - Addresses are written in full: no 10.1 for 10.0.0.1, no octal or hexadecimal parts,
//     no [10.0.0.1]:80.
//   - A host or service name that does not resolve is reported after mistakes further
//     right on the line. Names stand for IPv4 addresses.
//   - Rows are in the order of addresses as numbers. The original's comparison wraps
//     around at half the address space, so that it lists 192.168.0.1 before 10.0.0.1.
//     --nosort lists in the director's order, which is the same.
//   - A real that is the director itself is listed as Local and saved as -g; a 6.1 kernel
//     shows it by the forward it was added with.
//   - Weights are listed as they are in effect (0 while a real is drained or down) and
//     saved as they were asked for.
//   - -e without -g, -i or -m on a real of the configuration file whose port differs from
//     the service's names that real. The original would force the service's port, as
//     ours does for every other real.
//   - What the configuration file owns is refused by the director in a sentence; what it
//     notes about an edit that was made goes to standard error with exit code 0.
//   - A refusal that ipvsadm has no words for is the director's own sentence instead of
//     "Invalid operation.  Possibly wrong module version, …".
package ipvsadm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/model"
)

// The exit codes of ipvsadm 1.31.
const (
	exitOK      = 0
	exitNoTable = 1   // list of a service that does not exist
	exitUsage   = 2   // wrong arguments, or nothing to talk to; nothing was done
	exitRefused = 255 // the director refused, or the option parser did
)

// Client is what ipvsadm needs of the director; *api.Client is one. An error is a
// *model.Refusal if the director refused, else it could not be asked.
type Client interface {
	Services(context.Context) (api.Services, error)
	Edit(context.Context, []model.Edit) ([]string, error)
	Conns(context.Context) iter.Seq2[model.Conn, error]
}

// Run carries out one invocation, whose arguments are without the program's name, and
// returns its exit code. It calls connect only for what needs a director.
func Run(e cli.Env, connect func() (Client, error), args []string) int {
	t := &tool{env: e, connect: connect, names: systemNames()}
	return t.run(context.Background(), args)
}

// tool is one invocation.
type tool struct {
	env     cli.Env
	connect func() (Client, error)
	names   *names
	client  Client        // nil until needed
	table   *api.Services // as fileOwns saw it; nil until needed
}

func (t *tool) run(ctx context.Context, args []string) int {
	c, err := Parse(args)
	if err == nil {
		err = t.carryOut(ctx, c)
	}
	return t.report(err, c)
}

func (t *tool) carryOut(ctx context.Context, c Command) error {
	switch c.Verb {
	case Help:
		_, err := io.WriteString(t.env.Stdout, help)
		return err
	case Version:
		_, err := io.WriteString(t.env.Stdout, version)
		return err
	case List:
		return t.list(ctx, c)
	case Save:
		return t.save(ctx, c)
	case Restore:
		return t.restore(ctx)
	}
	edit, err := t.edit(ctx, c)
	if err != nil {
		return err
	}
	return t.send(ctx, []model.Edit{edit})
}

// send asks for edits and says what the director notes about them.
func (t *tool) send(ctx context.Context, edits []model.Edit) error {
	client, err := t.director()
	if err != nil {
		return err
	}
	notes, err := client.Edit(ctx, edits)
	if err != nil {
		return asked(err)
	}
	for _, note := range notes {
		t.complain(note)
	}
	return nil
}

// director returns the client, made when it is first needed.
func (t *tool) director() (Client, error) {
	if t.client != nil {
		return t.client, nil
	}
	client, err := t.connect()
	if err != nil {
		return nil, &unreachable{err}
	}
	t.client = client
	return client, nil
}

func (t *tool) services(ctx context.Context) (api.Services, error) {
	client, err := t.director()
	if err != nil {
		return api.Services{}, err
	}
	table, err := client.Services(ctx)
	return table, asked(err)
}

// asked marks an error of a call that is not a refusal: the director was not there.
func asked(err error) error {
	var refusal *model.Refusal
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return &unreachable{err}
}

// print runs write with buffered standard output.
func (t *tool) print(write func(*bufio.Writer)) error {
	w := bufio.NewWriter(t.env.Stdout)
	write(w)
	return w.Flush()
}

func (t *tool) printJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = t.env.Stdout.Write(append(b, '\n'))
	return err
}
