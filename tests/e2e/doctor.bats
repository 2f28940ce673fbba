#!/usr/bin/env bats
# isle doctor, help and the program as such.
load lib
bats_require_minimum_version 1.5.0

teardown_file() {
	end_of_file
}

@test "doctor: says what this host offers, and that guests can run" {
	works isle doctor
	for word in cgroup namespace overlay; do says "$word"; done
	works isle doctor --json
	jq -e '.can_run == true and (.findings | length > 10)' <<<"$output"
	jq -e '[.findings[] | has("topic") and has("name") and has("level") and has("found") and has("means") and has("fix")] | all' <<<"$output"
	jq -e '[.findings[].level | IN("good", "info", "warn", "bad")] | all' <<<"$output"
	assert_nothing_left
}

@test "doctor: names what is left by a command that was killed" {
	make_guest half-done
	ISLE_HOLD=filter "$ISLE" start half-done >"$BATS_TEST_TMPDIR/held" 2>&1 3>&- &
	holder=$!
	wait_until 10 grep -q held "$BATS_TEST_TMPDIR/held"
	starter=$(pgrep -P "$holder")
	kill -9 "$holder" "$starter"
	wait "$holder" 2>/dev/null || :
	wait_until 10 gone "$starter"
	run isle doctor
	says half-done
	isle start half-done
	isle destroy --force half-done
	run isle doctor
	says_not half-done
}

@test "doctor: names a guest whose config is broken" {
	make_guest ill-kept
	echo nonsense >>"$ISLE_PATH/guests/ill-kept/config"
	run isle doctor
	says ill-kept
	says config
	sed -i '$d' "$ISLE_PATH/guests/ill-kept/config"
	isle destroy ill-kept
}

@test "help: for isle and for each verb" {
	works isle --help
	says usage
	works isle help
	for verb in $(isle help | awk '/^  [a-z]/ { print $1 }'); do
		works isle help "$verb"
		says "$verb"
		works isle "$verb" --help
	done
	fails 2 isle
	fails 2 isle no-such-verb
	fails 2 isle strat
	says start
	works isle version
	works isle --version
}

@test "only root" {
	chmod 755 "$E2E_ROOT"
	cp "$ISLE" "$BATS_TEST_TMPDIR/isle" 2>/dev/null
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/isle" "$BATS_TEST_TMPDIR/.." 2>/dev/null || :
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$BATS_TEST_TMPDIR/isle" version
	[ "$status" -eq 0 ] || skip 'the folder of the test is not open to others'
	fails 1 setpriv --reuid 65534 --regid 65534 --clear-groups "$BATS_TEST_TMPDIR/isle" start one
	says root
}
