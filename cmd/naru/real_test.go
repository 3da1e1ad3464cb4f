package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"naru/internal/cli"
)

// naruReal runs the program as a user would and returns what it said.
func naruReal(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	e := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	code = run(e, append([]string{"naru", "real"}, args...))
	return code, out.String(), errs.String()
}

// TestRealRefuses: what cannot be meant is refused with exit code 2, before the
// machine is looked at.
func TestRealRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "real.yaml")
	if err := os.WriteFile(file, []byte("vips:\n  - vip: 192.0.2.10\n    forward: nat\n  - vpi: 192.0.2.11\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"up --vip nix", `read --vip: "nix" is not an address`},
		{"up --vip 192.0.2.10/32", "without a port or a netmask"},
		{"up --vip 192.0.2.10 --forward local", "is never written"},
		{"up --vip 192.0.2.10 --forward what", `forward "what" is unknown`},
		{"up --vip 192.0.2.10 --forward nat", "gateway"},
		{"up --vip 192.0.2.10 --gateway 10.0.0.1", "gateway is for forward nat"},
		{"up --vip 192.0.2.10 --director 10.0.0.1", "directors is for forward tun"},
		{"up --vip 192.0.2.10 --interface eth0", "interface is for forward tun"},
		{"up --vip 192.0.2.10 --instance A/b", "a-z, 0-9 and the hyphen"},
		{"up --vip 127.0.0.1", "loopback"},
		{"up --vip 2001:db8::1", "IPv6, which this version does not carry yet"},
		{"up --vip 192.0.2.10 -c " + file, "--vip and -c exclude each other"},
		{"up --forward tun", "there is no --vip"},
		{"up -c /nonexistent/real.yaml", "it is not there"},
		{"up -c " + file, ":4:"},
		{"up 192.0.2.10", "takes no arguments"},
		{"down some", "one too many"},
		{"down --vip nix", "is not an address"},
		{"script", "give either --vip or -c"},
		{"script --vip 192.0.2.10 --forward tun --os windows", "use forward dr or nat"},
		{"script --vip 192.0.2.10 --os plan9", "use linux or windows"},
		{"upp", "did you mean 'naru real up'"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, stdout, stderr := naruReal(t, strings.Fields(tt.args)...)
			if code != cli.Usage || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, output %q, errors:\n%swant exit code %d and %q", code, stdout, stderr, cli.Usage, tt.want)
			}
		})
	}
}

func TestRealScript(t *testing.T) {
	code, stdout, stderr := naruReal(t, "script", "--vip", "192.0.2.10", "--vip", "192.0.2.11")
	if code != cli.OK || stderr != "" || !strings.HasPrefix(stdout, "#!/bin/sh\n") || !strings.Contains(stdout, "SILENT='192.0.2.10 192.0.2.11'") {
		t.Errorf("exit code %d, errors %q, output:\n%s", code, stderr, stdout)
	}
}
