package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/lab"
	"naru/internal/model"
)

const reals = 3

// serviceAddress is what the client asks.
func serviceAddress() netip.AddrPort { return netip.AddrPortFrom(lab.VIP(), 80) }

// build makes the cluster and starts its programs.
func (d *demo) build(ctx context.Context) (err error) {
	d.say.now("building the cluster")
	began := time.Now()
	if d.lab, err = lab.New(lab.Options{Prefix: d.prefix(), Reals: reals}); err != nil {
		return labError(err)
	}
	if err := errors.Join(d.removeFiles(), d.install()); err != nil {
		return cli.Errorf(cli.Failed, "%w", err)
	}
	d.web = newAsker(d.lab)
	for i := 1; i <= reals; i++ {
		if _, err := d.start(lab.Real(i), "demo", "serve", "--name", lab.Real(i)); err != nil {
			return cli.Errorf(cli.Failed, "%w", err)
		}
	}
	for i := 1; i <= reals; i++ {
		if err := d.waitServers(ctx, i); err != nil {
			return err
		}
	}
	d.say.verdict("cluster", fmt.Sprintf("client %s, director %s, %s to %s at %s to %s are up (%.1f s)",
		lab.ClientAddress(0), lab.DirectorFront(), lab.Real(1), lab.Real(reals), lab.RealFront(1), lab.RealFront(reals), time.Since(began).Seconds()), nil)
	return d.startDirector(ctx)
}

// install puts the program where kept commands find it, as naru and as ipvsadm. What
// go run has built is gone when it ends, so that is copied.
func (d *demo) install() error {
	if err := os.MkdirAll(d.home(), 0o700); err != nil {
		return fmt.Errorf("make directory of the demo: %w", err)
	}
	d.naru = filepath.Join(d.home(), "naru")
	place := os.Symlink
	if strings.Contains(d.Naru, "/go-build") {
		place = copyProgram
	}
	return errors.Join(place(d.Naru, d.naru), os.Symlink("naru", filepath.Join(d.home(), "ipvsadm")))
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// waitServers asks a real directly, without the VIP.
func (d *demo) waitServers(ctx context.Context, i int) error {
	d.say.now("waiting for the servers of %s", lab.Real(i))
	err := until(ctx, 10*time.Second, func(ctx context.Context) error {
		name, err := d.web.ask(ctx, netip.AddrPortFrom(lab.RealFront(i), serviceAddress().Port()))
		if err == nil && name != lab.Real(i) {
			err = fmt.Errorf("%q answers there", name)
		}
		return err
	})
	if err != nil {
		return cli.Errorf(cli.Failed, "wait for the servers of %s: %w", lab.Real(i), err)
	}
	return nil
}

// startDirector starts the daemon and waits until it answers. A daemon that ends with
// a reason is the demo's end too: its message and its code are passed on.
func (d *demo) startDirector(ctx context.Context) error {
	d.say.now("starting the daemon")
	if _, err := os.Stat(d.config()); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(d.config(), []byte("services: []\n"), 0o600); err != nil {
			return cli.Errorf(cli.Failed, "write configuration: %w", err)
		}
	}
	command := []string{"run", "--instance", d.Instance, "-c", d.config()}
	d.say.command(lab.Director, append([]string{"naru"}, command...)...)
	p, err := d.start(lab.Director, command...)
	if err != nil {
		return cli.Errorf(cli.Failed, "%w", err)
	}
	d.daemon = p
	var status api.Status
	err = until(ctx, 15*time.Second, func(ctx context.Context) (err error) {
		select {
		case <-p.done:
			return nil
		default:
			status, err = d.client().Status(ctx)
			return err
		}
	})
	select {
	case <-p.done:
		return d.daemonEnded()
	default:
	}
	if err != nil {
		return cli.Errorf(cli.Failed, "wait for the daemon: %w", err).WithHint("its log ends: %s", lastLine(p.tail()))
	}
	d.say.verdict("director", fmt.Sprintf("naru runs as process %d", status.PID), nil)
	return nil
}

// daemonEnded passes on why the daemon ended, and its hint.
func (d *demo) daemonEnded() error {
	code := cli.Failed
	var exit interface{ ExitCode() int }
	if errors.As(d.daemon.err, &exit) && exit.ExitCode() == cli.Unable {
		code = cli.Unable
	}
	log := d.daemon.tail()
	why := said(log, "naru: error: ")
	if why == "" {
		why = lastLine(log)
	}
	return cli.Errorf(code, "start the daemon: %s", why).WithHint("%s", said(log, "naru: hint: "))
}

// said returns the last line with the prefix, without it.
func said(log, prefix string) (text string) {
	for line := range strings.Lines(log) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			text = strings.TrimSpace(rest)
		}
	}
	return text
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}

// client returns a client of the daemon's API.
func (d *demo) client() *api.Client { return api.NewClient(api.Socket(d.Instance)) }

// service returns the demo's service as the daemon has it now.
func (d *demo) service(ctx context.Context) (*api.Service, error) {
	c := d.client()
	defer c.Close()
	table, err := c.Services(ctx)
	if err != nil {
		return nil, err
	}
	for i := range table.Services {
		if s := &table.Services[i]; s.VIP == lab.VIP() && s.Port == 80 && s.Protocol == model.TCP {
			return s, nil
		}
	}
	return nil, fmt.Errorf("the director has no service at %s", serviceAddress())
}
