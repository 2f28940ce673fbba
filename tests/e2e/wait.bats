#!/usr/bin/env bats
# isle wait: until guests are in a state.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	make_guest two
}

teardown_file() {
	end_of_file
}

@test "wait: a state that is there already" {
	timeout 10 "$ISLE" wait one
	isle start one
	timeout 10 "$ISLE" wait --state running one
	timeout 10 "$ISLE" wait --state 'frozen|running' one
}

@test "wait --timeout: gives up with status 5" {
	begun=$(milliseconds)
	fails 5 isle wait --timeout 500ms one
	took=$(($(milliseconds) - begun))
	[ "$took" -ge 400 ]
	[ "$took" -lt $((5000 * E2E_SLOW)) ]
}

@test "wait: ends when the guest stops" {
	timeout 30 "$ISLE" wait one 3>&- &
	waiter=$!
	isle stop --kill one
	wait "$waiter"
}

@test "wait: ends when the guest powers itself off" {
	isle start one
	timeout 30 "$ISLE" wait one 3>&- &
	waiter=$!
	run isle exec one -- poweroff -f
	wait "$waiter"
	is state stopped "$(state one)"
}

@test "wait: for a start that comes later" {
	timeout 30 "$ISLE" wait --state running one 3>&- &
	waiter=$!
	isle start one
	wait "$waiter"
}

@test "wait: for a freeze" {
	timeout 30 "$ISLE" wait --state frozen one 3>&- &
	waiter=$!
	isle freeze one
	wait "$waiter"
	isle unfreeze one
}

@test "wait: for several, until each is there" {
	timeout 30 "$ISLE" wait --state running one two 3>&- &
	waiter=$!
	kill -0 "$waiter"
	isle start two
	wait "$waiter"
	isle stop --kill one two
	timeout 10 "$ISLE" wait --all
}

@test "wait: wrong states and names" {
	fails 2 isle wait --state sleeping one
	fails 3 isle wait --timeout 1 nobody
	fails 2 isle wait --timeout soon one
}
