#!/usr/bin/env bats
# isle freeze and unfreeze.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	make_guest two
	isle start one
}

setup() {
	case $(state one) in
	frozen) isle unfreeze one ;;
	stopped) isle start one ;;
	esac
}

teardown_file() {
	end_of_file
}

# What a busy process of the guest's has used of the processor.
ticks() {
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}

@test "freeze: no process of the guest runs, and each goes on afterwards" {
	isle exec one -- sh -c 'while :; do :; done >/dev/null 2>&1 & echo $! >/tmp/busy'
	busy=$(grep -lE "^NSpid:.*[0-9][[:blank:]]$(isle exec one -- cat /tmp/busy)\$" /proc/[0-9]*/status | tail -n 1 | cut -d/ -f3)
	isle freeze one
	is state frozen "$(state one)"
	is 'state in JSON' frozen "$(field one .state)"
	before=$(ticks "$busy")
	# A while of somebody else's processor time, so that it would have had its own.
	timeout 0.5 sh -c 'while :; do :; done' || :
	is ticks "$before" "$(ticks "$busy")"
	isle unfreeze one
	is state running "$(state one)"
	more() { [ "$(ticks "$busy")" -gt "$before" ]; }
	wait_until 10 more
	isle exec one -- sh -c 'kill $(cat /tmp/busy)'
}

@test "freeze: a guest that is frozen, stopped or not there" {
	isle freeze one
	run isle freeze one
	[ "$status" -eq 0 ] || [ "$status" -eq 4 ]
	is state frozen "$(state one)"
	fails 4 isle freeze two
	fails 3 isle freeze nobody
	fails 4 isle unfreeze two
	isle unfreeze one
}

@test "freeze: what a frozen guest cannot do is refused, not waited for" {
	isle freeze one
	fails 4 timeout 10 "$ISLE" start one
	says unfreeze
	fails 4 timeout 10 "$ISLE" exec one -- true
	says unfreeze
	isle unfreeze one
	isle exec one -- true
}

@test "freeze: list, info and log still answer" {
	isle freeze one
	works timeout 10 "$ISLE" list --long
	says frozen
	works timeout 10 "$ISLE" info one
	says frozen
	works timeout 10 "$ISLE" log one
	is 'frozen ones' one "$(isle list -1 --frozen)"
}

@test "freeze: restart and kill of a frozen guest" {
	isle freeze one
	isle restart --kill one
	is state running "$(state one)"
	isle freeze one
	isle stop --kill one
	is state stopped "$(state one)"
}

@test "freeze: several, and --all" {
	isle start two
	isle freeze one two
	is 'frozen ones' $'one\ntwo' "$(isle list -1 --frozen)"
	isle unfreeze --all
	is 'running ones' $'one\ntwo' "$(isle list -1 --running)"
	isle freeze --all
	is 'frozen ones' $'one\ntwo' "$(isle list -1 --frozen)"
	isle unfreeze one two
	isle stop --kill two
}
