#!/usr/bin/env bats
# What becomes of a change of the config that was made while the guest slept.
load lib
bats_require_minimum_version 1.5.0

setup_file() { begin_one; }

setup() {
	one_runs
	isle checkpoint -q one
}

teardown_file() { end_of_file; }

gateway() {
	isle exec one -- ip route | awk '/^default/ { print $3 }'
}

@test "checkpoint, config: limits hold in the guest that wakes" {
	isle config one set limits.memory=64M limits.processes=50
	isle start one
	is 'memory limit' '64 MiB' "$(isle list -q --columns memory_limit one | xargs)"
	isle config one unset limits.memory limits.processes
}

@test "checkpoint, config: another address and MAC are the guest's when it wakes, and it reaches others" {
	is 'what sleeps' checkpointed "$(state one)"
	isle start one
	address=$(address one)
	isle exec one -- ip route add 192.0.2.0/24 via "$(gateway)"
	isle checkpoint -q one
	isle start one
	is 'a route, when nothing was changed' 1 "$(isle exec one -- ip route | grep -c ^192.0.2.0)"
	isle checkpoint -q one
	isle config one set network.eth0.address="${address%.*}.$((${address##*.} % 200 + 7))/22" network.eth0.mac=02:00:5e:10:00:01
	isle start one
	isnt address "$address" "$(address one)"
	isle exec one -- ip addr show eth0 | grep -q "inet $(address one)/22"
	isle exec one -- ip addr show eth0 | grep -q 'ether 02:00:5e:10:00:01'
	is 'addresses of before' 0 "$(isle exec one -- ip addr show eth0 | grep -c "inet $address/")"
	isle exec one -- ping -c 1 -W 5 "$(gateway)"
	# And back.
	isle checkpoint -q one
	isle config one unset network.eth0.address network.eth0.mac
	isle start one
	isle exec one -- ip addr show eth0 | grep -q "inet $(address one)/22"
	isle exec one -- ping -c 1 -W 5 "$(gateway)"
}

@test "checkpoint, config: an interface too many or too few is named, with what helps" {
	isle config one set network.eth1.link=isle0
	fails 1 isle start one
	says 'give it the interface eth1'
	says 'isle config one set network.eth1.type=none'
	isle config one set network.eth1.type=none
	isle start one
	isle checkpoint -q one
	isle config one unset network.eth1 network.eth0
	fails 1 isle start one
	says 'restore the interface eth0'
	says 'isle config one set network.eth0.type=bridge'
	isle config one set network.eth0.type=bridge
	isle start one
}

@test "checkpoint, config: what the guest must not do any more is refused soon, and --cold starts it so" {
	isle config one set security.drop-capabilities=net_raw
	began=$(milliseconds)
	fails 1 isle start one
	[ $(($(milliseconds) - began)) -lt $((20000 * E2E_SLOW)) ] || flunk 'it waited for a criu that did not end'
	says 'capabilities that guests do not have'
	says 'isle start --cold one'
	is state checkpointed "$(state one)"
	isle start --cold one
	is 'the bounding set' 0 $((16#$(isle exec one -- sed -n 's/^CapBnd:\t//p' /proc/1/status) >> 13 & 1))
	isle config one unset security.drop-capabilities
}

@test "checkpoint, config: a guest whose config says privileged = no wakes like any other" {
	isle config one set security.privileged=no
	isle start one
	isle checkpoint -q one
	works isle start one
	is state running "$(state one)"
}
