package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"naru/internal/cli"
	"naru/internal/config"
	"naru/internal/control"
	"naru/internal/hostnet"
	"naru/internal/model"
)

// configPath returns the file to read: the one that was named, or the default one if
// it is there.
func configPath(named string) string {
	if named != "" {
		return named
	}
	if _, err := os.Stat(DefaultConfig); err == nil {
		return DefaultConfig
	}
	return ""
}

// readConfig reads the file; no file is one that says nothing.
func readConfig(path string) (*config.Config, error) {
	if path == "" {
		return config.Parse("", nil)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "read the configuration: %w", err)
	}
	return config.Parse(path, data)
}

// file is what control takes of the configuration.
func file(path string, c *config.Config) control.File {
	f := control.File{Name: path, Timeouts: c.Timeouts}
	for i := range c.Services {
		s := &c.Services[i]
		f.Services = append(f.Services, control.FileService{Service: s.Service, Line: s.Line, RealLines: s.RealLines})
	}
	return f
}

// needsNAT says whether NAT conns are to be expected: without services in the file,
// ipvsadm may ask for any.
func needsNAT(c *config.Config) bool {
	for i := range c.Services {
		for j := range c.Services[i].Reals {
			if c.Services[i].Reals[j].Forward == model.NAT {
				return true
			}
		}
	}
	return len(c.Services) == 0
}

// ownVIPs are the addresses that naru is to hold itself.
func ownVIPs(c *config.Config) []netip.Addr {
	if c.VIPs != config.Own {
		return nil
	}
	var vips []netip.Addr
	seen := map[netip.Addr]bool{}
	for i := range c.Services {
		if vip := c.Services[i].VIP; !seen[vip] {
			seen[vip] = true
			vips = append(vips, vip)
		}
	}
	return vips
}

// preflight finds what only this machine can tell is wrong with the file, before
// anything of it is done: interfaces that are not there, VIPs that belong nowhere or
// that somebody else answers for.
func preflight(ctx context.Context, c *config.Config) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, cli.Errorf(cli.Usage, format, args...)) }
	for _, i := range c.Interfaces {
		if _, err := net.InterfaceByName(i.Name); err != nil {
			fault("line %d: interfaces: interface %q is not there: name one that 'ip link' lists", i.Line, i.Name)
		}
	}
	places := map[netip.Addr]string{}
	for _, vip := range ownVIPs(c) {
		place, err := hostnet.VIPInterface(vip)
		if err != nil {
			faults = append(faults, &cli.Error{Code: cli.Usage, Err: err})
			continue
		}
		places[vip] = place
	}
	return errors.Join(append(faults, conflicts(ctx, places)...)...)
}

// conflicts asks the network who else answers for the VIPs that this host does not
// hold yet.
func conflicts(ctx context.Context, places map[netip.Addr]string) []error {
	vips := make([]netip.Addr, 0, len(places))
	for vip := range places {
		vips = append(vips, vip)
	}
	held, err := hostnet.Look(nil, vips)
	if err != nil {
		return []error{err}
	}
	var (
		mu     sync.Mutex
		faults []error
		wg     sync.WaitGroup
	)
	for _, vip := range vips {
		if held.Held[vip] {
			continue
		}
		wg.Go(func() {
			owner, found, err := hostnet.Conflict(ctx, places[vip], vip)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				faults = append(faults, fmt.Errorf("ask who answers for VIP %s: %w", vip, err))
			case found:
				faults = append(faults, cli.Errorf(cli.Failed, "VIP %s: another machine (%s) answers for it on %s", vip, owner, places[vip]).
					WithHint("take the address off that machine, or set 'vips: watch' if it shall stay there"))
			}
		})
	}
	wg.Wait()
	return faults
}
