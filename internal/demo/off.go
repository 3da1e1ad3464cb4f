package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"naru/internal/lab"
)

// showOff ends the forwarding and looks whether the director has let go of the VIP.
func (d *demo) showOff(ctx context.Context) (string, error) {
	d.say.command(lab.Director, "naru", "off")
	if _, err := d.exec(ctx, lab.Director, d.naru, "off", "--instance", d.Instance); err != nil {
		return "", err
	}
	held, err := d.directorHolds()
	if err != nil {
		return "", err
	}
	if held {
		return "", errors.New("the director still has the VIP")
	}
	return "forwarding has ended and the director has no VIP", nil
}

func (d *demo) directorHolds() (held bool, err error) {
	err = d.lab.Do(lab.Director, func() error {
		addrs, err := net.InterfaceAddrs()
		held = slices.ContainsFunc(addrs, func(a net.Addr) bool {
			ip, ok := a.(*net.IPNet)
			return ok && ip.IP.Equal(lab.VIP().AsSlice())
		})
		return err
	})
	if err != nil {
		err = fmt.Errorf("look at the director's addresses: %w", err)
	}
	return held, err
}
