#!/usr/bin/env bats
# isle destroy.
load lib
bats_require_minimum_version 1.5.0

teardown_file() {
	end_of_file
}

teardown() {
	if [ -e "$ISLE_PATH/guests/one" ]; then isle destroy -q --force one; fi
}

@test "destroy: nothing of the guest is left" {
	make_guest one
	isle start one
	isle stop --kill one
	isle destroy one
	is guests '' "$(isle list -1)"
	assert_nothing_left
}

@test "destroy: a running guest is refused, --force stops it first" {
	make_guest one
	isle start one
	fails 4 isle destroy one
	says --force
	is state running "$(state one)"
	isle destroy --force one
	assert_nothing_left
}

@test "destroy --force: a frozen guest" {
	make_guest one
	isle start one
	isle freeze one
	isle destroy --force one
	assert_nothing_left
}

@test "destroy: no such guest" {
	fails 3 isle destroy nobody
	fails 2 isle destroy ..
	fails 2 isle destroy
}

@test "destroy: several; one that is not there does not keep the others" {
	make_guest one two
	run isle destroy one nobody two
	[ "$status" -eq 3 ] || flunk "status $status"
	assert_nothing_left
}

@test "destroy: what a guest made of its root harms nothing outside" {
	make_guest one --storage dir
	mkdir "$BATS_TEST_TMPDIR/outside"
	echo precious >"$BATS_TEST_TMPDIR/outside/file"
	isle start one
	isle exec one -- sh -c "ln -s $BATS_TEST_TMPDIR/outside /outside; ln -s / /all
		mkdir -m 0 /locked; mkfifo /pipe; touch \"/new
line\"
		cd /; for i in \$(seq 120); do mkdir a-name-of-31-bytes-to-go-so-deep && cd a-name-of-31-bytes-to-go-so-deep || exit; done"
	isle stop --kill one
	isle destroy one
	is file precious "$(cat "$BATS_TEST_TMPDIR/outside/file")"
	assert_nothing_left
}

@test "destroy: the id range and the addresses are free for the next" {
	make_guest one
	isle start one
	where=$(address one)
	ids=$(isle config one get security.ids)
	isle destroy --force one
	make_guest two
	is ids "$ids" "$(isle config two get security.ids)"
	isle start two
	[ -n "$where" ]
	isle destroy --force two
}

@test "destroy: two at once; one does it, the other says so" {
	make_guest one
	isle destroy one 3>&- 2>"$BATS_TEST_TMPDIR/first" &
	first=$!
	isle destroy one 3>&- 2>"$BATS_TEST_TMPDIR/second" &
	second=$!
	won=0
	if wait "$first"; then won=$((won + 1)); fi
	if wait "$second"; then won=$((won + 1)); fi
	is winners 1 "$won"
	grep -q 'no guest' "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	assert_nothing_left
}
