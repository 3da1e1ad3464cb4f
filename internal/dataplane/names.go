package dataplane

// exitNames are the names of enum exit, in its order; a test holds them to it.
var exitNames = [lbExitEXITS]string{
	lbExitEXIT_PASS_OTHER:           "pass_other",
	lbExitEXIT_PASS_MALFORMED:       "pass_malformed",
	lbExitEXIT_PASS_NO_SERVICE:      "pass_no_service",
	lbExitEXIT_PASS_VIP_NOT_HELD:    "pass_vip_not_held",
	lbExitEXIT_PASS_FRAGMENT:        "pass_fragment",
	lbExitEXIT_LOCAL:                "local",
	lbExitEXIT_DR:                   "dr",
	lbExitEXIT_NAT:                  "nat",
	lbExitEXIT_NAT_REPLY:            "nat_reply",
	lbExitEXIT_TUN:                  "tun",
	lbExitEXIT_ICMP_RELATED:         "icmp_related",
	lbExitEXIT_ANSWER_RESET:         "answer_reset",
	lbExitEXIT_ANSWER_UNREACHABLE:   "answer_unreachable",
	lbExitEXIT_ANSWER_TOO_BIG:       "answer_too_big",
	lbExitEXIT_ANSWER_TIME_EXCEEDED: "answer_time_exceeded",
	lbExitEXIT_DROP_NO_CONN:         "drop_no_conn",
	lbExitEXIT_DROP_NO_NEIGHBOUR:    "drop_no_neighbour",
	lbExitEXIT_DROP_REAL_GONE:       "drop_real_gone",
	lbExitEXIT_DROP_CONN_BUSY:       "drop_conn_busy",
	lbExitEXIT_DROP_TABLE_FULL:      "drop_table_full",
	lbExitEXIT_DROP_NAT_COLLISION:   "drop_nat_collision",
	lbExitEXIT_DROP_TOO_BIG:         "drop_too_big",
	lbExitEXIT_DROP_UNANSWERABLE:    "drop_unanswerable",
	lbExitEXIT_DROP_ERROR:           "drop_error",
}

// eventNames are the names of enum event, in its order; a test holds them to it.
var eventNames = [lbEventEVENTS]string{
	lbEventEVENT_CONN_NEW:       "conn_new",
	lbEventEVENT_CONN_EXPIRED:   "conn_expired",
	lbEventEVENT_CONN_RECLAIMED: "conn_reclaimed",
	lbEventEVENT_STATELESS:      "stateless",
	lbEventEVENT_PROMOTED:       "promoted",
}
