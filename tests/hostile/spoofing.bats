#!/usr/bin/env bats
# Frames under other names: none of them arrives, unless the guest may send them, when all of them do.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	local knob
	# Where br_netfilter is loaded it trims frames and keeps fragments; these are this network namespace's own switches.
	for knob in /proc/sys/net/bridge/bridge-nf-call-{ip,ip6,arp}tables; do
		[ ! -e "$knob" ] || echo 0 >"$knob"
	done
	make_guest one two three
	isle start one two
	arm one spoof
	arm two spoof
}
teardown_file() { end_of_file; }

teardown() {
	nft delete table bridge foreign 2>/dev/null || :
	if [ "$(state three)" != stopped ]; then isle stop --kill three; fi
	if [ "$(isle config one get network.eth0.spoofing)" != deny ]; then allow deny; fi
}

# How the attacker is started anew: WHAT
allow() {
	isle stop --kill one
	isle config one set network.eth0.spoofing="$1" >/dev/null
	isle start one
}

# The kinds of frames that are sent: all, or those whose name matches.
kinds() {
	{
		grep -o 'send_as("[a-z0-9-]*' "$BATS_TEST_DIRNAME/spoof.c" | cut -d'"' -f2
		sed -n '/kind\[\] =/s/[^"]*"\([^"]*\)"[^"]*/\1\n/gp' "$BATS_TEST_DIRNAME/spoof.c"
	} | grep -v '^$\|^flood$' | sort | grep -E "${1-}"
}

host_address() {
	isle exec one -- ip "$1" route | awk '/^default/ { print $3; exit }'
}

# What arrives at guest two of what guest one sends: HEARD
volley() {
	local listener file=$BATS_TEST_TMPDIR/heard
	: >"$file"
	"$ISLE" exec two -- /root/spoof hear eth0 $((20 * E2E_SLOW)) >"$file" 3>&- &
	listener=$!
	wait_until 10 grep -q listening "$file"
	works isle exec one -- /root/spoof send eth0 "$(field two '.links[0].mac')" "$(address two)" "$(address6 two)" "$(host_address -4)" "$(host_address -6)"
	is 'complaints of the sender' '' "$output"
	wait "$listener" || flunk 'the honest end did not arrive' "$(cat "$file")" || return 1
	HEARD=$(grep -v listening "$file" | sort)
}

# same WHAT EXPECTED GOT, of lists
same() {
	[ "$2" = "$3" ] || flunk "$1:" "$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | grep '^[<>]')"
}

@test "spoofing: of sixty kinds of frames the honest ones arrive, and no other" {
	[ "$(kinds | wc -l)" -ge 55 ] || flunk "only $(kinds | wc -l) kinds are tried"
	volley
	same 'frames that arrived' "$(kinds '^own-|^end$')" "$HEARD"
	# Each by its own rule, and not only by what else there is.
	for reason in 'VLAN tag, BPDU or another protocol' MAC 'ARP of another kind' 'MAC in ARP' 'address in ARP' 'IPv4 address' router 'DHCP server' \
		'IPv6 address' 'IPv6 without an address' 'neighbour advertisement' 'headers in a later fragment' 'neighbour discovery in fragments'; do
		nft list table bridge isle | grep -F "comment \"$reason\"" | grep -q 'packets [1-9]' || flunk "no rule has dropped for: $reason"
	done
}

@test "spoofing: all of them arrive with spoofing = allow" {
	allow allow
	volley
	same 'frames that arrived' "$(kinds)" "$HEARD"
}

@test "spoofing: with spoofing = addresses only IP addresses are free" {
	allow addresses
	volley
	same 'frames that arrived' "$(kinds '^own-|^end$|^ip4-|^ip6-|^na-host|^na-of|^ns-|^dad-|^arp-(host|of-another|probe-of-another|nobody)$')" "$HEARD"
}

@test "spoofing: no accept of another table lets them through, before or after" {
	nft add table bridge foreign
	for when in -2000 0; do
		for hook in prerouting input forward; do
			nft add chain bridge foreign "c$hook$((when + 2000))" "{ type filter hook $hook priority $when; policy accept; }"
			nft add rule bridge foreign "c$hook$((when + 2000))" accept
		done
	done
	volley
	same 'frames that arrived' "$(kinds '^own-|^end$')" "$HEARD"
}

learned() {
	bridge fdb show br "isle$E2E_TAG" | grep -c '^02:fd:bf' || :
}

@test "spoofing: a guest puts nothing into the bridge's table, not by frames that no rule sees" {
	works isle exec one -- /root/spoof flood eth0 400
	is 'addresses learned' 0 "$(learned)"
	allow allow
	works isle exec one -- /root/spoof flood eth0 400
	[ "$(learned)" -ge 200 ] || flunk "only $(learned) addresses are learned of a guest that may"
}

@test "spoofing: with its rules flushed the bridge still knows the MAC; doctor says what is missing and the next start mends it" {
	works isle doctor
	says_not 'not guarded'
	nft flush ruleset
	volley
	[[ $HEARD == *ip4-of-another* ]] || flunk 'the check would see nothing' "$HEARD"
	same 'frames under other MACs' '' "$(grep ^mac- <<<"$HEARD" || :)"
	works isle doctor
	says 'one is not guarded'
	isle start three
	works isle doctor
	says_not 'not guarded'
	volley
	same 'frames that arrived' "$(kinds '^own-|^end$')" "$HEARD"
	nft flush ruleset
	works isle doctor --rules
	volley
	same 'frames that arrived' "$(kinds '^own-|^end$')" "$HEARD"
}

@test "spoofing: what a killed start or stop has left in the table goes" {
	for fault in network:kill network:kill-after 'run record:kill' network:fail-after; do
		ISLE_FAULT=$fault run "$ISLE" start three
		[ "$status" -ne 0 ] || flunk "the start survived $fault"
		isle stop --kill three 2>/dev/null || :
		is "elements after $fault" '' "$(nft list table bridge isle | grep "is$E2E_TAG-three" || :)"
	done
	isle start three
	ISLE_FAULT=network:kill-undo run "$ISLE" stop --kill three
	isle start three
	works nft list table bridge isle
	says "is$E2E_TAG-three"
	isle stop --kill three
	is 'elements after stop' '' "$(nft list table bridge isle | grep "is$E2E_TAG-three" || :)"
}
