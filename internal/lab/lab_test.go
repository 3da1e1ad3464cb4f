package lab_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"naru/internal/lab"
	"naru/internal/lab/labtest"
)

// crashPrefix in the environment makes this program the one that crashes, see
// TestCleanAfterACrash.
const crashPrefix = "NRLAB_CRASH_PREFIX"

func TestMain(m *testing.M) {
	if prefix := os.Getenv(crashPrefix); prefix != "" {
		buildAndHang(prefix)
	}
	os.Exit(m.Run())
}

func buildAndHang(prefix string) {
	l, err := lab.New(lab.Options{Prefix: prefix, Reals: 1})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	sleep := l.Command(context.Background(), lab.Real(1), "sleep", "1000")
	if err := sleep.Start(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up", sleep.Process.Pid)
	select {}
}

func web(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 80) }

func TestClientReachesEveryRealByItsName(t *testing.T) {
	l := labtest.New(t, lab.Options{Prefix: "nrlab-"})
	labtest.Serve(t, l)
	fresh := l.HTTP(lab.HTTPOptions{Timeout: 10 * time.Second})
	for i := 1; i <= l.Reals(); i++ {
		name, err := lab.Get(t.Context(), fresh, web(lab.RealFront(i)))
		if err != nil || name != lab.Real(i) {
			t.Errorf("HTTP to real %d: answered %q, %v", i, name, err)
		}
		name, err = l.Datagram(within(t, 10*time.Second), lab.ClientAddress(3), netip.AddrPortFrom(lab.RealFront(i), 53), "hello")
		if err != nil || name != lab.Real(i) {
			t.Errorf("UDP to real %d: answered %q, %v", i, name, err)
		}
	}
}

func TestBytesArriveWholeBothWays(t *testing.T) {
	const size = 20 << 20
	l := labtest.New(t, lab.Options{Prefix: "nrlab-", Reals: 1})
	labtest.Serve(t, l)
	client := l.HTTP(lab.HTTPOptions{KeepAlive: true, Timeout: time.Minute})
	want := sha256.New()
	io.Copy(want, lab.Bytes(size))
	sum := hex.EncodeToString(want.Sum(nil))

	resp, err := client.Get(fmt.Sprintf("http://%s/bytes?n=%d", lab.RealFront(1), size))
	if err != nil {
		t.Fatal(err)
	}
	got := sha256.New()
	n, err := io.Copy(got, resp.Body)
	resp.Body.Close()
	if err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("download: %d of %d bytes, same hash: %v, %v", n, size, bytes.Equal(got.Sum(nil), want.Sum(nil)), err)
	}
	resp, err = client.Post(fmt.Sprintf("http://%s/", lab.RealFront(1)), "application/octet-stream", lab.Bytes(size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var up lab.Upload
	if err := json.NewDecoder(resp.Body).Decode(&up); err != nil {
		t.Fatal(err)
	}
	if want := (lab.Upload{Real: "real1", Bytes: size, SHA256: sum}); resp.StatusCode != http.StatusOK || up != want {
		t.Errorf("upload: %s, %+v, want %+v", resp.Status, up, want)
	}
}

// The answer from a back address must not take the front link, which leads to the
// client too; one from the VIP must.
func TestBackAddressesAnswerThroughTheDirector(t *testing.T) {
	l := labtest.New(t, lab.Options{Prefix: "nrlab-", Reals: 1})
	if err := l.ClassicReal(1); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from, to, gateway netip.Addr
		link              string
	}{
		{lab.RealBack(1), lab.ClientAddress(0), lab.DirectorBack(), lab.Back},
		{lab.RealBack(1), netip.MustParseAddr("203.0.113.1"), lab.DirectorBack(), lab.Back},
		{lab.RealBack(1), lab.DirectorBack(), netip.Addr{}, lab.Back},
		{lab.VIP(), lab.ClientAddress(0), netip.Addr{}, lab.Front},
	} {
		var link string
		var gateway netip.Addr
		err := l.Do(lab.Real(1), func() error {
			routes, err := netlink.RouteGetWithOptions(tt.to.AsSlice(), &netlink.RouteGetOptions{SrcAddr: tt.from.AsSlice()})
			if err != nil {
				return err
			}
			gateway, _ = netip.AddrFromSlice(routes[0].Gw)
			out, err := netlink.LinkByIndex(routes[0].LinkIndex)
			if err == nil {
				link = out.Attrs().Name
			}
			return err
		})
		if err != nil || link != tt.link || gateway.Unmap() != tt.gateway {
			t.Errorf("from %s to %s: by %s via %s (%v), want %s via %s", tt.from, tt.to, link, gateway, err, tt.link, tt.gateway)
		}
	}
}

