package sched

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestDecisionsAreThoseOfTheKernel replays what ip_vs decided in a real kernel.
func TestDecisionsAreThoseOfTheKernel(t *testing.T) {
	text, err := os.ReadFile("testdata/golden-6.12.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		lines++
		head, want, _ := strings.Cut(strings.TrimSpace(line), " : ")
		f := strings.Fields(head)
		port, err := strconv.ParseUint(f[1], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		clients := strings.Split(f[2], ",")
		for i, real := range strings.Fields(want) {
			client := netip.MustParseAddr("10.1.0." + clients[i%len(clients)])
			if got := decide(f[0], uint16(port), client); got != real {
				t.Errorf("%s port %d client %s: got %s, want %s", f[0], port, client, got, real)
			}
		}
	}
	if lines != 6 {
		t.Fatalf("read %d lines of decisions, want 6", lines)
	}
}

// decide asks our tables and hashes what the packet path would do.
func decide(scheduler string, port uint16, client netip.Addr) string {
	names := []string{"rs3", "rs2", "rs1"} // newest first
	if scheduler == "sh" {
		return names[SH([]uint32{3, 2, 1})[SHBucket(client)]]
	}
	return names[MH([]MHReal{
		{netip.MustParseAddr("10.1.0.13"), port, 3},
		{netip.MustParseAddr("10.1.0.12"), port, 2},
		{netip.MustParseAddr("10.1.0.11"), port, 1},
	}, MHSize)[MHBucket(client, MHSize)]]
}

func count(buckets []int) map[int]int {
	n := make(map[int]int)
	for _, b := range buckets {
		n[b]++
	}
	return n
}

func TestSHWeightZeroTakesOneBucketARound(t *testing.T) {
	got := SH([]uint32{2, 0, 1})
	for i, want := range []int{0, 0, 1, 2, 0, 0, 1, 2} {
		if got[i] != want {
			t.Errorf("bucket %d: got %d, want %d", i, got[i], want)
		}
	}
	if len(got) != SHSize {
		t.Errorf("got %d buckets, want %d", len(got), SHSize)
	}
}

func TestTablesWithoutRealsAreEmpty(t *testing.T) {
	for name, buckets := range map[string][]int{
		"sh":                SH(nil),
		"mh":                MH(nil, MHSize),
		"mh without weight": MH([]MHReal{{Addr: netip.MustParseAddr("192.0.2.1"), Port: 80}}, MHSize),
	} {
		if n := count(buckets); n[Empty] != len(buckets) || len(buckets) == 0 {
			t.Errorf("%s: %d of %d buckets are empty", name, n[Empty], len(buckets))
		}
	}
}

func mhReals(weights ...uint32) []MHReal {
	reals := make([]MHReal, len(weights))
	addr := netip.MustParseAddr("192.0.2.1")
	for i, w := range weights {
		reals[i] = MHReal{addr, 80, w}
		addr = addr.Next()
	}
	return reals
}

func TestMHSharesFollowWeights(t *testing.T) {
	for _, size := range []int{251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071} {
		n := count(MH(mhReals(30, 20, 10, 0), size))
		if n[Empty] != 0 || n[3] != 0 {
			t.Errorf("size %d: %v", size, n)
		}
		for i, parts := range []int{3, 2, 1} {
			if want := size * parts / 6; n[i] < want-3 || n[i] > want+3 {
				t.Errorf("size %d real %d: %d buckets, want about %d", size, i, n[i], want)
			}
		}
	}
}

func TestMHFineWeightsAreShifted(t *testing.T) {
	// 65535/1 has 16 bits, the table of 4093 takes 6: 65535>>10 = 63 turns against 1.
	n := count(MH(mhReals(65535, 1), MHSize))
	if want := MHSize / 64; n[1] < want-1 || n[1] > want+1 {
		t.Errorf("lightest real has %d buckets, want about %d", n[1], want)
	}
}

func TestMHRemovalMovesFewClients(t *testing.T) {
	before, after := MH(mhReals(1, 1, 1, 1, 1), MHSize), MH(mhReals(1, 1, 1, 1), MHSize)
	moved := 0
	for i := range before {
		if before[i] != 4 && before[i] != after[i] {
			moved++
		}
	}
	if moved > MHSize/8 {
		t.Errorf("%d of %d buckets moved though their real stayed", moved, MHSize)
	}
}

func TestFoldOfIPv6IsTheXorOfItsWords(t *testing.T) {
	a := netip.MustParseAddr("2001:db8:1:2:3:4:5:6")
	if got, want := fold(a), uint32(0x20010db8^0x00010002^0x00030004^0x00050006); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
	if v6, v4 := SHBucket(netip.MustParseAddr("::10.1.0.7")), SHBucket(netip.MustParseAddr("10.1.0.7")); v6 != v4 {
		t.Errorf("an IPv6 address with one word set falls into %d, its IPv4 into %d", v6, v4)
	}
}

func BenchmarkMH(b *testing.B) {
	reals := mhReals(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	for b.Loop() {
		MH(reals, MHSize)
	}
}
