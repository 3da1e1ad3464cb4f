package agent

import (
	"strings"
	"testing"

	"naru/internal/model"
)

func TestScript(t *testing.T) {
	dr := VIP{Address: ip("192.0.2.10")}
	tun := VIP{Address: ip("192.0.2.11"), Forward: model.TUN}
	nat := VIP{Address: ip("192.0.2.12"), Forward: model.NAT, Gateway: ip("10.0.0.1")}
	for _, tt := range []struct {
		name   string
		vips   []VIP
		system string
		want   []string // lines
		err    string
	}{
		{"linux", []VIP{dr, tun, nat}, Linux, []string{
			"SILENT='192.0.2.10' # VIPs this machine holds on lo (dr)",
			"TUNNEL='192.0.2.11' # VIPs this machine holds on tunl0, whose packets arrive in IP-in-IP (tun)",
			"RETURN='192.0.2.12=10.0.0.1' # VIP=GATEWAY, whose replies must go back through the director (nat)",
		}, ""},
		{"windows", []VIP{dr, nat}, Windows, []string{
			"$Silent = @('192.0.2.10') # VIPs this machine holds on the loopback adapter (dr)",
			"$Return = @('192.0.2.12=10.0.0.1') # VIP=GATEWAY, whose replies must go back through the director (nat)",
		}, ""},
		{"windows has no tun", []VIP{tun}, Windows, nil, "use forward dr or nat for VIP 192.0.2.11"},
		{"unknown system", []VIP{dr}, "plan9", nil, "use linux or windows"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := Script(tt.vips, tt.system)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range tt.want {
				if !strings.Contains(text, "\n"+line+"\n") {
					t.Errorf("the script has no line %q", line)
				}
			}
		})
	}
}
