package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"naru/internal/api"
	"naru/internal/cli"
	"naru/internal/dataplane"
	"naru/internal/hostnet"
)

// stopTime is how long a daemon may take to end before Off gives up.
const stopTime = 15 * time.Second

// Off ends the instance's forwarding and undoes what it did to this machine, whether
// its daemon lives or not, and says in sentences what it did. What ipvsadm asked for
// stays in the state directory.
func Off(ctx context.Context, o Options) (done []string, err error) {
	if err := sameNetns(o.Instance); err != nil {
		return nil, err
	}
	stopped, err := stopDaemon(ctx, o.Instance)
	if err != nil {
		return nil, err
	}
	if stopped {
		done = append(done, "stopped the daemon")
	}
	dir, err := lockState(o.Instance)
	if err != nil {
		return done, err
	}
	defer dir.release()
	var qdiscs []string
	if err := dir.File(hooksFile).Load(&qdiscs); err != nil {
		o.Log.Warn("which qdiscs are naru's is not known; they stay", "cause", err)
	}
	hooks, err := dataplane.Hooks()
	if err != nil {
		return done, unable(err)
	}
	if err := dataplane.Detach(qdiscs); err != nil {
		return done, err
	}
	for _, h := range hooks {
		done = append(done, "took the packet path off "+h.Interface)
	}
	if len(qdiscs) > 0 {
		err = dir.File(hooksFile).Save([]string{})
	}
	pinned, errPins := dataplane.Pinned(api.BPFDir(o.Instance))
	err = errors.Join(err, errPins, dataplane.UnmountPins(api.BPFDir(o.Instance)))
	if pinned && err == nil {
		done = append(done, "removed the tables and their conns")
	}
	changes, errHost := hostnet.New(dir.File(hostFile), o.Log).Clear(ctx)
	for _, c := range changes {
		done = append(done, c.Text)
	}
	if err = errors.Join(err, errHost, hostnet.ForgetNeighbours()); err == nil {
		err = os.RemoveAll(api.RunDir(o.Instance)) // last: by it commands find the instance
	}
	return done, err
}

// sameNetns refuses to undo in one network namespace what was done in another. A
// namespace that has gone took all of it along.
func sameNetns(instance string) error {
	own, err := api.OwnNetns()
	if err != nil {
		return err
	}
	theirs := api.NetnsOf(instance)
	if theirs == 0 || theirs == own || !netnsLives(theirs) {
		return nil
	}
	return cli.Errorf(cli.Usage, "instance %s directs another network namespace than this one", instance).
		WithHint("run the command there, as in 'nsenter --net=/run/netns/NAME naru off --instance %s'", instance)
}

// netnsLives says whether a process or a name under /run/netns keeps the namespace.
func netnsLives(inode uint64) bool {
	for _, pattern := range []string{"/proc/[0-9]*/ns/net", "/run/netns/*"} {
		paths, _ := filepath.Glob(pattern) // the pattern is good
		for _, p := range paths {
			var st unix.Stat_t
			if unix.Stat(p, &st) == nil && st.Ino == inode {
				return true
			}
		}
	}
	return false
}

// stopDaemon ends the instance's daemon and waits until it has let go.
func stopDaemon(ctx context.Context, instance string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	client := api.NewClient(api.Socket(instance))
	if err := client.Stop(ctx); err != nil {
		if errors.Is(err, api.ErrUnreachable) {
			return false, nil
		}
		return false, fmt.Errorf("stop the daemon: %w", err)
	}
	for {
		if dir, err := lockState(instance); err == nil {
			return true, dir.release()
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("stop the daemon: it still runs after %s", stopTime)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
