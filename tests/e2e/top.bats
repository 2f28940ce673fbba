#!/usr/bin/env bats
# isle top: lines for scripts, and a screen that is tried in a real terminal (tmux).
load lib
bats_require_minimum_version 1.5.0

teardown() {
	local names
	[ ! -S "$BATS_TEST_TMPDIR/tmux" ] || tmux -S "$BATS_TEST_TMPDIR/tmux" kill-server 2>/dev/null || :
	names=$(isle list -1)
	# shellcheck disable=SC2086 # names have no blanks
	[ -z "$names" ] || isle destroy --force $names
}

teardown_file() {
	end_of_file
}

# The screen of `isle top OPTION...` in a terminal of 150 columns and 24 lines.
terminal() {
	needs tmux
	tmux -S "$BATS_TEST_TMPDIR/tmux" -f /dev/null new-session -d -x "${COLUMNS_WANTED:-150}" -y 24 \
		"env -u TMUX ISLE_PATH='$ISLE_PATH' '$ISLE' top $*; echo ended with status \$?; read -r" 3>&-
}

screen() {
	tmux -S "$BATS_TEST_TMPDIR/tmux" capture-pane -p
}

keys() {
	tmux -S "$BATS_TEST_TMPDIR/tmux" send-keys "$@"
}

# shows TEXT: the screen does, before long.
shows() {
	wait_until 10 on_screen "$1" || flunk "$(screen)"
}

on_screen() {
	screen | grep -qF -- "$1"
}

shows_not() {
	wait_until 10 not_on_screen "$1" || flunk "$(screen)"
}

not_on_screen() {
	! on_screen "$1"
}

# order NAME...: the rows come in this order.
in_order() {
	[ "$(screen | awk 'NR > 3 && NF > 3 && $1 ~ /^(web|db)/ { print $1 }' | paste -sd ' ')" = "$*" ]
}

@test "top: batch mode has true figures" {
	make_guest a --set limits.memory=96M --set limits.processes=50
	make_guest b
	isle start a
	isle exec a -- sh -c 'while :; do :; done' &
	spinner=$!
	works isle top -b -n 2 -d 1s
	says 'CPU% OF LIMIT'
	is rows 2 "$(grep -c '^a ' <<<"$output")"
	grep -q '^b  *stopped  *-' <<<"$output" || flunk "$output"
	isle top --json -n 1 -d 1 >"$BATS_TEST_TMPDIR/json"
	kill "$spinner" || :
	a=$(jq -c '.guests[] | select(.name == "a")' "$BATS_TEST_TMPDIR/json")
	jq -e '.cpu_percent > 3 and .cpu_percent < 130' <<<"$a" || flunk "$a"
	is limit 100663296 "$(jq .memory_limit <<<"$a")"
	is limit 50 "$(jq .processes_limit <<<"$a")"
	jq -e '.memory > 10000 and .memory < 100663296 and .processes >= 2' <<<"$a" || flunk "$a"
	is none null "$(jq .cpu_limit_percent <<<"$a")"
	is stopped null "$(jq '.guests[] | select(.name == "b").cpu_percent' "$BATS_TEST_TMPDIR/json")"
	works isle top -b -n 1 -d 100ms --filter b
	says_not 'a   '
	fails 2 isle top </dev/null
	says --batch
	fails 2 isle top -b --sort nonsense
	fails 2 isle top -b -d 1ms
}

@test "top: rates of network and disk are what goes through" {
	make_guest a
	isle start a
	gateway=$(isle exec a -- ip route | awk '/^default/ { print $3 }')
	isle exec a -- ping -q -i 0.05 -s 1400 "$gateway" >/dev/null &
	pinger=$!
	isle top --json -n 2 -d 2 | tail -n 1 >"$BATS_TEST_TMPDIR/json"
	kill "$pinger" || :
	# Twenty of 1428 bytes a second, as far as this machine keeps up.
	jq -e '.guests[0] | .sent_per_second > 4000 and .sent_per_second < 40000 and .received_per_second > 4000' \
		"$BATS_TEST_TMPDIR/json" || flunk "$(cat "$BATS_TEST_TMPDIR/json")"
}

@test "top: the screen refreshes, sorts, filters and gives the terminal back" {
	make_guest web1 --set limits.memory=96M
	make_guest web2
	make_guest db1
	isle start web1 web2
	terminal -d 250ms --sort name
	shows '3 guests, 2 running'
	shows 'MEMORY OF LIMIT'
	in_order db1 web1 web2 || flunk "$(screen)"
	screen | grep -q '^web1  *running .*\[ \{9,10\}\]\|^web1  *running .*\[#* *\]' || flunk "$(screen)"
	# It follows what happens.
	isle start db1
	shows '3 guests, 3 running'
	# More memory than the others, so it comes first.
	isle exec web2 -- mount -t tmpfs none /mnt
	isle exec web2 -- dd if=/dev/zero of=/mnt/fill bs=1M count=30 2>/dev/null
	keys m
	shows 'by memory'
	wait_until 10 first_is web2 || flunk "$(screen)"
	keys R
	shows 'by memory reversed'
	wait_until 10 last_is web2 || flunk "$(screen)"
	keys n
	wait_until 10 in_order web2 web1 db1 || flunk "$(screen)"
	keys /
	shows 'filter: _'
	keys d b Enter
	shows 'with db'
	shows_not 'web1'
	keys Escape
	shows 'web1'
	keys -- +
	shows 'every 0.5 s'
	keys q
	shows 'ended with status 0'
	shows_not 'MEMORY OF LIMIT'
}

first_is() {
	[ "$(screen | sed -n 4p | cut -d' ' -f1)" = "$1" ]
}

last_is() {
	[ "$(screen | sed -n 6p | cut -d' ' -f1)" = "$1" ]
}

@test "top: a narrow terminal, one that grows, and one that is interrupted" {
	make_guest web1
	isle start web1
	COLUMNS_WANTED=60 terminal -d 250ms
	shows 'CPU% OF LIMIT'
	shows_not 'WRITE/S'
	tmux -S "$BATS_TEST_TMPDIR/tmux" resize-window -x 170 -y 30
	shows 'WRITE/S'
	keys C-c
	shows 'ended with status 0'
}

@test "top: long names are whole where there is room, and say so where they are cut" {
	local long=a-guest-whose-name-is-long.customer-4711.example
	make_guest "$long.production1" "$long.production2"
	works isle top -b -n 1 -d 100ms --filter "$long.production2"
	says "$long.production2 stopped"
	says_not production1
	says 'WRITE/S'
	needs tmux
	COLUMNS_WANTED=90 terminal -d 1s
	shows 'MEMORY OF LIMIT'
	screen | grep -q '^a-guest-whose-name-is-long[^ ]*+ stopped' || flunk "$(screen)"
	tmux -S "$BATS_TEST_TMPDIR/tmux" resize-window -x 200 -y 24
	shows "$long.production1 stopped"
	shows 'PSI-I'
	keys q
	shows 'ended with status 0'
}

@test "top: more guests than lines scroll" {
	for i in 1 2 3 4 5 6; do make_guest "web$i"; done
	needs tmux
	terminal -d 1s --sort name
	shows web6
	tmux -S "$BATS_TEST_TMPDIR/tmux" resize-window -x 150 -y 8
	shows_not web6
	keys Down Down
	shows web6
	shows_not web1
	keys PPage
	shows web1
	keys End
	shows web6
	keys Home
	shows web1
	keys q
	shows 'ended with status 0'
}
