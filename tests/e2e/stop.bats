#!/usr/bin/env bats
# isle stop: clean by the init's own convention, by force, in parallel; nothing stays.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	# What runs only when init shuts down itself leaves a mark.
	isle start one
	isle exec one -- sh -c 'mkdir /etc/rc.stop && printf "#!/bin/sh\necho clean >>/root/marks\n" >/etc/rc.stop/mark && chmod 755 /etc/rc.stop/mark'
}

setup() {
	[ "$(state one)" = running ] || isle start one
}

teardown() {
	if [ -e "$ISLE_PATH/guests/two" ]; then isle destroy -q --force two; fi
}

teardown_file() {
	end_of_file
}

# A guest whose init hears no signal that asks it to stop.
make_stubborn() {
	make_guest "$1" --set 'guest.init=/bin/sh -c "trap : USR2 PWR TERM; while :; do sleep 1; done"'
}

@test "stop: init shuts down itself, and nothing is left" {
	isle exec one -- rm -f /root/marks
	isle stop one
	is state stopped "$(state one)"
	assert_nothing_left one
	isle start one
	is marks clean "$(isle exec one -- cat /root/marks)"
}

@test "stop: the interface is gone when the command returns" {
	link=$(field one '.links[0].host_name')
	ip link show "$link" >/dev/null
	isle stop --kill one
	run ip link show "$link"
	[ "$status" -ne 0 ]
}

@test "stop: processes, cgroups and monitor are gone when the command returns" {
	isle exec one -- sh -c 'sleep 1000 & sleep 1000 & (setsid sleep 1000 &)' >/dev/null
	pid=$(init_pid one)
	monitor=$(monitor_pid one)
	isle stop --kill one
	gone "$pid"
	gone "$monitor"
	is cgroups '' "$(cgroups_left)"
}

@test "stop --kill: does not ask" {
	isle exec one -- rm -f /root/marks
	begun=$(milliseconds)
	isle stop --kill one
	[ $(($(milliseconds) - begun)) -lt $((1500 * E2E_SLOW)) ]
	isle start one
	run isle exec one -- cat /root/marks
	[ "$status" -ne 0 ]
}

@test "stop --timeout: kills an init that does not go" {
	make_stubborn two
	isle start two
	begun=$(milliseconds)
	isle stop --timeout 1 two
	took=$(($(milliseconds) - begun))
	[ "$took" -ge 1000 ]
	[ "$took" -lt $((10000 * E2E_SLOW)) ]
	is state stopped "$(state two)"
	works isle log --events two
	says 'killed'
}

@test "stop --no-kill: fails with status 5 and leaves it running" {
	make_stubborn two
	isle start two
	fails 5 isle stop --no-kill --timeout 1 two
	says --kill
	is state running "$(state two)"
	is answer hi "$(isle exec two -- echo hi)"
}

@test "stop: guest.stop-timeout is the default" {
	make_stubborn two
	isle config two set guest.stop-timeout=1s
	isle start two
	begun=$(milliseconds)
	isle stop two
	[ $(($(milliseconds) - begun)) -lt $((10000 * E2E_SLOW)) ]
}

@test "stop: guest.stop-signal is what init gets" {
	make_guest two --set guest.stop-signal=SIGUSR1 --set 'guest.init=/bin/sh -c "trap '\''echo usr1 >/root/mark; exit 0'\'' USR1; while :; do sleep 1; done"'
	isle start two
	isle stop two
	is state stopped "$(state two)"
	isle config two unset guest.init
	isle start two
	is mark usr1 "$(isle exec two -- cat /root/mark)"
}

@test "stop: a frozen guest" {
	isle freeze one
	isle stop one
	is state stopped "$(state one)"
	assert_nothing_left one
}

@test "stop: a guest that is stopped has the wrong state" {
	make_guest two
	fails 4 isle stop two
	says stopped
}

@test "stop: no such guest" {
	fails 3 isle stop nobody
}

@test "stop: several at a time, in parallel" {
	for name in two p1 p2 p3; do make_guest "$name"; done
	isle start two p1 p2 p3
	begun=$(milliseconds)
	isle stop -j 4 two p1 p2 p3
	# busybox's init takes two seconds for each.
	[ $(($(milliseconds) - begun)) -lt $((6000 * E2E_SLOW)) ]
	for name in two p1 p2 p3; do is "state of $name" stopped "$(state $name)"; done
	isle destroy -q p1 p2 p3
}

@test "stop --all: stops what runs" {
	make_guest two
	isle start two
	isle stop --all --kill
	is 'running guests' '' "$(isle list -1 --running)"
	isle stop --all
	assert_nothing_left one two
}

@test "stop --all: a frozen guest is one that runs" {
	make_guest two
	isle start two
	isle freeze one
	isle stop --all --kill
	is "state of one" stopped "$(state one)"
	is "state of two" stopped "$(state two)"
}

@test "stop: one that fails does not keep the others" {
	run isle stop --kill one nobody
	[ "$status" -eq 3 ] || flunk "status $status"
	is state stopped "$(state one)"
}

@test "restart: the same address, a new init" {
	before=$(init_pid one)
	where=$(address one)
	isle restart --kill one
	is state running "$(state one)"
	isnt init "$before" "$(init_pid one)"
	is address "$where" "$(address one)"
	isle exec one -- true
}

@test "restart: starts a guest that is stopped" {
	make_guest two
	isle restart --wait two
	is state running "$(state two)"
}

@test "restart: as stop --reboot" {
	before=$(init_pid one)
	isle stop --kill --reboot one
	isnt init "$before" "$(init_pid one)"
}

@test "stop: a guest that was only just started is asked when its init can hear it" {
	make_guest slow
	isle start slow
	isle exec slow -- sh -c 'printf "#!/bin/sh\nsleep 3\nexec /sbin/init\n" >/slow-init; chmod 755 /slow-init'
	isle stop --kill slow
	isle config slow set guest.init=/slow-init guest.stop-signal=SIGUSR2 guest.stop-timeout=40s
	isle start slow
	begun=$(milliseconds)
	isle stop slow
	[ $(($(milliseconds) - begun)) -lt 30000 ] || flunk 'it was asked before it could hear'
	works isle log --events slow
	[[ ${lines[-1]} == *Z\ stopped ]] || flunk "$output"
	isle destroy slow
}
