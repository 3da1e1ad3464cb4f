package ipvsadm

import "strings"

// scanner takes options off the arguments one by one, by the rules of popt, which
// ipvsadm uses: short options cluster, a value may follow in the same word (after "="
// or not) or in the next one whatever that looks like, long names are not abbreviated,
// and words that are no options may stand anywhere.
type scanner struct {
	args    []string // not looked at yet
	word    string   // what the last option came from
	cluster string   // short options of word still to come
	free    []string // words that are no options
}

// next returns the next option and its value, or a nil option at the end.
func (s *scanner) next() (*option, string, error) {
	if s.cluster != "" {
		return s.short()
	}
	for len(s.args) > 0 {
		s.word, s.args = s.args[0], s.args[1:]
		switch {
		case s.word == "--":
			s.free, s.args = append(s.free, s.args...), nil
		case strings.HasPrefix(s.word, "--"):
			return s.long()
		case strings.HasPrefix(s.word, "-") && s.word != "-":
			s.cluster = s.word[1:]
			return s.short()
		default:
			s.free = append(s.free, s.word)
		}
	}
	return nil, "", nil
}

func (s *scanner) long() (*option, string, error) {
	name, value, attached := strings.Cut(s.word[2:], "=")
	o := byLong(name)
	switch {
	case o == nil:
		return nil, "", s.fault("unknown option")
	case !o.value && attached:
		return nil, "", s.fault("option does not take an argument")
	case o.value && !attached:
		return s.following(o)
	}
	return o, value, nil
}

func (s *scanner) short() (*option, string, error) {
	o := byShort(s.cluster[0])
	s.cluster = s.cluster[1:]
	switch {
	case o == nil:
		return nil, "", s.fault("unknown option")
	case !o.value && strings.HasPrefix(s.cluster, "="):
		return nil, "", s.fault("option does not take an argument")
	case !o.value:
		return o, "", nil
	case s.cluster == "":
		return s.following(o)
	}
	value := strings.TrimPrefix(s.cluster, "=")
	s.cluster = ""
	return o, value, nil
}

// following takes the next word as o's value.
func (s *scanner) following(o *option) (*option, string, error) {
	if len(s.args) == 0 {
		return nil, "", s.fault("missing argument")
	}
	value := s.args[0]
	s.args = s.args[1:]
	return o, value, nil
}

func (s *scanner) fault(text string) error {
	return &usage{exitRefused, s.word + ": " + text}
}
