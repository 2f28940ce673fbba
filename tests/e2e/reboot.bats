#!/usr/bin/env bats
# Reboot and poweroff from inside a guest.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
}

setup() {
	[ "$(state one)" = running ] || isle start one
}

teardown_file() {
	end_of_file
}

has_other_init() {
	local now
	now=$(init_pid "$1")
	[ "$now" != null ] && [ "$now" != "$2" ] && [ "$(state "$1")" = running ]
}

@test "reboot: from inside, with the same monitor, address and interface" {
	init=$(init_pid one)
	monitor=$(monitor_pid one)
	links=$(field one '.links | map({name, host_name, mac, address, address6})')
	started=$(field one .starts)
	run isle exec one -- reboot
	wait_until 20 has_other_init one "$init"
	is monitor "$monitor" "$(monitor_pid one)"
	is links "$links" "$(field one '.links | map({name, host_name, mac, address, address6})')"
	is starts $((started + 1)) "$(field one .starts)"
	is answer hi "$(isle exec one -- echo hi)"
	works isle exec one -- ip -4 -o addr show eth0
	says "$(address one)"
}

@test "reboot: three times in a row, by force, and a clean stop" {
	monitor=$(monitor_pid one)
	for _ in 1 2 3; do
		init=$(init_pid one)
		run isle exec one -- reboot -f
		wait_until 20 has_other_init one "$init"
	done
	is monitor "$monitor" "$(monitor_pid one)"
	isle stop one
	assert_nothing_left one
}

@test "reboot: a console stays connected" {
	works "$E2E_HERE/terminal" see:'press Enter' type:'\r' see:'# ' type:'echo o""ne\r' see:one type:'reboot\r' see:'press Enter' type:'\r' see:'# ' \
		type:'echo t""wo\r' see:two type:'\x01q' -- "$ISLE" console one
}

@test "poweroff: from inside; nothing is left" {
	run isle exec one -- poweroff
	isle wait --timeout 20 one
	is state stopped "$(state one)"
	assert_nothing_left one
	works isle log --events one
	says poweroff
}

@test "poweroff: by force" {
	run isle exec one -- poweroff -f
	isle wait --timeout 20 one
	assert_nothing_left one
}

@test "poweroff: an init that ends stops the guest" {
	make_guest short --set 'guest.init=/bin/sh -c "exit 3"'
	run isle start short
	isle wait --timeout 20 short
	is state stopped "$(state short)"
	works isle log --events short
	says 3
	isle stop --kill one
	assert_nothing_left one short
}

@test "poweroff: an init that the host kills stops the guest" {
	kill -9 "$(init_pid one)"
	isle wait --timeout 20 one
	is state stopped "$(state one)"
	assert_nothing_left one short
	isle start one
	isle exec one -- true
}

@test "reboot: of a guest that was destroyed or reconfigured meanwhile takes its config anew" {
	isle config one set guest.hostname=newname
	init=$(init_pid one)
	run isle exec one -- reboot
	wait_until 20 has_other_init one "$init"
	is hostname newname "$(isle exec one -- hostname)"
	isle config one unset guest.hostname
}

@test "reboot: a start that fails ends the guest and leaves nothing" {
	isle config one set guest.init=/no/such/init
	run isle exec one -- reboot
	isle wait --timeout 20 one
	is state stopped "$(state one)"
	assert_nothing_left one short
	works isle log --events one
	says /no/such/init
	isle config one unset guest.init
}
