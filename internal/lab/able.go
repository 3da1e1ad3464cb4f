package lab

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Able says why this machine cannot run a lab, or nil. It tries what the lab needs in
// a namespace that is gone when it returns.
func Able() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", kernelLacks(err, "network namespaces"))
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "probe"
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return fmt.Errorf("make bridge: %w", kernelLacks(err, "bridges"))
		}
		attrs.Name = "probe0"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "probe1"}); err != nil {
			return fmt.Errorf("make veth link: %w", kernelLacks(err, "veth links"))
		}
		return nil
	})
}

// kernelLacks says what the kernel's terse refusals mean.
func kernelLacks(err error, what string) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("this kernel has no %s: %w", what, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("root lacks the capability here, as in an unprivileged container: %w", err)
	}
	return err
}
