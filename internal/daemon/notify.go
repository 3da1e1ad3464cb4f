package daemon

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// notify tells systemd how the service is doing (sd_notify(3)). Without systemd it
// does nothing; a message that cannot be sent is no reason to stop forwarding.
func notify(lines ...string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(strings.Join(lines, "\n")))
}

// monotonic is the line that RELOADING=1 must come with (Type=notify-reload).
func monotonic() string {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return fmt.Sprintf("MONOTONIC_USEC=%d", t.Nano()/1000)
}
