package hostnet

import (
	"fmt"
	"strconv"
	"strings"
)

// sysctlPath turns a key into its path below /proc/sys. As in sysctl(8), the first
// separator decides: with a slash, dots are letters; with a dot, they are exchanged.
func sysctlPath(key string) (string, error) {
	path := key
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		path = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, key)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("sysctl %q is not a key: write net.ipv4.ip_forward, or with slashes if a name in it has dots", key)
		}
	}
	return path, nil
}

// sysctlName turns a path into the key people know, unless a name in it has dots.
func sysctlName(path string) string {
	if strings.Contains(path, ".") {
		return path
	}
	return strings.ReplaceAll(path, "/", ".")
}

// serves says whether a current value is as good as the wanted one.
func (s Sysctl) serves(current string) bool {
	if current == s.Value {
		return true
	}
	have, err := strconv.Atoi(current)
	want, err2 := strconv.Atoi(s.Value)
	return s.AtLeast && err == nil && err2 == nil && have >= want
}
