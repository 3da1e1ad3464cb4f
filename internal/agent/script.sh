#!/bin/sh
# Makes this Linux machine a real server of the VIPs below, without naru on it.
#
#   sh real.sh up       set it up; a second time changes nothing
#   sh real.sh down     undo what up did, and nothing else
#
# Run it as root, up at every boot. It does by hand what "naru real up" does.
set -eu

SILENT='' # VIPs this machine holds on lo (dr)
TUNNEL='' # VIPs this machine holds on tunl0, whose packets arrive in IP-in-IP (tun)
RETURN='' # VIP=GATEWAY, whose replies must go back through the director (nat)

# What was found is kept here, for down. It is gone after a boot, as what up did is.
KEEP=${NARU_KEEP:-/run/naru-real-script}

found() { # KEY: has its value been kept already?
	[ -e "$KEEP/sysctls" ] && grep -q "^$1 " "$KEEP/sysctls"
}

# raise KEY VALUE [GOOD...]: set a sysctl, unless it is good already, and keep what
# was found.
raise() {
	key=$1 value=$2
	shift
	now=$(cat "/proc/sys/$key")
	for good; do [ "$now" != "$good" ] || return 0; done
	found "$key" || echo "$key $now" >>"$KEEP/sysctls"
	echo "$value" >"/proc/sys/$key"
	echo "set $key to $value (it was $now)"
}

# The ARP problem: the director answers for the VIP, so this machine must not. That is
# said before the VIP is there. The kernel takes the greater of "all" and the interface.
silence() {
	for iface in all lo; do
		raise "net/ipv4/conf/$iface/arp_ignore" 1 2 8
		raise "net/ipv4/conf/$iface/arp_announce" 2
	done
}

# hold VIP DEVICE: add it, unless somebody else has.
hold() {
	if ip -4 -o addr show dev "$2" | grep -qF " inet $1/"; then
		echo "$1 is on $2 already"
		return
	fi
	echo "$1 $2" >>"$KEEP/vips"
	ip addr add "$1/32" dev "$2"
	echo "added $1 to $2"
}

# The kernel's own tunnel device takes packets out of the director's tunnels. They then
# arrive on it though their senders are elsewhere: rp_filter 2 allows that, but only on
# a device that has an address, so tun's VIPs are there and not on lo.
unwrap() {
	if [ ! -e /proc/sys/net/ipv4/conf/tunl0 ]; then
		modprobe ipip 2>/dev/null || true
		if [ ! -e /proc/sys/net/ipv4/conf/tunl0 ]; then
			echo "this kernel has no IP-in-IP: use 'naru real up', which needs none, or forward dr" >&2
			exit 1
		fi
	fi
	raise net/ipv4/conf/tunl0/rp_filter 2
	if [ -z "$(ip link show up dev tunl0)" ]; then
		: >"$KEEP/tunl0"
		ip link set tunl0 up
		echo "set tunl0 up"
	fi
}

# check VIP=GATEWAY: with nat nothing is set up here, but clients take replies only
# from the director. 203.0.113.1 stands for any of them.
check() {
	vip=${1%=*} gateway=${1#*=}
	own=$(ip -4 -o route get "$gateway" | sed -n 's/.* src \([0-9.]*\).*/\1/p')
	if ip -4 -o route get 203.0.113.1 from "$own" 2>/dev/null | grep -qF " via $gateway "; then
		echo "replies of $vip go back through $gateway"
		return
	fi
	echo "replies of $vip do not go back through the director: ip route replace default via $gateway" >&2
	exit 1
}

up() {
	umask 077
	mkdir -p "$KEEP"
	[ -z "$SILENT$TUNNEL" ] || silence
	[ -z "$TUNNEL" ] || unwrap
	for vip in $SILENT; do hold "$vip" lo; done
	for vip in $TUNNEL; do hold "$vip" tunl0; done
	for pair in $RETURN; do check "$pair"; done
}

# undo: the VIPs go first, for without the sysctls this machine would answer for them.
undo() {
	[ -d "$KEEP" ] || return 0
	if [ -e "$KEEP/vips" ]; then
		while read -r vip device; do
			ip addr del "$vip/32" dev "$device" 2>/dev/null || true
			echo "removed $vip from $device"
		done <"$KEEP/vips"
	fi
	if [ -e "$KEEP/tunl0" ]; then
		ip link set tunl0 down 2>/dev/null || true
		echo "set tunl0 down"
	fi
	if [ -e "$KEEP/sysctls" ]; then
		while read -r key value; do
			[ ! -e "/proc/sys/$key" ] || echo "$value" >"/proc/sys/$key"
			echo "restored $key to $value"
		done <"$KEEP/sysctls"
	fi
	rm -rf "$KEEP"
}

case ${1:-} in
up) up ;;
down | undo) undo ;;
*)
	echo "usage: sh $0 up|down" >&2
	exit 2
	;;
esac
