package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"naru/internal/api"
	"naru/internal/model"
)

func TestStatusTable(t *testing.T) {
	address := netip.MustParseAddrPort
	r := report{
		Status: api.Status{
			Version: "v1", Instance: "default", PID: 42, Started: "2026-01-02T03:04:05Z", File: "/etc/naru/naru.yaml",
			Hooks:    []api.Hook{{Interface: "eth0", Kind: "tcx", Why: "leads to VIP 192.0.2.10", Choice: "the file says tc"}},
			Conns:    11,
			Capacity: 1024,
			Exits:    map[string]uint64{"dr": 1200, "pass_other": 7, "drop_no_mac": 0},
			Events:   map[string]uint64{"conn_new": 50},
			Faults:   []string{"interface eth9 is gone"},
		},
		Timeouts: model.DefaultTimeouts,
		Services: []api.Service{
			{
				Name: "web", Key: model.Key{Protocol: model.TCP, VIP: netip.MustParseAddr("192.0.2.10"), Port: 80},
				Held: true, Owner: model.Owner{Kind: model.FileOwner}, Rates: model.Rates{Conns: 3, InPackets: 40, InBytes: 5000},
				Reals: []api.Real{
					{Real: model.Real{Name: "rs1", Address: address("192.0.2.21:80"), Weight: 5}, Effective: 5, Reachable: true,
						Owner: model.Owner{Kind: model.FileOwner}, Active: 9, Inactive: 2, Rates: model.Rates{Conns: 3, InPackets: 40, InBytes: 5000}},
					{Real: model.Real{Address: address("192.0.2.22:80"), Weight: 5, Forward: model.TUN}, Effective: 0,
						Owner: model.Owner{Kind: model.EditOwner}},
				},
			},
			{Key: model.Key{Protocol: model.UDP, VIP: netip.MustParseAddr("192.0.2.10"), Port: 53}, Scheduler: model.MH,
				Owner: model.Owner{Kind: model.EditOwner}},
		},
	}
	var b strings.Builder
	r.write(&b, time.Date(2026, 1, 2, 4, 4, 6, 500, time.UTC))
	want := `! interface eth9 is gone
naru      v1, instance default, process 42, up 1h0m1s
file      /etc/naru/naru.yaml
conns     11 of 1024
timeouts  tcp 900 s, tcp after fin 120 s, udp 300 s
hook      eth0 (tcx, as the file says tc): leads to VIP 192.0.2.10

SERVICE                    FORWARD  WEIGHT    ACTIVE  INACTIVE  CONNS/S  PACKETS/S  BYTES/S
web tcp:192.0.2.10:80 wlc                                       3        40         5000
  rs1 192.0.2.21:80        dr       5         9       2         3        40         5000
  192.0.2.22:80            tun      0 (of 5)  0       0         0        0          0        no MAC known, by edit
udp:192.0.2.10:53 mh                                            0        0          0        VIP not held, by edit

PACKETS  LEFT THE PACKET PATH AS
   1200  dr
      7  pass_other

TIMES  IN THE CONN TABLE
   50  conn_new
`
	var got strings.Builder
	for line := range strings.Lines(b.String()) {
		got.WriteString(strings.TrimRight(line, " \n") + "\n") // the last column is often empty
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatusOfADirectorWithNothingToDo(t *testing.T) {
	var b strings.Builder
	(&report{Status: api.Status{Version: "v1", Instance: "default", Started: "?"}}).write(&b, time.Time{})
	for _, want := range []string{"hook      none", "no services"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "COUNT") {
		t.Errorf("an empty table of exits:\n%s", b.String())
	}
}
