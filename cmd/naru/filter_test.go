package main

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"naru/internal/cli"
	"naru/internal/model"
)

func TestConnFilter(t *testing.T) {
	conn := model.Conn{
		Protocol: model.TCP,
		State:    model.StateEstablished,
		Client:   netip.MustParseAddrPort("198.51.100.7:40000"),
		Virtual:  netip.MustParseAddrPort("192.0.2.10:80"),
		Real:     netip.MustParseAddrPort("192.0.2.21:8080"),
		Expires:  75,
	}
	key := func(s string) *model.Key {
		k, err := model.ParseKey(s)
		if err != nil {
			t.Fatal(err)
		}
		return &k
	}
	for _, test := range []struct {
		name         string
		service      *model.Key
		real, client string
		want         bool
	}{
		{"no filter", nil, "", "", true},
		{"its service", key("tcp:192.0.2.10:80"), "", "", true},
		{"another protocol", key("udp:192.0.2.10:80"), "", "", false},
		{"another port", key("tcp:192.0.2.10:81"), "", "", false},
		{"its real", nil, "192.0.2.21", "", true},
		{"its real and port", nil, "192.0.2.21:8080", "", true},
		{"its real, another port", nil, "192.0.2.21:80", "", false},
		{"its client's network", nil, "", "198.51.100.99/24", true},
		{"another network", nil, "", "198.51.101.0/24", false},
		{"real fits, client not", nil, "192.0.2.21", "198.51.100.8", false},
		{"another family", nil, "", "2001:db8::/32", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := connFilter{service: test.service}
			var err error
			if f.real, err = parseEnds("real", test.real); err != nil {
				t.Fatal(err)
			}
			if f.client, err = parseEnds("client", test.client); err != nil {
				t.Fatal(err)
			}
			if got := f.match(conn); got != test.want {
				t.Errorf("match = %v, want %v", got, test.want)
			}
		})
	}
}

func TestConnTable(t *testing.T) {
	failed := errors.New("cut off")
	conns := func(yield func(model.Conn, error) bool) {
		_ = yield(model.Conn{
			Protocol: model.TCP, State: model.StateEstablished, Forward: model.NAT, Expires: 899, Packets: 12, Bytes: 3456,
			Client:  netip.MustParseAddrPort("198.51.100.7:40000"),
			Virtual: netip.MustParseAddrPort("192.0.2.10:80"),
			Real:    netip.MustParseAddrPort("192.0.2.21:8080"),
		}, nil) && yield(model.Conn{}, failed)
	}
	var f connFilter
	var b strings.Builder
	if err := writeConns(&b, f.pass(conns)); !errors.Is(err, failed) {
		t.Errorf("error %v, want that of the sequence", err)
	}
	want := `PROTO  STATE        EXPIRES  CLIENT                 VIRTUAL                REAL                   FORWARD     PACKETS         BYTES
tcp    ESTABLISHED    14:59  198.51.100.7:40000     192.0.2.10:80          192.0.2.21:8080        nat              12          3456
`
	if b.String() != want {
		t.Errorf("table\n%swant\n%s", b.String(), want)
	}
}

func FuzzParseEnds(f *testing.F) {
	for _, s := range []string{"", "192.0.2.1", "192.0.2.1:80", "192.0.2.0/24", "[2001:db8::1]:80", "a", "1.2.3.4:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseEnds("real", s)
		var known *cli.Error
		switch {
		case err != nil && (!errors.As(err, &known) || known.Code != cli.Usage || known.Hint == ""):
			t.Errorf("error %v, want a usage error with a hint", err)
		case err == nil && s != "" && !e.prefix.IsValid():
			t.Errorf("%q is taken for all addresses", s)
		}
	})
}
