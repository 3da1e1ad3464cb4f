package agent

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"naru/internal/model"
)

//go:embed script.sh
var linuxScript string

//go:embed script.ps1
var windowsScript string

// The systems that Script knows.
const (
	Linux   = "linux"
	Windows = "windows"
)

// Script returns a script that makes a machine without naru a real server of the VIPs,
// and that can undo it: for a shell on Linux, for PowerShell on Windows.
func Script(vips []VIP, system string) (string, error) {
	var silent, tunnel, back []string
	for _, v := range vips {
		switch v.Forward {
		case model.NAT:
			back = append(back, v.Address.String()+"="+v.Gateway.String())
		case model.TUN:
			tunnel = append(tunnel, v.Address.String())
		default:
			silent = append(silent, v.Address.String())
		}
	}
	switch system {
	case Linux:
		set := func(text, name string, values []string) string {
			return strings.Replace(text, "\n"+name+"=''", "\n"+name+"='"+strings.Join(values, " ")+"'", 1)
		}
		return set(set(set(linuxScript, "SILENT", silent), "TUNNEL", tunnel), "RETURN", back), nil
	case Windows:
		if len(tunnel) > 0 {
			return "", fmt.Errorf("write a script for %s: Windows cannot take IP-in-IP tunnels apart: use forward dr or nat for VIP %s", system, tunnel[0])
		}
		set := func(text, name string, values []string) string {
			for i, v := range values {
				values[i] = "'" + v + "'"
			}
			return strings.Replace(text, "\n$"+name+" = @()", "\n$"+name+" = @("+strings.Join(values, ", ")+")", 1)
		}
		return set(set(windowsScript, "Silent", slices.Clone(silent)), "Return", slices.Clone(back)), nil
	}
	return "", fmt.Errorf("write a script for %q: use %s or %s", system, Linux, Windows)
}
