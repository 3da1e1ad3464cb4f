//go:build !linux

package api

import (
	"errors"
	"net"
)

// Peer is who is at the other end of a unix socket.
type Peer struct {
	PID int
	UID int
}

// PeerOf says that only Linux runs a director, and so its API.
func PeerOf(*net.UnixConn) (Peer, error) {
	return Peer{}, errors.New("read peer credentials: naru's API is served on Linux only")
}
