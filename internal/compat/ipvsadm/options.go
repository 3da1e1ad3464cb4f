package ipvsadm

// optionID is an option by its meaning. The order of those that carry a name is that
// in which ipvsadm looks for missing and illegal ones.
type optionID uint8

const (
	optNumeric optionID = iota
	optConns
	optService
	optScheduler
	optReal
	optForward
	optWeight
	optTimeout
	optStats
	optRate
	optNoSort
	optExact
	optTunType
	optJSON
	optSort    // allowed everywhere and without meaning, for old scripts
	optVerb    // a command
	optMissing // known to ipvsadm 1.31, not carried by naru
)

// optionNames are what messages call the options.
var optionNames = [...]string{
	optNumeric: "numeric", optConns: "connection", optService: "service-address",
	optScheduler: "scheduler", optReal: "real-server", optForward: "forwarding-method",
	optWeight: "weight", optTimeout: "timeout", optStats: "stats", optRate: "rate",
	optNoSort: "nosort", optExact: "exact", optTunType: "tun-type", optJSON: "json",
}

// optionSet is a set of the options that have a name.
type optionSet uint32

func setOf(ids ...optionID) (s optionSet) {
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

func (s optionSet) has(id optionID) bool { return s&(1<<id) != 0 }

// option is how an option is written.
type option struct {
	id    optionID
	short byte   // 0 if it has no short form
	long  string // without the dashes
	value bool   // a value follows
	verb  Verb   // of optVerb
}

// options is every option of ipvsadm 1.31, and --json.
var options = []option{
	{id: optVerb, short: 'A', long: "add-service", verb: AddService},
	{id: optVerb, short: 'E', long: "edit-service", verb: EditService},
	{id: optVerb, short: 'D', long: "delete-service", verb: DeleteService},
	{id: optVerb, short: 'C', long: "clear", verb: Clear},
	{id: optVerb, short: 'R', long: "restore", verb: Restore},
	{id: optVerb, short: 'S', long: "save", verb: Save},
	{id: optVerb, short: 'a', long: "add-server", verb: AddReal},
	{id: optVerb, short: 'e', long: "edit-server", verb: EditReal},
	{id: optVerb, short: 'd', long: "delete-server", verb: DeleteReal},
	{id: optVerb, short: 'L', long: "list", verb: List},
	{id: optVerb, short: 'l', verb: List},
	{id: optVerb, short: 'Z', long: "zero", verb: Zero},
	{id: optVerb, long: "set", verb: SetTimeouts},
	{id: optVerb, short: 'h', long: "help", verb: Help},
	{id: optVerb, short: 'v', long: "version", verb: Version},

	{id: optService, short: 't', long: "tcp-service", value: true},
	{id: optService, short: 'u', long: "udp-service", value: true},
	{id: optScheduler, short: 's', long: "scheduler", value: true},
	{id: optReal, short: 'r', long: "real-server", value: true},
	{id: optForward, short: 'g', long: "gatewaying"},
	{id: optForward, short: 'i', long: "ipip"},
	{id: optForward, short: 'm', long: "masquerading"},
	{id: optTunType, long: "tun-type", value: true},
	{id: optWeight, short: 'w', long: "weight", value: true},
	{id: optConns, short: 'c', long: "connection"},
	{id: optNumeric, short: 'n', long: "numeric"},
	{id: optExact, short: 'X', long: "exact"},
	{id: optTimeout, long: "timeout"},
	{id: optStats, long: "stats"},
	{id: optRate, long: "rate"},
	{id: optSort, long: "sort"},
	{id: optNoSort, long: "nosort"},
	{id: optJSON, long: "json"},

	{id: optMissing, long: "start-daemon", value: true},
	{id: optMissing, long: "stop-daemon", value: true},
	{id: optMissing, long: "sctp-service", value: true},
	{id: optMissing, short: 'f', long: "fwmark-service", value: true},
	{id: optMissing, short: '6', long: "ipv6"},
	{id: optMissing, short: 'p', long: "persistent"},
	{id: optMissing, short: 'M', long: "netmask", value: true},
	{id: optMissing, long: "pe", value: true},
	{id: optMissing, short: 'o', long: "ops"},
	{id: optMissing, short: 'b', long: "sched-flags", value: true},
	{id: optMissing, short: 'x', long: "u-threshold", value: true},
	{id: optMissing, short: 'y', long: "l-threshold", value: true},
	{id: optMissing, long: "tun-port", value: true},
	{id: optMissing, long: "tun-nocsum"},
	{id: optMissing, long: "tun-csum"},
	{id: optMissing, long: "tun-remcsum"},
	{id: optMissing, long: "syncid", value: true},
	{id: optMissing, long: "sync-maxlen", value: true},
	{id: optMissing, long: "mcast-interface", value: true},
	{id: optMissing, long: "mcast-group", value: true},
	{id: optMissing, long: "mcast-port", value: true},
	{id: optMissing, long: "mcast-ttl", value: true},
	{id: optMissing, long: "daemon"},
	{id: optMissing, long: "thresholds"},
	{id: optMissing, long: "persistent-conn"},
	{id: optMissing, long: "tun-info"},
}

// isVerb says whether the option may begin a line: it names a command, carried or not.
func (o *option) isVerb() bool {
	return o.id == optVerb || o.long == "start-daemon" || o.long == "stop-daemon"
}

// title names the option in a sentence: "-p (--persistent)".
func (o *option) title() string {
	if o.short == 0 {
		return "--" + o.long
	}
	return "-" + string(o.short) + " (--" + o.long + ")"
}

func byShort(c byte) *option {
	for i := range options {
		if options[i].short == c && c != 0 {
			return &options[i]
		}
	}
	return nil
}

func byLong(name string) *option {
	for i := range options {
		if options[i].long == name && name != "" {
			return &options[i]
		}
	}
	return nil
}
