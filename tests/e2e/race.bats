#!/usr/bin/env bats
# Two administrators at once.
# shellcheck disable=SC2154 # hold_at sets command and walker
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
}

setup() {
	[ -e "$ISLE_PATH/guests/one" ] || make_guest one
	[ "$(state one)" = stopped ] || isle stop --kill one
}

teardown_file() {
	end_of_file
}

# together COMMAND COMMAND: runs both at once; sets first and second to their statuses.
together() {
	bash -c "$1" >"$BATS_TEST_TMPDIR/first" 2>&1 3>&- &
	local one=$!
	bash -c "$2" >"$BATS_TEST_TMPDIR/second" 2>&1 3>&- &
	local two=$!
	first=0 second=0
	wait "$one" || first=$?
	wait "$two" || second=$?
}

@test "race: two starts; one wins, the other is told" {
	for _ in 1 2 3 4 5; do
		together "'$ISLE' start one" "'$ISLE' start one"
		is 'number of winners' 1 $(((first == 0) + (second == 0)))
		is 'status of the other' 4 $((first + second))
		grep -q 'running\|starting' "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
		is state running "$(state one)"
		is 'number of monitors' 1 "$(pgrep -c -f '^isle-monitor one ')"
		isle stop --kill one
		assert_nothing_left one
	done
}

@test "race: two stops" {
	for _ in 1 2 3; do
		isle start one
		together "'$ISLE' stop --kill one" "'$ISLE' stop --kill one"
		is 'number of winners' 1 $(((first == 0) + (second == 0)))
		is state stopped "$(state one)"
		assert_nothing_left one
	done
}

@test "race: start and stop" {
	for _ in 1 2 3 4 5; do
		together "'$ISLE' start one" "'$ISLE' stop --kill one"
		case $(state one) in
		running) isle stop --kill one ;;
		stopped) ;;
		*) flunk "state $(state one)" ;;
		esac
		assert_nothing_left one
	done
}

@test "race: start and destroy" {
	for _ in 1 2 3 4 5; do
		[ -e "$ISLE_PATH/guests/one" ] || make_guest one
		together "'$ISLE' start one" "'$ISLE' destroy --force one"
		if [ -e "$ISLE_PATH/guests/one" ]; then
			isle destroy --force one
		fi
		assert_nothing_left
	done
}

@test "race: create and destroy" {
	for _ in 1 2 3; do
		together "'$ISLE' destroy --force one" "'$ISLE' create -q -t busybox one"
		if [ -e "$ISLE_PATH/guests/one" ]; then
			isle start one
			isle destroy --force one
		fi
		assert_nothing_left
	done
}

@test "race: rename and start" {
	for _ in 1 2 3; do
		together "'$ISLE' rename one other" "'$ISLE' start one"
		if [ -e "$ISLE_PATH/guests/other" ]; then
			[ "$(state other)" = stopped ]
			isle rename other one
		else
			isle stop --kill one
		fi
		assert_nothing_left one
	done
}

@test "race: stop while the guest powers itself off or reboots" {
	for how in poweroff reboot poweroff reboot; do
		isle start one
		together "'$ISLE' exec one -- $how -f" "'$ISLE' stop --kill one"
		isle wait --timeout 20 --state 'stopped|running' one
		if [ "$(state one)" = running ]; then isle stop --kill one; fi
		assert_nothing_left one
	done
}

@test "race: a lock that is held names its holder in time" {
	isle start one
	# A start that is held before its first step holds the lock.
	isle stop --kill one
	hold_at 'run folder' start one
	begun=$(milliseconds)
	fails 5 isle stop one
	[ $(($(milliseconds) - begun)) -lt $((30000 * E2E_SLOW)) ]
	says 'held by'
	says "$command"
	kill -CONT "$walker"
	wait "$command"
	is state running "$(state one)"
}

@test "race: list and info all the while" {
	(
		for _ in 1 2 3 4 5 6; do
			"$ISLE" start one
			"$ISLE" stop --kill one
		done
	) >/dev/null 2>&1 3>&- &
	worker=$!
	while kill -0 "$worker" 2>/dev/null; do
		isle list --json | jq -e '.[0].state | IN("stopped", "starting", "running", "stopping")' >/dev/null
		isle list --long >/dev/null
		isle info --json one | jq -e '.name == "one"' >/dev/null
	done
	wait "$worker"
	assert_nothing_left one
}

@test "race: limits are changed while the guest starts, stops and restarts" {
	local number
	(
		for _ in 1 2 3 4 5 6 7 8; do
			"$ISLE" start one
			"$ISLE" restart --kill one
			"$ISLE" stop --kill one
		done
		"$ISLE" start one
	) >/dev/null 2>&1 3>&- &
	worker=$!
	for ((number = 100; ; number++)); do
		# Two administrators: one of them changes two keys.
		"$ISLE" limit one memory=$((number))M processes=$number 3>&- &
		isle config one set limits.cpus=0.$((number % 9 + 1))
		wait $!
		kill -0 "$worker" 2>/dev/null || break
	done
	wait "$worker"
	is state running "$(state one)"
	isle limit --json one | jq -r '.limits | [.memory, .processes, .cpus] | (map(.limit), map(.config)) | map(tostring) | join(" ")' >"$BATS_TEST_TMPDIR/limits"
	is 'what holds and what the config says' 1 "$(uniq "$BATS_TEST_TMPDIR/limits" | wc -l)"
	is memory $((number * 1048576)) "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/limits" | head -n 1)"
	echo "# $((number - 99)) changes of each" >&3
	isle stop --kill one
	isle config one unset limits.memory limits.processes limits.cpus
	assert_nothing_left one
}
