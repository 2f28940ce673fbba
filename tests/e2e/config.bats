#!/usr/bin/env bats
# isle config: what is read, changed, refused.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
}

setup() {
	config=$ISLE_PATH/guests/one/config
	cp "$config" "$BATS_TEST_TMPDIR/before"
}

teardown() {
	cp "$BATS_TEST_TMPDIR/before" "$config"
}

teardown_file() {
	end_of_file
}

unchanged() {
	cmp "$BATS_TEST_TMPDIR/before" "$config"
}

@test "config: get, set and unset" {
	isle config one set limits.memory=128M limits.cpus=1.5 'guest.description=two words'
	is memory 128M "$(isle config one get limits.memory)"
	is several $'1.5\ntwo words' "$(isle config one get limits.cpus guest.description)"
	isle config one unset limits.memory guest.description
	is memory '' "$(isle config one get limits.memory)"
	is default 60s "$(isle config one get guest.stop-timeout)"
	isle config one unset limits.cpus
	works isle config one
	says 'guest.stop-timeout = 60s'
}

@test "config: comments, order and blank lines stay" {
	printf '\n# my own words\n[limits]\n; why this much\nmemory = 64M\n\n# the end\n' >>"$config"
	cp "$config" "$BATS_TEST_TMPDIR/mine"
	isle config one set limits.memory=128M
	is difference '> memory = 128M' "$(diff "$BATS_TEST_TMPDIR/mine" "$config" | grep '^>')"
	is lines 1 "$(diff "$BATS_TEST_TMPDIR/mine" "$config" | grep -c '^<')"
	isle config one set limits.memory=64M
	cmp "$BATS_TEST_TMPDIR/mine" "$config"
}

@test "config: the file keeps mode 0600 and is replaced, not rewritten" {
	inode=$(stat -c %i "$config")
	exec 5<"$config"
	isle config one set guest.start-order=5
	is mode 600 "$(stat -c %a "$config")"
	isnt inode "$inode" "$(stat -c %i "$config")"
	cmp /dev/fd/5 "$BATS_TEST_TMPDIR/before"
	exec 5<&-
}

@test "config: several changes are made all or none" {
	run isle config one set limits.memory=64M limits.cpus=none-at-all
	[ "$status" -ne 0 ]
	says limits.cpus
	unchanged
}

@test "config: sections with a name" {
	isle config one set mount.data.source=/srv mount.data.target=/data network.eth1.type=none
	is source /srv "$(isle config one get mount.data.source)"
	grep -qx '\[mount data\]' "$config"
	isle config one unset mount.data network.eth1
	run grep -c 'mount data\|eth1' "$config"
	is left 0 "$output"
}

@test "config: unknown keys and values name the near one" {
	fails 2 isle config one set limits.memroy=64M || fails 1 isle config one set limits.memroy=64M
	says "did you mean"
	says memory
	run isle config one set limit.memory=64M
	[ "$status" -ne 0 ]
	says limits
	run isle config one set guest.autostart=yess
	[ "$status" -ne 0 ]
	says yes
	run isle config one set network.eth0.type=brigde
	[ "$status" -ne 0 ]
	says bridge
	run isle config one get limits.memroy
	[ "$status" -ne 0 ]
	fails 2 isle config one sett limits.memory=1
	says "'set'"
	unchanged
}

@test "config: values out of range are refused" {
	for setting in limits.memory=1 limits.memory=-1 limits.memory=64Q limits.memory= limits.cpus=0 limits.cpus=1e9 limits.processes=1 limits.cpuset=a-b \
		limits.cpu-weight=0 limits.cpu-weight=10001 guest.start-order=99999999999999999999 guest.stop-timeout=soon 'guest.hostname=a b' guest.hostname=-x \
		network.eth0.address=10.0.0.300/24 network.eth0.address=10.0.0.1/33 network.eth0.address6=zz::/64 network.eth0.mac=01:00:00:00:00:01 \
		network.eth0.mtu=1 network.eth0.mtu=70000 network.waytoolonginterfacename.type=none network.a/b.type=none mount.x.target=relative \
		guest.stop-signal=SIGNOPE security.keep-capabilities=cap_fly 'guest.init=' $'guest.description=a\nb' $'guest.description=\033[31m'; do
		run isle config one set "$setting"
		[ "$status" -ne 0 ] || flunk "taken: $setting"
		[ -n "$output" ] || flunk "refused without a word: $setting"
		unchanged || flunk "changed by: $setting"
	done
}

@test "config: isle's own notes are not changed without --force" {
	for setting in guest.id=00000000000000000000000000000000 guest.storage=dir security.ids=600000 guest.image=other; do
		fails 2 isle config one set "$setting"
		unchanged
	done
	fails 2 isle config one unset guest.id
	unchanged
}

# bad NAME TEXT-OF-FILE LINE WORD: a config that start, info and config refuse, with line and fault named; and leave alone.
bad() {
	# shellcheck disable=SC2059 # it is one
	printf "$2" >"$config"
	cp "$config" "$BATS_TEST_TMPDIR/bad"
	run isle start one
	[ "$status" -ne 0 ] || flunk "$1: it started"
	[[ $output == *"one/config:$3"* ]] || flunk "$1: no line $3 in" "$output"
	[[ $output == *"$4"* ]] || flunk "$1: no '$4' in" "$output"
	cmp "$config" "$BATS_TEST_TMPDIR/bad" || flunk "$1: the file was changed"
	is "$1: state" stopped "$(state one)"
}

