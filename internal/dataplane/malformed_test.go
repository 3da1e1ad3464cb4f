package dataplane

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"naru/internal/model"
)

// TestTruncatedAndLyingPackets: each is the host's to judge, unchanged, and makes no
// conn. A frame that ends in its IP header no test run takes; cmd/naru sends one.
func TestTruncatedAndLyingPackets(t *testing.T) {
	tcp := frame{protocol: model.TCP, syn: true, payload: 20}
	for name, spoil := range map[string]func([]byte) []byte{
		"ends in the TCP header":     func(b []byte) []byte { b[17] = 32; return b[:14+32] },
		"IP version 5":               func(b []byte) []byte { b[14] = 0x55; return b },
		"IP header of 16 bytes":      func(b []byte) []byte { b[14] = 0x44; return b },
		"IP header beyond the end":   func(b []byte) []byte { b[14] = 0x4f; b[16], b[17] = 0, 44; return b[:14+44] },
		"length beyond the frame":    func(b []byte) []byte { b[16] = 9; return b },
		"length within its header":   func(b []byte) []byte { b[16], b[17] = 0, 10; return b },
		"TCP header of 4 bytes":      func(b []byte) []byte { b[46] = 1 << 4; return b },
		"TCP header beyond the end":  func(b []byte) []byte { b[46] = 15 << 4; return b },
		"length ends in TCP's ports": func(b []byte) []byte { b[17] = 22; return b },
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, Options{})
			set(t, d, service{protocol: model.TCP, weights: []uint32{1}}.want())
			in := spoil(build(t, tcp))
			opts := ebpf.RunOptions{Data: in, DataOut: make([]byte, len(in)+64)}
			verdict, err := d.objs.LbTc.Run(&opts)
			if err != nil || verdict != pass || string(opts.DataOut) != string(in) {
				t.Errorf("verdict %d, error %v, out %x", int32(verdict), err, opts.DataOut)
			}
			if got := counted(t, d); got["pass_malformed"] != 1 || len(got) != 1 {
				t.Errorf("counted %v", got)
			}
		})
	}
}

// TestUDPLengthLies does the same for UDP's own length.
func TestUDPLengthLies(t *testing.T) {
	for name, length := range map[string]byte{"within its header": 7, "beyond the packet": 200} {
		t.Run(name, func(t *testing.T) {
			d := open(t, Options{})
			set(t, d, service{protocol: model.UDP, weights: []uint32{1}}.want())
			b := build(t, frame{protocol: model.UDP, payload: 20})
			b[14+20+5] = length
			if verdict, _ := send(t, d, b); verdict != pass || counted(t, d)["pass_malformed"] != 1 {
				t.Errorf("verdict %d, %v", int32(verdict), counted(t, d))
			}
		})
	}
}

// TestNotOurs: frames that are none of our business are passed and counted.
func TestNotOurs(t *testing.T) {
	d := open(t, Options{})
	set(t, d, service{protocol: model.TCP, weights: []uint32{1}}.want())
	arp := build(t, frame{protocol: model.TCP, syn: true})
	arp[12], arp[13] = 0x08, 0x06
	other := build(t, frame{protocol: model.TCP, syn: true, dstMAC: [6]byte{2, 9, 9, 9, 9, 9}})
	gre := build(t, frame{protocol: 47, payload: 60})
	for i, b := range [][]byte{arp, other, gre} {
		if verdict, _ := send(t, d, b); verdict != pass || counted(t, d)["pass_other"] != uint64(i+1) {
			t.Errorf("frame %d: verdict %d, %v", i, int32(verdict), counted(t, d))
		}
	}
}

// TestNamesFollowTheEnums holds the names of exits and events to bpf/types.h.
func TestNamesFollowTheEnums(t *testing.T) {
	spec, err := loadLb()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		prefix string
		names  []string
	}{
		"exit":  {"EXIT_", exitNames[:]},
		"event": {"EVENT_", eventNames[:]},
	} {
		var enum *btf.Enum
		if err := spec.Types.TypeByName(name, &enum); err != nil {
			t.Fatal(err)
		}
		for _, v := range enum.Values[:len(enum.Values)-1] { // the last is their number
			want := strings.ToLower(strings.TrimPrefix(v.Name, c.prefix))
			if int(v.Value) >= len(c.names) || c.names[v.Value] != want {
				t.Errorf("%s %s has no name %q", name, v.Name, want)
			}
		}
	}
}

// TestNumbersFollowTheModel holds the enums that C and the model share to each other.
func TestNumbersFollowTheModel(t *testing.T) {
	spec, err := loadLb()
	if err != nil {
		t.Fatal(err)
	}
	for name, number := range map[string]func(string) (int, bool){
		"scheduler": func(s string) (int, bool) { v, err := model.ParseScheduler(s); return int(v), err == nil },
		"forward": func(s string) (int, bool) {
			var f model.Forward
			err := f.UnmarshalText([]byte(s))
			return int(f), err == nil
		},
		"state": func(s string) (int, bool) {
			var st model.State
			err := st.UnmarshalText([]byte(strings.ToUpper(s)))
			return int(st), err == nil
		},
	} {
		var enum *btf.Enum
		if err := spec.Types.TypeByName(name, &enum); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, v := range enum.Values {
			_, short, _ := strings.Cut(strings.ToLower(v.Name), "_")
			if short == "free" || short == "dead" || v.Name == "STATES" {
				continue
			}
			if n, ok := number(short); !ok || n != int(v.Value) {
				t.Errorf("%s is %d, in the model %d (known: %v)", v.Name, v.Value, n, ok)
			}
		}
	}
}
