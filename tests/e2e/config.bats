#!/usr/bin/env bats
# isle config.
load lib
bats_require_minimum_version 1.5.0

teardown_file() {
	end_of_file
}

teardown() {
	if [ -e "$ISLE_PATH/guests/one" ]; then isle destroy -q --force one; fi
}

config_file() {
	printf '%s' "$ISLE_PATH/guests/one/config"
}

# unchanged COMMAND...: it fails, and the config is what it was.
unchanged() {
	local before
	before=$(md5sum <"$(config_file)")
	fails "$@"
	is config "$before" "$(md5sum <"$(config_file)")"
}

# An editor of one sed(1) script.
editor() {
	# shellcheck disable=SC2016 # the editor expands it
	printf '#!/bin/sh\nsed -i %q "$1"\n' "$1" >"$BATS_TEST_TMPDIR/editor"
	chmod +x "$BATS_TEST_TMPDIR/editor"
	export EDITOR=$BATS_TEST_TMPDIR/editor VISUAL=
}

@test "config: get, set and unset; comments and order stay" {
	make_guest one
	printf '# note of mine\n[limits]\n# enough\nmemory = 512M\n' >>"$(config_file)"
	is memory 512M "$(isle config one get limits.memory)"
	isle config one set limits.memory=600M limits.cpus=1.5 mount.data.source=/srv mount.data.target=/srv
	is both $'600M\n1.5' "$(isle config one get limits.memory limits.cpus)"
	is comments 2 "$(grep -c '^# note of mine\|^# enough' "$(config_file)")"
	isle config one unset limits.memory mount.data
	is memory '' "$(isle config one get limits.memory)"
	is mounts 0 "$(isle config one show --json | jq '.mounts | length')"
	is cpus 1.5 "$(isle config one show --json | jq .limits.cpus)"
}

@test "config set: all or nothing, with the near match" {
	make_guest one
	unchanged 2 isle config one set limits.memory=1G limits.memroy=1G
	says "did you mean 'memory'"
	unchanged 2 isle config one set limits.memory=lots
	says "'lots' is not a size"
	unchanged 2 isle config one set guest.memory=1G
	says limits.memory
	unchanged 2 isle config one set memory=1G
	says limits.memory
	unchanged 1 isle config one set limits.memory=1G mount.data.source=/srv
	says 'no target'
	unchanged 2 isle config one set $'guest.description=a\nautostart = yes'
	unchanged 2 isle config one set guest.id=00000000000000000000000000000000
	says --force
	unchanged 2 isle config one set limits.memory
	fails 2 isle config one gett limits.memory
	says "did you mean 'get'"
	fails 3 isle config two get limits.memory
	says "'two'"
}

@test "config: bad files are refused with the line, and change nothing" {
	make_guest one
	local good bad
	good=$(cat "$(config_file)"; printf .)
	good=${good%.}
	for bad in $'[limits]\nmemroy = 1G\n' $'[limits]\nmemory = x\n' $'[guest]\nmemory = 1G\n' $'[limits]\r\n' \
		$'[limits]\nmemory = 1G' $'[limits]\nmemory = 1G\nmemory = 2G\n' "[guest]"$'\n'"description = $(printf '%04000d' 0)"$'\n'; do
		printf '%s' "$bad" >"$(config_file)"
		unchanged 1 isle start one
		says one/config:
	done
	printf '[guest]\ndescription = a\0b\n' >"$(config_file)"
	unchanged 1 isle start one
	says one/config:2
	# A set may mend it.
	printf '[limits]\nmemory = x\n' >"$(config_file)"
	isle config one set limits.memory=64M
	printf '%s' "$good" >"$(config_file)"
	is state stopped "$(state one)"
}

@test "config set: a running guest's limits change at once, what does not is told" {
	make_guest one
	isle start one
	local cgroup
	works isle config one set limits.memory=96M limits.processes=200
	says_not 'next start'
	cgroup=$(find /sys/fs/cgroup -type d -path "*/isle-$E2E_TAG/one" \( -path '*/memory/*' -o -exec test -e {}/memory.max \; \) -print -quit)
	is memory $((96 << 20)) "$(cat "$cgroup/memory.max" "$cgroup/memory.limit_in_bytes" 2>/dev/null)"
	works isle config one set guest.hostname=other
	says "guest.hostname takes effect at the next start of 'one'"
	works isle config one unset limits.memory
	says 'limits.memory takes effect at the next start'
	# What the kernel refuses is not written down either.
	unchanged 1 isle config one set limits.cpuset=8000
}

@test "config edit: checked before it replaces" {
	make_guest one
	# shellcheck disable=SC2016 # $a is sed's
	editor '$a [limits]\nmemory = 64M'
	isle config one edit
	is memory 64M "$(isle config one get limits.memory)"
	editor 's/64M/lots/'
	unchanged 1 isle config one edit
	says one/config:
	says lots
	EDITOR=false unchanged 1 isle config one edit
	EDITOR=/nonexistent/editor unchanged 1 isle config one edit
	says EDITOR
	is files '' "$(find "$ISLE_PATH/guests/one" -maxdepth 1 -name '.config*')"
}

@test "config: many at once lose nothing" {
	make_guest one
	local i jobs=()
	for i in {1..8}; do
		"$ISLE" config one set "mount.m$i.source=/srv" "mount.m$i.target=/m$i" 3>&- &
		jobs+=($!)
	done
	for i in "${jobs[@]}"; do
		wait "$i"
	done
	is mounts 8 "$(isle config one show --json | jq '.mounts | length')"
}