@test "config: bad files are refused with their line, and left alone" {
	head=$(sed 's/%/%%/g' "$BATS_TEST_TMPDIR/before")
	n=$(($(wc -l <"$BATS_TEST_TMPDIR/before") + 1))
	bad 'unknown key' "$head\n[limits]\nmemroy = 64M\n" $((n + 1)) "memory"
	bad 'unknown section' "$head\n[limit]\nmemory = 64M\n" "$n" "limits"
	bad 'bad value' "$head\n[limits]\nmemory = lots\n" $((n + 1)) 'memory'
	bad 'wrong section' "$head\n[limits]\nautostart = yes\n" $((n + 1)) 'autostart'
	bad 'two of the same' "$head\n[limits]\nmemory = 64M\nmemory = 65M\n" $((n + 2)) 'memory'
	bad 'no equals sign' "$head\n[limits]\nmemory 64M\n" $((n + 1)) ''
	bad 'key before a section' "memory = 64M\n$head\n" 1 ''
	bad 'section without a name' "$head\n[network]\ntype = none\n" "$n" 'network'
	bad 'section with a name too many' "$head\n[limits x]\nmemory = 64M\n" "$n" 'limits'
	bad 'unclosed section' "$head\n[limits\nmemory = 64M\n" "$n" ''
	bad 'NUL byte' "$head\n[limits]\nmemory = 6\\0004M\n" $((n + 1)) ''
	bad 'two sections of a name' "$head\n[mount a]\nsource=/a\ntarget=/a\n[mount a]\nsource=/a\ntarget=/a\n" $((n + 3)) 'a'
}

@test "config: a line of 4 KB is read whole or refused with its line" {
	long=$(printf 'x%.0s' $(seq 4000))
	n=$(($(wc -l <"$config") + 3))
	printf '\n[mount long]\nsource = /%s\ntarget = /mnt\n' "$long" >>"$config"
	cp "$config" "$BATS_TEST_TMPDIR/bad"
	run isle config one get mount.long.source
	if [ "$status" -eq 0 ]; then
		is 'what was read' "/$long" "$output"
	else
		says "one/config:$n"
	fi
	cmp "$config" "$BATS_TEST_TMPDIR/bad"
}

@test "config: CRLF is refused with its line" {
	sed -i 's/$/\r/' "$config"
	run isle config one get guest.storage
	[ "$status" -ne 0 ]
	says 'one/config:1'
}

@test "config: a last line without an end may be half a line, and is refused" {
	printf '\n[limits]\nmemory = 64M' >>"$config"
	cp "$config" "$BATS_TEST_TMPDIR/bad"
	run isle config one get limits.memory
	[ "$status" -ne 0 ]
	says "one/config:$(($(wc -l <"$config") + 1))"
	says newline
	cmp "$config" "$BATS_TEST_TMPDIR/bad"
}

@test "config: a file that cannot be read or is none" {
	rm "$config"
	run isle start one
	[ "$status" -ne 0 ]
	says config
	mkdir "$config"
	run isle start one
	[ "$status" -ne 0 ]
	rmdir "$config"
	ln -s /etc/shadow "$config"
	run isle config one get guest.storage
	[ "$status" -ne 0 ]
	says_not root:
	rm "$config"
	mkfifo "$config"
	run timeout 10 "$ISLE" config one get guest.storage
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ] || flunk 'it waits for a writer'
	rm "$config"
	: >"$config"
	run isle start one
	[ "$status" -ne 0 ]
	is 'other commands' 0 "$(isle list >/dev/null; echo $?)"
}

@test "config: a broken file can be repaired by set" {
	printf '\n[limits]\nmemory = lots\n' >>"$config"
	run isle config one get limits.memory
	[ "$status" -ne 0 ]
	isle config one set limits.memory=64M
	is memory 64M "$(isle config one get limits.memory)"
}

@test "config --json" {
	isle config --json one set limits.memory=64M
	isle config --json one | jq -e '.limits.memory == 67108864 or .limits.memory == "64M"'
}

@test "config: limits of a running guest change at once" {
	isle start one
	isle config one set limits.processes=30
	run isle exec one -- sh -c 'i=0; while [ $i -lt 60 ]; do sleep 5 >/dev/null 2>&1 & i=$((i + 1)); done; true'
	[ "$(field one .processes)" -le 30 ]
	isle stop --kill one
}

@test "config: what takes effect at the next start says so" {
	isle start one
	works isle config one set guest.hostname=later
	says 'next start'
	isle stop --kill one
}

@test "config: two editors at once lose nothing" {
	pids=()
	for n in 1 2 3 4 5 6 7 8; do
		"$ISLE" config one set "mount.m$n.source=/srv" "mount.m$n.target=/m$n" 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid"; done
	for n in 1 2 3 4 5 6 7 8; do is "target $n" "/m$n" "$(isle config one get "mount.m$n.target")"; done
}

@test "config edit: an editor that makes a bad file changes nothing" {
	printf '#!/bin/sh\necho "[nonsense]" >>"$1"\n' >"$BATS_TEST_TMPDIR/editor"
	chmod 755 "$BATS_TEST_TMPDIR/editor"
	run env EDITOR="$BATS_TEST_TMPDIR/editor" VISUAL= "$ISLE" config one edit </dev/null
	[ "$status" -ne 0 ]
	says nonsense
	unchanged
	printf '#!/bin/sh\nprintf "\\n[limits]\\nmemory = 96M\\n" >>"$1"\n' >"$BATS_TEST_TMPDIR/editor"
	env EDITOR="$BATS_TEST_TMPDIR/editor" VISUAL= "$ISLE" config one edit </dev/null
	is memory 96M "$(isle config one get limits.memory)"
	run ls -A "$ISLE_PATH/guests/one"
	says_not edit
}

@test "config: no such guest" {
	fails 3 isle config nobody get limits.memory
	fails 3 isle config onee
	says one
}
