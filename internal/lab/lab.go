// Package lab is a small cluster in network namespaces of one machine: a client, a
// director and real servers on two bridges, with the addresses of LVS's guides. The
// demo runs in it, and so do the tests that need real traffic.
//
//	front 192.168.1.0/24   client .100 (and .101 to .109), director .10, reals .11 on; VIP .5
//	back  10.0.0.0/24      director .10, reals .11 on
//
// Front is where dr and tun reach the reals, back is for nat: what a real sends from
// its back address goes through the director, which is also its default gateway.
// Nothing of LVS is set up: no VIP, no sysctl for ARP, no forwarding of packets.
//
// A namespace is called PREFIX followed by the node's name ("naru-real1") and stands
// under /run/netns, so that ip netns exec and nsenter find it. Traffic never leaves
// the namespaces: no bridge has a port outside.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// MaxReals is how many reals fit the addresses the lab uses.
const MaxReals = 80

// ErrInUse is wrapped by the error of New and Clean if a live process has the lab.
var ErrInUse = errors.New("another process is using them")

// Options say what to build.
type Options struct {
	Prefix string // of the namespaces' names; one lab of a prefix exists at a time
	Reals  int    // real1 to realN; 0 means 3
	MTU    int    // of every link; 0 means 1500
}

// Lab is a cluster that is up. Its methods may be called from any goroutine.
type Lab struct {
	prefix string
	reals  int
	mu     sync.RWMutex // the nodes, once they are built
	nodes  map[string]netns.NsHandle
	lock   net.Listener  // see acquire
	ports  atomic.Uint32 // see Dial

	ctx     context.Context // ends the servers run in this process
	stop    context.CancelFunc
	servers sync.WaitGroup
}

// New builds the cluster, after removing what an earlier one of the prefix left.
func New(o Options) (*Lab, error) {
	if o.Reals == 0 {
		o.Reals = 3
	}
	if o.MTU == 0 {
		o.MTU = 1500
	}
	if o.Reals < 0 || o.Reals > MaxReals {
		return nil, fmt.Errorf("build lab: %d reals: use 1 to %d", o.Reals, MaxReals)
	}
	lock, err := acquire(o.Prefix)
	if err != nil {
		return nil, err
	}
	l := &Lab{prefix: o.Prefix, reals: o.Reals, nodes: map[string]netns.NsHandle{}, lock: lock}
	l.ctx, l.stop = context.WithCancel(context.Background())
	if err := errors.Join(clean(o.Prefix), l.build(o.MTU)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build(mtu int) error {
	for _, node := range l.Nodes() {
		ns, err := makeNamespace(l.prefix + node)
		if err != nil {
			return err
		}
		l.nodes[node] = ns
		if err := l.settle(node); err != nil {
			return err
		}
	}
	return l.wire(mtu)
}

// Close ends the servers and every process in the lab's namespaces, and removes these.
func (l *Lab) Close() error {
	l.release()
	err := clean(l.prefix)
	l.lock.Close()
	return err
}

// Leave lets go of the lab without removing it: the namespaces and the processes in
// them stay until Clean is called. Servers run in this process end.
func (l *Lab) Leave() {
	l.release()
	l.lock.Close()
}

func (l *Lab) release() {
	l.stop()
	l.servers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ns := range l.nodes {
		ns.Close()
	}
	clear(l.nodes)
}

// Clean removes what a lab of the prefix left behind, its processes included. It is
// an error if the lab is in use by a live process.
func Clean(prefix string) error {
	lock, err := acquire(prefix)
	if err != nil {
		return err
	}
	defer lock.Close()
	return clean(prefix)
}

// acquire makes this process the only one to build or clean labs of the prefix. The
// name is an abstract unix socket because the kernel gives that up with the process,
// whatever ends it.
func acquire(prefix string) (net.Listener, error) {
	if prefix == "" {
		return nil, errors.New("take namespaces: the prefix is empty")
	}
	lock, err := net.Listen("unix", "@naru-lab/"+prefix)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("take namespaces %s…: %w", prefix, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("take namespaces %s…: %w", prefix, err)
	}
	return lock, nil
}
