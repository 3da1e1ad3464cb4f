package lab

import (
	"fmt"
	"net/netip"
	"regexp"
)

// The nodes besides the reals.
const (
	Client   = "client"
	Director = "director"
	Switch   = "switch" // holds the bridges; not a machine of the cluster
)

// The links of a node. The client has only the first.
const (
	Front = "eth0"
	Back  = "eth1"
)

// nodeName matches the names of nodes, so that cleaning never takes a namespace that
// only happens to begin with the prefix.
var nodeName = regexp.MustCompile(`^(client|director|switch|real[1-9][0-9]*)$`)

// The last bytes of the nodes' addresses.
const (
	hostVIP      = 5
	hostDirector = 10
	hostReal     = 10 // plus the real's number
	hostClient   = 100
	clients      = 10 // addresses the client has
)

func front(host int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 1, byte(host)}) }
func back(host int) netip.Addr  { return netip.AddrFrom4([4]byte{10, 0, 0, byte(host)}) }

// Real returns the name of the i-th real, counted from 1.
func Real(i int) string { return fmt.Sprintf("real%d", i) }

// VIP is the address the client asks. No node has it until it is given one.
func VIP() netip.Addr { return front(hostVIP) }

// DirectorFront and DirectorBack are the director's addresses.
func DirectorFront() netip.Addr { return front(hostDirector) }

// DirectorBack is the reals' gateway.
func DirectorBack() netip.Addr { return back(hostDirector) }

// RealFront returns the i-th real's address for dr and tun.
func RealFront(i int) netip.Addr { return front(hostReal + i) }

// RealBack returns the i-th real's address for nat.
func RealBack(i int) netip.Addr { return back(hostReal + i) }

// ClientAddress returns the i-th of the client's ten addresses, counted from 0, which
// is the one used when none is asked for.
func ClientAddress(i int) netip.Addr { return front(hostClient + i) }

// Reals returns how many reals there are.
func (l *Lab) Reals() int { return l.reals }

// Nodes returns the names of all nodes.
func (l *Lab) Nodes() []string {
	nodes := []string{Switch, Client, Director}
	for i := range l.reals {
		nodes = append(nodes, Real(i+1))
	}
	return nodes
}

// Path returns where a node's network namespace can be opened.
func (l *Lab) Path(node string) string { return Path(l.prefix, node) }

// Path returns where the network namespace of a lab's node can be opened.
func Path(prefix, node string) string { return namespaces + "/" + prefix + node }
