package api

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPathsStayWithinASocketAddress(t *testing.T) {
	longest := strings.Repeat("x", maxInstance)
	if err := CheckInstance(longest); err != nil {
		t.Fatal(err)
	}
	if n := len(Socket(longest)); n > 107 {
		t.Errorf("%s has %d characters, a unix socket's path at most 107", Socket(longest), n)
	}
}

func TestInstanceNamesAreDirectoryNames(t *testing.T) {
	for name, good := range map[string]bool{
		"default": true, "a": true, "eth0-2": true,
		"": false, ".": false, "..": false, "a/b": false, "A": false, "ä": false, "a b": false,
		strings.Repeat("x", 33): false,
	} {
		if err := CheckInstance(name); (err == nil) != good {
			t.Errorf("CheckInstance(%q) = %v, want good %v", name, err, good)
		}
	}
}

func TestDiscoverTakesTheEnvironmentFirst(t *testing.T) {
	env := func(value string) func(string) string {
		return func(key string) string {
			if key == EnvInstance {
				return value
			}
			return ""
		}
	}
	if got, err := Discover(env("blue")); got != "blue" || err != nil {
		t.Errorf("Discover = %q, %v, want blue", got, err)
	}
	if _, err := Discover(env("../etc")); err == nil {
		t.Error("Discover took ../etc for an instance's name")
	}
}

func TestDiscoverFindsTheInstanceOfTheNamespace(t *testing.T) {
	const own = 4026532000
	for _, test := range []struct {
		name    string
		netns   map[string]string // of instance, content of its file
		answers string            // the instance that answers
		want    string
	}{
		{"none ever started", nil, "", "default"},
		{"only another namespace's", map[string]string{"blue": "4026531840\n"}, "blue", "default"},
		{"ours", map[string]string{"blue": "4026532000\n", "default": "4026531840\n"}, "", "blue"},
		{"ours, the default", map[string]string{"blue": "4026532000\n", "default": "4026532000\n"}, "", "default"},
		{"ours twice, one answers", map[string]string{"blue": "4026532000", "red": "4026532000"}, "red", "red"},
		{"a damaged file", map[string]string{"blue": "net:[4026532000]"}, "", "default"},
		{"only the default, and it is another namespace's", map[string]string{"default": "4026531840\n"}, "default", ""},
		{"a name that is none", map[string]string{"Blue": "4026532000"}, "", "default"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range test.netns {
				if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, name, "netns"), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if test.answers != "" {
				l, err := net.Listen("unix", filepath.Join(root, test.answers, "api.sock"))
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
			}
			if got, err := discover(root, own); got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("discover = %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestOwnNetnsIsTheKernelsNumber(t *testing.T) {
	n, err := OwnNetns()
	if err != nil || n == 0 {
		t.Errorf("OwnNetns() = %d, %v", n, err)
	}
}