func TestHeldConnsStayWithTheirReal(t *testing.T) {
	l := labtest.New(t, lab.Options{Prefix: "nrlab-", Reals: 1})
	if err := l.ClassicReal(1); err != nil {
		t.Fatal(err)
	}
	labtest.Serve(t, l)
	hs, err := l.Hold(within(t, 10*time.Second), 5, lab.ClientAddress(9), web(lab.RealFront(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer hs.Close()
	for _, h := range hs {
		if name, err := h.Ask(within(t, 10*time.Second)); err != nil || name != "real1" {
			t.Errorf("held conn answered %q, %v", name, err)
		}
	}
	if n := hs.Count()["real1"]; n != 5 {
		t.Errorf("real1 holds %d of 5 conns", n)
	}
}

// A director takes a conn from a port that comes again for the old one.
func TestClientPortsDoNotComeAgain(t *testing.T) {
	l := labtest.New(t, lab.Options{Prefix: "nrlab-", Reals: 1})
	labtest.Serve(t, l)
	taken, err := l.Listen(lab.Client, "tcp4", lab.ClientAddress(0).String()+":10001")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	seen := map[string]bool{}
	for i := range 100 {
		conn, err := l.Dial(within(t, 10*time.Second), lab.Client, "tcp4", lab.ClientAddress(i%2), web(lab.RealFront(1)))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
		if seen[port] {
			t.Errorf("port %s came again", port)
		}
		seen[port] = true
		conn.Close()
	}
}

// A real with the VIP on lo must not answer ARP for it, else dr tests test nothing.
func TestClassicRealIsSilentAboutTheVIP(t *testing.T) {
	l := labtest.New(t, lab.Options{Prefix: "nrlab-", Reals: 1})
	labtest.Serve(t, l)
	if err := l.ClassicReal(1); err != nil {
		t.Fatal(err)
	}
	c := l.HTTP(lab.HTTPOptions{Timeout: 30 * time.Second})
	if name, err := lab.Get(t.Context(), c, web(lab.VIP())); err == nil {
		t.Errorf("%s answered for the VIP without a director", name)
	}
}

func TestCleanAfterACrash(t *testing.T) {
	labtest.Need(t)
	const prefix = "nrlab-crash-"
	crasher := exec.CommandContext(t.Context(), os.Args[0])
	crasher.Env = append(os.Environ(), crashPrefix+"="+prefix)
	out, err := crasher.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := crasher.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	var child int
	if _, err := fmt.Sscanf(line, "up %d", &child); err != nil {
		t.Fatalf("crasher says %q", line)
	}
	if err := lab.Clean(prefix); !errors.Is(err, lab.ErrInUse) {
		t.Errorf("clean a lab in use: %v", err)
	}
	crasher.Process.Kill() // SIGKILL
	crasher.Wait()
	if !exists(lab.Path(prefix, lab.Real(1))) || !exists(fmt.Sprintf("/proc/%d", child)) {
		t.Fatal("the crash left nothing to clean")
	}
	bystander := lab.Path(prefix, "realm") // begins like a node of ours, and is none
	if err := os.WriteFile(bystander, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(bystander)
	if err := lab.Clean(prefix); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{lab.Client, lab.Director, lab.Switch, lab.Real(1)} {
		if exists(lab.Path(prefix, node)) {
			t.Errorf("namespace of %s is left over", node)
		}
	}
	if state := processState(child); state != "" && state != "Z" { // a zombie waits for init
		t.Errorf("process %d of the crashed lab still runs (%s)", child, state)
	}
	if !exists(bystander) {
		t.Error("a file that is no node's was removed")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	labtest.Need(t)
	l, err := lab.New(lab.Options{Prefix: "nrlab-", Reals: 2})
	if err != nil {
		t.Fatal(err)
	}
	labtest.Serve(t, l)
	sleep := l.Command(t.Context(), lab.Director, "sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	nodes := l.Nodes()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		if exists(l.Path(node)) {
			t.Errorf("namespace of %s is left over", node)
		}
	}
	if err := sleep.Wait(); err == nil {
		t.Error("the process in the director outlived the lab")
	}
	if err := l.Do(lab.Client, func() error { return nil }); err == nil {
		t.Error("a closed lab can be entered")
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	for _, o := range []lab.Options{{}, {Prefix: "nrlab-x-", Reals: -1}, {Prefix: "nrlab-x-", Reals: lab.MaxReals + 1}} {
		if l, err := lab.New(o); err == nil {
			l.Close()
			t.Errorf("%+v was accepted", o)
		}
	}
}
