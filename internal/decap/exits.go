package decap

// exitNames are the names of enum decap_exit (decap.bpf.c), under which the program's
// exits are counted and shown. A test holds the two lists together.
var exitNames = [decapDecapExitEXIT_MAX]string{
	decapDecapExitEXIT_DECAPSULATED:    "decapsulated",
	decapDecapExitEXIT_NOT_TUNNEL:      "pass_not_tunnel",
	decapDecapExitEXIT_OTHER_HOST:      "pass_other_host",
	decapDecapExitEXIT_OUTER_BROKEN:    "pass_outer_broken",
	decapDecapExitEXIT_FRAGMENT:        "pass_fragment",
	decapDecapExitEXIT_NOT_LOCAL:       "pass_not_local",
	decapDecapExitEXIT_INNER_TRUNCATED: "pass_inner_truncated",
	decapDecapExitEXIT_STRANGER:        "pass_stranger",
	decapDecapExitEXIT_REFUSED:         "drop_refused",
	decapDecapExitEXIT_INNER_BROKEN:    "drop_inner_broken",
	decapDecapExitEXIT_ECN:             "drop_ecn",
	decapDecapExitEXIT_NO_ROOM:         "drop_no_room",
}

// ExitNames lists the keys of State.Exits in the order of the program's questions.
func ExitNames() []string { return exitNames[:] }
