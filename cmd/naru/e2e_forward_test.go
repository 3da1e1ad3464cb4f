package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"naru/internal/api"
	"naru/internal/lab"
)

// bulk is how much goes each way: enough to show faults of checksums, segmentation
// offloads and MTU.
func bulk() int64 {
	if testing.Short() {
		return 64 << 20
	}
	return 1 << 30
}

func TestEachForwardCarriesWebUDPAndBulkByFile(t *testing.T) {
	r := newRig(t)
	sum := sumOf(bulk())
	for _, forward := range []string{"dr", "nat", "tun"} {
		t.Run(forward, func(t *testing.T) {
			r := r.sub(t)
			r.realsUp(forward)
			r.run(web(forward) + service("dns", "udp", 53, "rr", forward, realsOf(forward, "")...))
			r.settled()
			r.byTurns(r.ask(9), 3)
			r.byTurns(r.datagrams(6), 3)
			down := r.download(vip(80), bulk(), sum)
			up := r.upload(vip(80), bulk(), sum)
			t.Logf("%s: %d MB down in %.2f s, up in %.2f s", forward, bulk()>>20, down.Seconds(), up.Seconds())
			r.counted(forward)
			r.realsDown()
		})
	}
}

func TestNATMapsPorts(t *testing.T) {
	r := newRig(t)
	r.realsUp("nat")
	r.run("services:\n" + service("shop", "tcp", 8443, "rr", "nat", realsOf("nat", ":80")...) +
		service("dns", "udp", 5353, "rr", "nat", realsOf("nat", ":53")...))
	r.settled()
	r.byTurns(r.askAt(vip(8443), 9), 3)
	r.byTurns(r.datagramsTo(vip(5353), 6), 3)
	size := int64(64 << 20)
	sum := sumOf(size)
	r.download(vip(8443), size, sum)
	r.upload(vip(8443), size, sum)
}

// sumOf is the hash of the bytes that a real serves.
func sumOf(n int64) string {
	sum := sha256.New()
	io.Copy(sum, lab.Bytes(n)) // neither can fail
	return hex.EncodeToString(sum.Sum(nil))
}

// datagrams sends n to the VIP, each from a port of its own, and returns who answered.
func (r *rig) datagrams(n int) []string { r.Helper(); return r.datagramsTo(vip(53), n) }

func (r *rig) datagramsTo(to netip.AddrPort, n int) (names []string) {
	r.Helper()
	for i := range n {
		ctx, cancel := context.WithTimeout(r.Context(), answer)
		name, err := r.Datagram(ctx, lab.ClientAddress(i%3), to, strings.Repeat("x", 1+i*250))
		cancel()
		if err != nil {
			r.Fatalf("datagram %d to %s: %v", i+1, to, err)
		}
		names = append(names, name)
	}
	return names
}

func (r *rig) download(from netip.AddrPort, size int64, want string) time.Duration {
	r.Helper()
	began := time.Now()
	resp, err := r.HTTP(lab.HTTPOptions{Timeout: time.Minute}).Get(fmt.Sprintf("http://%s/bytes?n=%d", from, size))
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	if got := hex.EncodeToString(sum.Sum(nil)); err != nil || n != size || got != want {
		r.Errorf("download: %d of %d bytes, hash right: %v, %v", n, size, got == want, err)
	}
	return time.Since(began)
}

func (r *rig) upload(to netip.AddrPort, size int64, want string) time.Duration {
	r.Helper()
	began := time.Now()
	resp, err := r.HTTP(lab.HTTPOptions{Timeout: time.Minute}).Post(fmt.Sprintf("http://%s/", to), "application/octet-stream", lab.Bytes(size))
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	var got lab.Upload
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Bytes != size || got.SHA256 != want {
		r.Errorf("upload: %d of %d bytes, hash right: %v, %v", got.Bytes, size, got.SHA256 == want, err)
	}
	return time.Since(began)
}

// counted holds the director's counters against the traffic of the test: every request
// is a conn, and nat alone sees what the reals send.
func (r *rig) counted(forward string) {
	r.Helper()
	services, err := r.services()
	if err != nil {
		r.Fatal(err)
	}
	at := slices.IndexFunc(services, func(s api.Service) bool { return s.Name == "web" })
	if at < 0 {
		r.Fatalf("no service web: %v", services)
	}
	c := services[at].Counters
	if c.Conns != 9+2 {
		r.Errorf("%d conns counted, want 11", c.Conns)
	}
	if c.InBytes < uint64(bulk()) || c.InBytes > uint64(bulk()+bulk()/4) {
		r.Errorf("%d bytes counted towards the reals, %d were uploaded", c.InBytes, bulk())
	}
	if back := c.OutBytes > uint64(bulk()); back != (forward == "nat") {
		r.Errorf("%d bytes counted from the reals", c.OutBytes)
	}
	for exit, n := range r.status().Exits {
		if n > 0 && strings.HasPrefix(exit, "drop_") {
			r.Errorf("%s: %d packets", exit, n)
		}
	}
}
