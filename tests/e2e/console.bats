#!/usr/bin/env bats
# isle console and isle log.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one --set console-log=64K 2>/dev/null || make_guest one --set guest.console-log=64K
	make_guest off
	isle start one
}

setup() {
	if [ "$(state one)" != running ]; then isle start one; fi
}

teardown_file() {
	end_of_file
}

to_console() {
	isle exec one -- sh -c "echo '$1' >/dev/console"
}

shows() {
	isle log --console one | grep -q "$1"
}

@test "console: what is typed goes in, what is shown comes out, Ctrl-a q leaves" {
	works "$E2E_HERE/terminal" see:'press Enter' type:'\r' see:'# ' type:'echo s$((40+2))e\r' see:s42e type:'\x01q' -- "$ISLE" console one
	is state running "$(state one)"
}

@test "console: recent output is shown to who comes later" {
	to_console kept-for-later
	works "$E2E_HERE/terminal" see:kept-for-later type:'\x01q' -- "$ISLE" console one
	run "$E2E_HERE/terminal" see:Connected type:'\x01q' -- "$ISLE" console --new one
	says_not kept-for-later
}

@test "console: the escape key may be another, and sends itself when doubled" {
	works "$E2E_HERE/terminal" see:Connected type:'\x02q' -- "$ISLE" console -e b one
	works "$E2E_HERE/terminal" see:Connected type:'\r' see:'# ' type:'cat -v\r' type:'\x01\x01\r' see:'^A' type:'\x03\x01q' -- "$ISLE" console one
	fails 2 isle console -e '' one
	fails 2 isle console -e word one
}

@test "console: two at once see the same" {
	"$E2E_HERE/terminal" see:Connected see:to-both type:'\x01q' -- "$ISLE" console --new one >"$BATS_TEST_TMPDIR/first" 3>&- &
	first=$!
	"$E2E_HERE/terminal" see:Connected see:to-both type:'\x01q' -- "$ISLE" console --new one >"$BATS_TEST_TMPDIR/second" 3>&- &
	second=$!
	attached() { [ "$(grep -l Connected "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second" 2>/dev/null | wc -l)" -eq 2 ] || [ "$(ss -xp 2>/dev/null | grep -c isle-monitor)" -ge 3 ]; }
	# The players print at their end only: the text is repeated until both have seen it.
	again() { to_console to-both && gone "$first" && gone "$second"; }
	wait_until 15 again
	wait "$first"
	wait "$second"
}

@test "console: through a pipe" {
	isle restart --kill one
	wait_until 10 shows 'press Enter'
	printf '\necho p$((20+3))e\n' | timeout 20 "$ISLE" console one >"$BATS_TEST_TMPDIR/out"
	wait_until 10 shows p23e
	grep -q p23e "$BATS_TEST_TMPDIR/out"
}

@test "console: the window's size reaches the guest" {
	works "$E2E_HERE/terminal" size:37x99 see:Connected type:'\r' see:'# ' type:'stty size\r' see:'37 99' type:'\x01q' -- "$ISLE" console --new one
}

@test "console: a terminal that hangs up harms nobody" {
	run "$E2E_HERE/terminal" see:Connected hangup: -- "$ISLE" console one
	is state running "$(state one)"
	works "$E2E_HERE/terminal" see:Connected type:'\r' see:'# ' type:'\x01q' -- "$ISLE" console --new one
}

@test "console: ends when the guest does" {
	"$E2E_HERE/terminal" see:Connected see:nothing-of-the-kind -- "$ISLE" console --new one >"$BATS_TEST_TMPDIR/out" 3>&- &
	player=$!
	connected() { lsof -U 2>/dev/null | grep -q 'isle.*control' || pgrep -f 'isle console --new one' >/dev/null; }
	wait_until 10 connected
	isle stop --kill one
	wait "$player" || :
	run cat "$BATS_TEST_TMPDIR/out"
	says_not 'did not end'
}

@test "console: the caller's terminal is as it was" {
	works "$E2E_HERE/terminal" see:Connected type:'\x01q' see:done -- bash -c "stty -a >$BATS_TEST_TMPDIR/before; '$ISLE' console one; stty -a >$BATS_TEST_TMPDIR/after; echo done"
	cmp "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

@test "console: wrong state, no such guest" {
	fails 4 isle console off
	fails 3 isle console nobody
}

@test "console: a flood neither stops the guest nor grows the log beyond its bound" {
	isle exec one -- sh -c 'yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -n 20000 >/dev/console'
	again() { to_console over && shows over; }
	wait_until 20 again
	size=$(du -cb "$ISLE_PATH"/guests/one/log/console* | awk '/total/ { print $1 }')
	[ "$size" -le $((2 * 65536 + 8192)) ] || flunk "$size bytes"
	[ "$size" -gt 60000 ]
	is answer hi "$(isle exec one -- echo hi)"
}

@test "log: what isle did and what the console showed" {
	isle restart --kill one
	to_console shown-on-console
	wait_until 10 shows shown-on-console
	works isle log one
	says started
	says shown-on-console
	works isle log --events one
	says started
	says_not shown-on-console
	works isle log --console one
	says shown-on-console
	works isle log --events --lines 1 one
	is lines 1 "${#lines[@]}"
}

@test "log --follow: shows what comes" {
	timeout 20 "$ISLE" log --console --follow one >"$BATS_TEST_TMPDIR/out" 3>&- &
	pid=$!
	again() { to_console news-of-today && grep -q news-of-today "$BATS_TEST_TMPDIR/out"; }
	wait_until 10 again
	kill "$pid"
	wait "$pid" || :
}

@test "log --json" {
	isle log --json one | jq -e 'type == "array" and (map(.source) | unique | inside(["console", "isle"]))'
}

@test "log: outlives the run; control codes are made visible on a terminal" {
	to_console "$(printf 'red \033]0;title\007text')"
	wait_until 10 shows 'red '
	isle stop --kill one
	works isle log --console one
	says 'red '
	works "$E2E_HERE/terminal" -- "$ISLE" log --console one
	says '\x1b]0;title\x07text'
	isle log --raw --console one | grep -q $'\033\]0;title\007text'
	fails 3 isle log nobody
}
