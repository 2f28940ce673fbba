#!/usr/bin/env bats
# What a guest does to its links, and what it reaches by them. Frames under other names are in spoofing.bats.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	make_guest two
	isle start one two
	arm one
	arm two
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

@test "network: a guest that takes its interface away, down or elsewhere gets a new one" {
	inside one 'ip link set eth0 down; ip link set eth0 name other; ip link set other mtu 100; ip addr flush dev other' || :
	works timeout 30 "$ISLE" restart --kill one
	inside one 'ip link del eth0' || :
	works timeout 30 "$ISLE" restart --kill one
	inside one 'unshare -n sleep 60 & sleep 0.3; ip link set eth0 netns $!' || :
	works timeout 30 "$ISLE" stop --kill one
	is 'links left' '' "$(ip -o link show | grep -o "is$E2E_TAG-one[^:@]*" || :)"
	isle start one
	arm one
	is interface eth0 "$(isle exec one -- ls /sys/class/net | grep eth)"
}

@test "network: no link of the host's, nor a way to put one there" {
	is links 'eth0 lo' "$(inside one 'echo $(ls /sys/class/net)')"
	! inside one 'ip link add h0 type veth peer name h1; ip link set h1 netns /proc/1/ns/net/../../../../1' 2>/dev/null || flunk 'a link of its own is put elsewhere'
	inside one 'ip link add bad type bridge; ip link add none type dummy; ip link set bad up' 2>/dev/null || :
	is 'links of the host' '' "$(ip -o link show | grep -E ' (bad|none|h0|h1)[:@]' || :)"
}

@test "network: the host takes no route or address from a guest's router advertisement, though it may send some" {
	isle stop --kill one
	isle config one set network.eth0.spoofing=allow >/dev/null
	isle start one
	works isle exec one -- /root/strike advert eth0
	says sent
	sleep 1
	is 'default route' '' "$(ip -6 route show default)"
	is address '' "$(ip -6 -o addr | grep fdba:d0ba || :)"
	isle stop --kill one
	isle config one unset network.eth0.spoofing >/dev/null
	isle start one
}

@test "network: abstract sockets of the host and of other guests are out of reach" {
	"$HOSTILE_TOOLS/strike" listen isle-hostile-host &
	local host=$!
	timeout 20 "$ISLE" exec two -- /root/strike listen isle-hostile-two &
	local other=$!
	wait_until 10 grep -q isle-hostile-host /proc/net/unix
	wait_until 10 grep -q isle-hostile-two "/proc/$(init_pid two)/net/unix"
	strike one connect isle-hostile-host
	strike one connect isle-hostile-two
	kill "$host" "$other"
	wait "$host" "$other" || :
	# And of isle itself there are none.
	is 'abstract sockets of isle' '' "$(awk '$8 ~ /^@.*isle/ { print $8 }' /proc/net/unix | grep -v hostile || :)"
}

@test "network: settings of its own namespace do not leak" {
	inside one 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_all; echo 7 >/proc/sys/net/ipv4/ip_default_ttl' || :
	! inside one 'echo 1 >/proc/sys/net/core/bpf_jit_enable' 2>/dev/null || flunk 'bpf_jit_enable can be written'
	! inside one 'echo 100000 >/proc/sys/net/core/rmem_default' 2>/dev/null ||
		isnt 'rmem_default of the host' 100000 "$(cat /proc/sys/net/core/rmem_default)"
}

@test "network: the host's uevents, routes and neighbours are not to be seen" {
	[ -z "$(inside one 'cat /proc/net/route /proc/net/arp /proc/net/dev' | grep "is$E2E_TAG\|isle$E2E_TAG" || :)" ]
	is 'sockets of the host' '' "$(inside one 'cat /proc/net/unix' | grep -i "isle\|systemd\|dbus" || :)"
}

@test "network: what a guest has sent and received stays on its account when it deletes its interface" {
	local gateway sent received
	gateway=$(inside one "ip route | awk '/^default/ { print \$3 }'")
	account() { isle usage --json one | jq ".[0].network_$1_bytes"; }
	isle usage --record one
	inside one "ping -q -c 200 -i 0.002 -s 1400 $gateway"
	sent=$(account sent) received=$(account received)
	[ "$sent" -gt 280000 ] && [ "$received" -gt 280000 ]
	inside one 'ip link del eth0'
	# Ethernet's own bytes and a frame or two that no rule has seen may differ.
	for _ in 1 2; do
		[ "$(account sent)" -gt $((sent * 9 / 10)) ] || flunk "$(account sent) of $sent"
		[ "$(account received)" -gt $((received * 9 / 10)) ] || flunk "$(account received) of $received"
		[ "$(account sent)" -le $((sent * 11 / 10)) ] || flunk "$(account sent) of $sent"
		isle usage --record one
	done
	works timeout 30 "$ISLE" restart --kill one
	arm one
	[ "$(account sent)" -gt $((sent * 9 / 10)) ] || flunk "$(account sent) of $sent"
	[ "$(account sent)" -le $((sent * 12 / 10)) ] || flunk "$(account sent) of $sent"
}
