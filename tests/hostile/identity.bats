#!/usr/bin/env bats
# A guest that says it is another, or isle itself.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	make_guest two
	isle start one two
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

told() {
	isle info --json "$1" | jq -S '{name, state, hostname, ids, image, cgroup, console, pid, monitor_pid, privileged, storage, config,
		links: [.links[] | {name, host_name, mac, address, address6}]}'
}

# It can fail: each line is of what the guest changes; one that isle took from inside would change with it.
@test "identity: what isle tells of a guest does not come from inside it" {
	local told
	told=$(told one)
	inside one "hostname two; cp /bin/busybox /root/isle-monitor; ip addr add $(address two)/22 dev eth0; ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:01; ip link set eth0 name eth7
		echo two >/etc/hostname; echo 00000000000000000000000000000000 >/etc/machine-id" || :
	is told "$told" "$(told one)"
	is 'names' 'one two' "$(isle list -1 | xargs)"
	works timeout 30 "$ISLE" restart --kill one
	arm one
}

@test "identity: processes that call themselves isle's are left alone, and believed nothing" {
	local monitor
	inside one 'mkdir -p /opt; for n in isle isle-monitor systemd init; do cp /root/strike "/opt/$n"; ("/opt/$n" listen "$n" two &) done'
	monitor=$(monitor_pid two)
	works timeout 20 "$ISLE" list --long
	works timeout 30 "$ISLE" restart --kill one
	arm one
	is 'the monitor of the other guest' "$monitor" "$(monitor_pid two)"
	is 'state of the other' running "$(state two)"
}

@test "identity: the files of an instance that a guest makes inside are no instance of the host's" {
	inside one "mkdir -p $ISLE_PATH/guests/ghost $ISLE_PATH/run/ghost /run/isle/ghost /var/lib/isle/guests/ghost; echo '[guest]' >$ISLE_PATH/guests/ghost/config; cp $ISLE_PATH/guests/ghost/config /var/lib/isle/guests/ghost/config"
	is guests 'one two' "$(isle list -1 | xargs)"
	[ ! -e /var/lib/isle/guests/ghost ] || flunk 'it is there'
}

@test "identity: credentials that a guest sends through a socket are its own ids, and its own processes" {
	local first
	first=$(inside one 'cat /proc/self/uid_map' | awk '{ print $2 }')
	[ "$first" -ge 524288 ] || flunk "its root is $first"
	isnt 'ids of two guests' "$first" "$(isle exec two -- awk '{ print $2 }' /proc/self/uid_map)"
	is 'owner of its init' "$first" "$(stat -c %u "/proc/$(init_pid one)")"
	is 'processes that it sees of others' '' "$(inside one 'cat /proc/[0-9]*/comm' | grep -v 'init\|busybox\|sh\|cat\|syslogd\|klogd\|getty\|udhcpc\|sleep' || :)"
}
