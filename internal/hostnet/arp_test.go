package hostnet

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	own   = mac{2, 0, 0, 0, 0, 1}
	other = mac{2, 0, 0, 0, 0, 2}
	vip   = netip.MustParseAddr("192.0.2.10")
)

func TestARPFramesAreThoseOfRFC5227(t *testing.T) {
	frames := announcements(vip, own)
	for _, c := range []struct {
		name string
		got  arpFrame
		want string
	}{
		{"probe", probeFor(vip, own), "ffffffffffff" + "020000000001" + "0806" + "0001" + "0800" + "06" + "04" + "0001" +
			"020000000001" + "00000000" + "000000000000" + "c000020a"},
		{"announcement", frames[0], "ffffffffffff" + "020000000001" + "0806" + "0001" + "0800" + "06" + "04" + "0001" +
			"020000000001" + "c000020a" + "000000000000" + "c000020a"},
		{"as a reply", frames[1], "ffffffffffff" + "020000000001" + "0806" + "0001" + "0800" + "06" + "04" + "0002" +
			"020000000001" + "c000020a" + "020000000001" + "c000020a"},
	} {
		if diff := cmp.Diff(c.want, hex.EncodeToString(c.got.bytes())); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestClaims(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		name  string
		frame arpFrame
		want  bool
	}{
		{"an answer", arpFrame{to: own, from: other, op: arpReply, senderMAC: other, sender: vip, target: netip.IPv4Unspecified()}, true},
		{"its announcement", announcements(vip, other)[0], true},
		{"its probe", probeFor(vip, other), true},
		{"its request for another", arpFrame{from: other, op: arpRequest, senderMAC: other, sender: vip, target: router}, true},
		{"a client's request", arpFrame{from: other, op: arpRequest, senderMAC: other, sender: router, target: vip}, false},
		{"another's answer", arpFrame{from: other, op: arpReply, senderMAC: other, sender: router, target: vip}, false},
		{"our own probe", probeFor(vip, own), false},
		{"our own announcement", announcements(vip, own)[1], false},
	} {
		if got := c.frame.claims(vip, own); got != c.want {
			t.Errorf("%s: claims %v, want %v", c.name, got, c.want)
		}
	}
}

// FuzzParseARP holds that what is read is what was written, padding aside.
func FuzzParseARP(f *testing.F) {
	f.Add(probeFor(vip, own).bytes())
	f.Add(append(announcements(vip, other)[1].bytes(), make([]byte, 18)...))
	f.Add([]byte{})
	f.Add(make([]byte, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, ok := parseARP(b)
		if ok != (len(b) >= arpFrameLen && string(b[12:21]) == "\x08\x06\x00\x01\x08\x00\x06\x04\x00" && (b[21] == 1 || b[21] == 2)) {
			t.Fatalf("parseARP(%x): ok is %v", b, ok)
		}
		if ok && string(frame.bytes()) != string(b[:arpFrameLen]) {
			t.Fatalf("read %x, would write %x", b, frame.bytes())
		}
	})
}
