#!/usr/bin/env bats
# Plans: named sets of limits below a guest's own config.
load lib
bats_require_minimum_version 1.5.0

setup() {
	printf '[limits]\nmemory = 64M\nprocesses = 100\n' >"$ISLE_PATH/plans/small"
	printf '[guest]\nstop-timeout = 7s\n[limits]\nmemory = 128M\nprocesses = 200\ncpus = 1.5\n' >"$ISLE_PATH/plans/large"
}

teardown() {
	rm -f "$ISLE_PATH/plans/"* "$ISLE_PATH/isle.conf"
	[ -z "$(isle list -1)" ] || isle destroy --force --all
}

teardown_file() {
	end_of_file
}

limit() {
	isle limit --json "$1" | jq -r ".limits.$2$3"
}

@test "plans: create, start, change live" {
	make_guest a --plan small
	is 'only the name is written' 0 "$(grep -c '^memory\|^processes' "$ISLE_PATH/guests/a/config")"
	isle start a
	is memory 67108864 "$(limit a memory .limit)"
	is source plan "$(limit a memory .source)"
	isle config a set guest.plan=large
	is memory 134217728 "$(limit a memory .limit)"
	is processes 200 "$(limit a processes .limit)"
	is cpus 1.5 "$(limit a cpus .limit)"
	is 'what waits for no start' 7s "$(isle config a get guest.stop-timeout)"
	isle config a set guest.plan=small
	is cpus null "$(limit a cpus .limit)"
	isle config a unset guest.plan
	[ "$(limit a memory .limit)" -gt 1073741824 ] || flunk "memory is limited: $(limit a memory .limit)" # all but the host's reserve
}

@test "plans: what a guest overrides is shown" {
	make_guest a --plan small --set limits.memory=96M
	isle start a
	is memory 100663296 "$(limit a memory .limit)"
	works isle limit a
	says 'plan small has 64M'
	says 'from plan small'
	works isle config a
	says 'limits.memory = 96M    # plan small has 64M'
	says 'limits.processes = 100    # from plan small'
	works isle info a
	says 'small, but its own limits.memory'
	is overrides limits.memory "$(field a '.overrides[]')"
	is plan small "$(field a .plan)"
	is sources plan "$(isle config --json a | jq -r '.sources["limits.processes"]')"
	# Given back to the plan, at once.
	isle limit a memory=
	is memory 67108864 "$(limit a memory .limit)"
	isle limit a memory=unlimited
	[ "$(limit a memory .limit)" -gt 1073741824 ] || flunk "memory is limited: $(limit a memory .limit)" # all but the host's reserve
}

@test "plans: one that is not there is named, with those that are" {
	fails 3 isle create a -t busybox -q --plan smal
	says "'small'"
	says 'large, small'
	is guests '' "$(isle list -1)"
	make_guest a --plan small
	fails 3 isle config a set guest.plan=huge
	says 'large, small'
	is plan small "$(isle config a get guest.plan)"
	rm "$ISLE_PATH/plans/small"
	run isle start a
	[ "$status" -ne 0 ]
	says "no plan 'small'"
	isle config a set guest.plan=large
	isle start a
	is memory 134217728 "$(limit a memory .limit)"
	# Its loss ends nobody, and who ends a guest needs no plan.
	rm "$ISLE_PATH/plans/large"
	is state running "$(state a)"
	isle stop --kill a
}

@test "plans: an edit holds at the next start, or when it is asked for" {
	make_guest a b --plan small
	isle start a b
	sed -i 's/64M/80M/' "$ISLE_PATH/plans/small"
	is memory 67108864 "$(limit a memory .limit)"
	isle restart a
	is memory 83886080 "$(limit a memory .limit)"
	is memory 67108864 "$(limit b memory .limit)"
	isle limit --reload --all
	is memory 83886080 "$(limit b memory .limit)"
	is config 80M "$(isle config b get limits.memory)"
}

@test "plans: a fault in one is named with its line, and changes nothing" {
	make_guest a --plan small
	isle start a
	printf '[limits]\nmemory = lots\n' >"$ISLE_PATH/plans/bad"
	run isle config a set guest.plan=bad
	[ "$status" -ne 0 ]
	says 'plans/bad:2'
	printf '[network eth0]\nlink = other\n' >"$ISLE_PATH/plans/bad"
	run isle config a set guest.plan=bad
	[ "$status" -ne 0 ]
	says network
	is memory 67108864 "$(limit a memory .limit)"
	is plan small "$(isle config a get guest.plan)"
}

@test "plans: below them the host's defaults" {
	printf '[guest]\nplan = small\n[limits]\ncpus = 3\nprocesses = 30\n' >"$ISLE_PATH/isle.conf"
	make_guest a
	isle start a
	is memory 67108864 "$(limit a memory .limit)"
	is processes 100 "$(limit a processes .limit)"
	is cpus host "$(limit a cpus .source)"
	isle config a set guest.plan=none
	[ "$(limit a memory .limit)" -gt 1073741824 ] || flunk "memory is limited: $(limit a memory .limit)" # all but the host's reserve
	is processes 30 "$(limit a processes .limit)"
	works isle config a
	says 'limits.cpus = 3    # from isle.conf'
}

@test "plans: they are completed" {
	works isle _complete -- isle create --plan ''
	is plans $'large\nsmall' "$output"
}
