package decap

import (
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
)

const (
	goOn = uint32(0xffffffff) // TC_ACT_UNSPEC
	shot = uint32(2)          // TC_ACT_SHOT
)

func loadForTest(t *testing.T, vips ...VIP) *decapObjects {
	t.Helper()
	objs, err := load(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { objs.Close() })
	if err := fill(&objs.decapMaps, vips); err != nil {
		t.Fatal(err)
	}
	return objs
}

func run(t *testing.T, objs *decapObjects, frame []byte) (verdict uint32, out []byte) {
	t.Helper()
	opts := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	verdict, err := objs.NaruDecap.Run(&opts)
	if err != nil {
		t.Fatal("run the program:", err)
	}
	return verdict, opts.DataOut
}

// counted returns the exits that have counted, without zeros.
func counted(t *testing.T, objs *decapObjects) map[string]uint64 {
	t.Helper()
	exits, err := readExits(objs.DecapExits)
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range exits {
		if n == 0 {
			delete(exits, name)
		}
	}
	return exits
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// TestProgram sends one frame each through the loaded program and compares verdict,
// bytes and counters.
func TestProgram(t *testing.T) {
	enterNamespace(t)
	open := []VIP{{Address: netip.MustParseAddr(vip)}}
	guarded := []VIP{
		{Address: netip.MustParseAddr(vip), Directors: []netip.Prefix{prefix("203.0.113.0/30"), prefix("203.0.113.77/32")}},
		{Address: netip.MustParseAddr("192.0.2.11"), Directors: []netip.Prefix{prefix("0.0.0.0/0")}},
	}
	for _, tt := range []struct {
		name string
		vips []VIP
		packet
		exit    string
		wantTOS uint8 // of the inner header, if not as sent
	}{
		{name: "ordinary", exit: "decapsulated"},
		{name: "outer options", packet: packet{outerOpts: true}, exit: "decapsulated"},
		{name: "inner options", packet: packet{innerOpts: true}, exit: "decapsulated"},
		{name: "both options", packet: packet{outerOpts: true, innerOpts: true}, exit: "decapsulated"},
		{name: "padded frame", packet: packet{edit: func(f []byte) []byte { return append(f, 0, 0, 0) }}, exit: "decapsulated"},
		{name: "outer don't fragment", packet: packet{edit: put16(outerAt, 6, 0x4000)}, exit: "decapsulated"},
		{name: "inner fragment", packet: packet{edit: put16(innerAt, 6, 0x2003)}, exit: "decapsulated"},

		{name: "ECN unmarked", packet: packet{innerTOS: 0x28 | 2, outerTOS: 2}, exit: "decapsulated"},
		{name: "ECN mark handed on", packet: packet{innerTOS: 0x28 | 2, outerTOS: 3}, exit: "decapsulated", wantTOS: 0x28 | 3},
		{name: "ECN mark kept", packet: packet{innerTOS: 3, outerTOS: 2}, exit: "decapsulated"},
		{name: "ECN ECT(1) handed on", packet: packet{innerTOS: 2, outerTOS: 1}, exit: "decapsulated", wantTOS: 1},
		{name: "ECN ECT(1) inside stays", packet: packet{innerTOS: 1, outerTOS: 2}, exit: "decapsulated"},
		{name: "ECN outside only, unmarked", packet: packet{innerTOS: 0, outerTOS: 2}, exit: "decapsulated"},
		{name: "ECN outside only, marked", packet: packet{innerTOS: 0x28, outerTOS: 3}, exit: "drop_ecn"},

		{name: "not IPv4", packet: packet{edit: func(f []byte) []byte { f[12], f[13] = 0x88, 0xb5; return f }}, exit: "pass_not_tunnel"},
		{name: "GRE", packet: packet{outerProto: 47}, exit: "pass_not_tunnel"},
		{name: "IPv6 inside (protocol 41)", packet: packet{outerProto: 41}, exit: "pass_not_tunnel"},
		{name: "another MAC", packet: packet{mac: 9}, exit: "pass_other_host"},
		{name: "stranger's tunnel", packet: packet{innerDst: "192.0.2.99"}, exit: "pass_stranger"},
		{name: "no VIPs", vips: []VIP{}, exit: "pass_stranger"},
		{name: "first fragment", packet: packet{outerMore: true}, exit: "pass_fragment"},
		{name: "last fragment", packet: packet{outerFrag: 3}, exit: "pass_fragment"},

		{name: "listed network", vips: guarded, exit: "decapsulated"},
		{name: "listed host", vips: guarded, packet: packet{outerSrc: "203.0.113.77"}, exit: "decapsulated"},
		{name: "unlisted source", vips: guarded, packet: packet{outerSrc: "203.0.113.4"}, exit: "drop_refused"},
		{name: "listed for another VIP", vips: guarded, packet: packet{innerDst: "192.0.2.11", outerSrc: "10.9.8.7"}, exit: "decapsulated"},

		{name: "outer checksum wrong", packet: packet{edit: func(f []byte) []byte { f[outerAt+8]--; return f }}, exit: "pass_outer_broken"},
		{name: "outer checksum wrong in options", packet: packet{outerOpts: true, edit: func(f []byte) []byte { f[outerAt+21] = 7; return f }}, exit: "pass_outer_broken"},
		{name: "outer longer than the frame", packet: packet{edit: put16(outerAt, 2, 500)}, exit: "pass_outer_broken"},
		{name: "outer shorter than its header", packet: packet{edit: put16(outerAt, 2, 19)}, exit: "pass_outer_broken"},
		{name: "outer header length 4 words", packet: packet{edit: put8(outerAt, 0, 0x44)}, exit: "pass_outer_broken"},
		{name: "outer version 6", packet: packet{edit: put8(outerAt, 0, 0x65)}, exit: "pass_outer_broken"},
		{name: "cut in the outer options", packet: packet{outerOpts: true, edit: cut(outerAt + 22)}, exit: "pass_outer_broken"},
		{name: "cut in the inner header", packet: packet{edit: cut(innerAt + 12)}, exit: "pass_outer_broken"},
		{name: "inner header claims not to be there", packet: packet{edit: put16(outerAt, 2, 20+12)}, exit: "pass_inner_truncated"},
		{name: "outer header only", packet: packet{edit: put16(outerAt, 2, 20)}, exit: "pass_inner_truncated"},
		{name: "inner version 6", packet: packet{edit: put8(innerAt, 0, 0x65)}, exit: "pass_inner_truncated"},

		{name: "inner longer than the outer", packet: packet{edit: put16(innerAt, 2, 500)}, exit: "drop_inner_broken"},
		{name: "inner longer than the outer says", packet: packet{edit: put16(outerAt, 2, 20+30)}, exit: "drop_inner_broken"},
		{name: "inner shorter than its header", packet: packet{edit: put16(innerAt, 2, 19)}, exit: "drop_inner_broken"},
		{name: "inner header length 4 words", packet: packet{edit: put8(innerAt, 0, 0x44)}, exit: "drop_inner_broken"},
		{name: "inner options longer than the packet", packet: packet{edit: func(f []byte) []byte {
			return put16(innerAt, 2, 24)(put8(innerAt, 0, 0x4f)(f))
		}}, exit: "drop_inner_broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.vips == nil {
				tt.vips = open
			}
			objs := loadForTest(t, tt.vips...)
			frame := tt.frame(t)
			want, wantVerdict := slices.Clone(frame), goOn
			if tt.exit == "decapsulated" {
				want = tt.unwrapped(frame, tt.wantTOS)
			}
			if strings.HasPrefix(tt.exit, "drop_") {
				wantVerdict = shot
			}
			verdict, out := run(t, objs, frame)
			if verdict != wantVerdict {
				t.Errorf("verdict %#x, want %#x", verdict, wantVerdict)
			}
			if diff := cmp.Diff(want, out); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]uint64{tt.exit: 1}, counted(t, objs)); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

// unwrapped is what a frame should look like afterwards: without the outer header, and
// with another inner DS field if tos is not 0.
func (p packet) unwrapped(frame []byte, tos uint8) []byte {
	outer := int(frame[outerAt]&0xf) * 4
	want := slices.Concat(frame[:outerAt], frame[outerAt+outer:])
	if tos != 0 {
		want = put8(outerAt, 1, tos)(want)
	}
	return want
}

// TestForwardedTunnelsPass: on a router, a tunnel to somebody else stays a tunnel even
// though its inner destination is a VIP of this host too.
func TestForwardedTunnelsPass(t *testing.T) {
	enterNamespace(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	route(t, "10.0.0.0/8")
	for dst, exit := range map[string]string{local: "decapsulated", "10.1.2.3": "pass_not_local"} {
		objs := loadForTest(t, VIP{Address: netip.MustParseAddr(vip)})
		run(t, objs, packet{outerDst: dst}.frame(t))
		if diff := cmp.Diff(map[string]uint64{exit: 1}, counted(t, objs)); diff != "" {
			t.Errorf("tunnel to %s (-want +got):\n%s", dst, diff)
		}
	}
}

// TestExitNames: the names in Go and the enumeration in C are the same list.
func TestExitNames(t *testing.T) {
	spec, err := loadDecap()
	if err != nil {
		t.Fatal(err)
	}
	var enum *btf.Enum
	if err := spec.Types.TypeByName("decap_exit", &enum); err != nil {
		t.Fatal(err)
	}
	reasons := map[uint64]string{}
	for _, v := range enum.Values {
		if v.Name != "EXIT_FIRST_DROP" && v.Name != "EXIT_MAX" {
			reasons[v.Value] = strings.ToLower(strings.TrimPrefix(v.Name, "EXIT_"))
		}
	}
	if len(reasons) != len(exitNames) {
		t.Errorf("C has %d exits, Go names %d", len(reasons), len(exitNames))
	}
	for i, name := range exitNames {
		want := reasons[uint64(i)]
		switch {
		case i == 0:
		case i < int(decapDecapExitEXIT_FIRST_DROP):
			want = "pass_" + want
		default:
			want = "drop_" + want
		}
		if name != want {
			t.Errorf("exit %d is named %q in Go, want %q", i, name, want)
		}
	}
}

// TestKeys: what is written into the maps is read back as it was meant, in this order.
func TestKeys(t *testing.T) {
	enterNamespace(t)
	want := []VIP{
		{Address: netip.MustParseAddr("10.0.0.1")},
		{Address: netip.MustParseAddr("192.0.2.10"), Directors: []netip.Prefix{prefix("10.1.0.0/16"), prefix("10.2.3.4/32")}},
		{Address: netip.MustParseAddr("2001:db8::1"), Directors: []netip.Prefix{prefix("2001:db8:1::/48")}},
	}
	objs := loadForTest(t, VIP{Address: netip.MustParseAddr("10.0.0.2"), Directors: []netip.Prefix{prefix("10.9.0.0/16")}})
	if err := fill(&objs.decapMaps, want); err != nil {
		t.Fatal(err)
	}
	got, err := readVIPs(&objs.decapMaps)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// FuzzProgram: whatever arrives, the program neither faults nor changes a frame that
// it does not decapsulate.
func FuzzProgram(f *testing.F) {
	needRoot(f)
	objs, err := load(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { objs.Close() })
	if err := fill(&objs.decapMaps, []VIP{{Address: netip.MustParseAddr(vip)}}); err != nil {
		f.Fatal(err)
	}
	outer := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 4, 0, 0, 203, 0, 113, 1, 127, 0, 0, 9}
	inner := []byte{0x45, 3, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 198, 51, 100, 7, 192, 0, 2, 10}
	f.Add(outer, inner)
	f.Add(outer, inner[:12])
	f.Add(slices.Concat([]byte{0x46}, outer[1:], []byte{1, 1, 1, 1}), inner)
	f.Add(outer, slices.Concat([]byte{0x4f}, inner[1:]))
	f.Fuzz(func(t *testing.T, outer, inner []byte) {
		frame := slices.Concat(make([]byte, 12), []byte{8, 0}, outer, inner)
		if len(frame) < innerAt || len(frame) > 1500 {
			return
		}
		if len(outer) >= 20 { // most are broken anyway: let the checksum be right
			binary.BigEndian.PutUint16(frame[outerAt+2:], uint16(len(frame)-outerAt))
			mend(frame[outerAt:])
		}
		before, err := readExits(objs.DecapExits)
		if err != nil {
			t.Fatal(err)
		}
		_, out := run(t, objs, slices.Clone(frame))
		after, err := readExits(objs.DecapExits)
		if err != nil {
			t.Fatal(err)
		}
		if after["decapsulated"] == before["decapsulated"] && !slices.Equal(out, frame) && after["drop_no_room"] == before["drop_no_room"] {
			t.Errorf("frame changed but not decapsulated: %x became %x", frame, out)
		}
	})
}
