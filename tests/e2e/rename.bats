#!/usr/bin/env bats
# isle rename.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	make_guest other
}

teardown_file() {
	end_of_file
}

@test "rename: the guest, its files, id and address stay what they are" {
	isle start one
	isle exec one -- sh -c 'echo kept >/root/file'
	where=$(address one)
	id=$(isle config one get guest.id)
	ids=$(isle config one get security.ids)
	isle stop one
	isle rename one two
	is guests $'other\ntwo' "$(isle list -1)"
	is id "$id" "$(isle config two get guest.id)"
	is ids "$ids" "$(isle config two get security.ids)"
	isle start two
	is address "$where" "$(address two)"
	is file kept "$(isle exec two -- cat /root/file)"
	is hostname two "$(isle exec two -- hostname)"
	isle stop --kill two
	isle rename two one
	assert_nothing_left one other
}

@test "rename: a running guest is refused" {
	isle start one
	fails 4 isle rename one two
	is state running "$(state one)"
	isle stop --kill one
}

@test "rename: to a name that is taken, that is none, or from nobody" {
	run isle rename one other
	[ "$status" -ne 0 ]
	says other
	fails 2 isle rename one ../two
	fails 2 isle rename one ''
	fails 2 isle rename one
	fails 3 isle rename nobody two
	is guests $'one\nother' "$(isle list -1)"
	assert_nothing_left one other
}

@test "rename: two at once to one name; one wins" {
	isle rename one new 3>&- 2>/dev/null &
	first=$!
	isle rename other new 3>&- 2>/dev/null &
	second=$!
	won=0
	if wait "$first"; then won=$((won + 1)); fi
	if wait "$second"; then won=$((won + 1)); fi
	is winners 1 "$won"
	[ -e "$ISLE_PATH/guests/new/config" ]
	if [ -e "$ISLE_PATH/guests/one" ]; then isle rename new other; else isle rename new one; fi
	assert_nothing_left one other
}
