package api

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Peer is who is at the other end of a unix socket, as the kernel vouches for it.
type Peer struct {
	PID int
	UID int
}

// PeerOf returns the peer of a connection (SO_PEERCRED, unix(7)).
func PeerOf(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var errGet error
	err = raw.Control(func(fd uintptr) {
		cred, errGet = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = errGet
	}
	if err != nil {
		return Peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	return Peer{PID: int(cred.Pid), UID: int(cred.Uid)}, nil
}
