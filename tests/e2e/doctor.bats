#!/usr/bin/env bats
# isle doctor, help and the program as such.
# shellcheck disable=SC2154 # hold_at sets command and walker
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
	jq -e '.findings[] | select(.name == "modules for guests") | .level == "good" or (.fix | length > 0)' <<<"$output"
	assert_nothing_left
}

@test "doctor: names what is left by a command that was killed" {
	make_guest half-done
	hold_at filter start half-done
	kill -9 "$command" "$walker"
	wait "$command" 2>/dev/null || :
	wait_until 10 gone "$walker"
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

limits_now() {
	local name
	for name in $(isle doctor --fix --dry-run --json | jq -r '.limits[] | select(.before != null) | .name'); do
		printf '%s %s\n' "$name" "$(cat "/proc/sys/${name//./\/}")"
	done
	ls /etc/sysctl.d
}

# A folder with the limits of this host as files: TREE
copy_limits() {
	local name path

	mkdir -p "$1/proc/sys" "$1/etc"
	for name in $(isle doctor --fix --dry-run --json | jq -r '.limits[] | select(.before != null) | .name'); do
		path=proc/sys/${name//./\/}
		mkdir -p "$1/${path%/*}"
		cat "/$path" >"$1/$path"
	done
}

@test "doctor --fix: --dry-run shows what is low for so many guests, and changes nothing" {
	local before
	before=$(limits_now)
	works isle doctor --guests 200 --fix --dry-run
	says 'for 200 guests'
	says fs.aio-max-nr
	works isle doctor --guests 200 --fix --dry-run --json
	jq -e '.guests == 200 and .dry_run and .file == "/etc/sysctl.d/60-isle.conf"' <<<"$output"
	jq -e '[.limits[].result | IN("kept", "would_raise", "absent")] | all' <<<"$output"
	jq -e '.limits[] | select(.name == "fs.aio-max-nr") | .wanted == 65536 + 200 * 1024' <<<"$output"
	jq -e '[.limits[] | select(.result == "absent") | .before == null and .after == null and (.reason | length > 0)] | all' <<<"$output"
	is 'the limits' "$before" "$(limits_now)"
	fails 2 isle doctor --dry-run
	fails 2 isle doctor --fix --guests 0
	fails 2 isle doctor --fix --guests many
}

@test "doctor --fix: raises below another root, files it, and lowers nothing" {
	local tree=$BATS_TEST_TMPDIR/tree
	copy_limits "$tree"
	echo 1000 >"$tree/proc/sys/fs/aio-max-nr"
	echo 99999999999 >"$tree/proc/sys/fs/file-max"
	works isle doctor --fix --guests 1000 --root "$tree"
	says 'fs.aio-max-nr'
	says '1000 -> 1089536'
	is 'live value' 1089536 "$(cat "$tree/proc/sys/fs/aio-max-nr")"
	is 'what was higher' 99999999999 "$(cat "$tree/proc/sys/fs/file-max")"
	grep -qx 'fs.aio-max-nr = 1089536' "$tree/etc/sysctl.d/60-isle.conf"
	run ! grep file-max "$tree/etc/sysctl.d/60-isle.conf"
	is 'files' 60-isle.conf "$(ls -A "$tree/etc/sysctl.d")"
	works isle doctor --fix --guests 10 --root "$tree"
	says 'enough for 10 guests'
	works isle doctor --fix --guests 10 --root "$tree" --json
	jq -e '[.limits[].result | IN("kept", "absent")] | all' <<<"$output"
	is 'live value' 1089536 "$(cat "$tree/proc/sys/fs/aio-max-nr")"
	# A place that cannot be written is named, and nothing changes.
	rm -r "${tree:?}/etc"
	echo >"$tree/etc"
	echo 1000 >"$tree/proc/sys/fs/aio-max-nr"
	fails 1 isle doctor --fix --root "$tree"
	says etc
	is 'live value' 1000 "$(cat "$tree/proc/sys/fs/aio-max-nr")"
}

# It changes the whole machine, so only where that is thrown away.
@test "doctor --fix: on a real host the kernel has it, and every boot again" {
	[ "${ISLE_VM:-}" = 1 ] || skip 'it raises the limits of the whole machine: in virtual machines only'
	local before
	# Some limits are the first network namespace's only.
	at_home() { nsenter --net=/proc/self/fd/9 "$ISLE" "$@"; }
	before=$(cat /proc/sys/fs/aio-max-nr)
	works at_home doctor --fix --guests 300
	says "$before -> 372736"
	is 'live value' 372736 "$(cat /proc/sys/fs/aio-max-nr)"
	works at_home doctor --guests 300 --json
	jq -e '[.findings[] | select(.topic == "limits") | .level == "good"] | all' <<<"$output"
	sysctl -q -w "fs.aio-max-nr=$before"
	sysctl -q --system
	is 'after a boot' 372736 "$(cat /proc/sys/fs/aio-max-nr)"
	sysctl -q -w fs.aio-max-nr=9999999
	works at_home doctor --fix --guests 300
	is 'what the administrator set' 9999999 "$(cat /proc/sys/fs/aio-max-nr)"
	rm /etc/sysctl.d/60-isle.conf
}

@test "doctor: names the limits that a thousand guests meet, with the value to set" {
	local name
	works isle doctor --guests 1000 --json
	for name in fs.inotify.max_user_instances fs.inotify.max_user_watches kernel.keys.maxkeys kernel.keys.maxbytes kernel.pid_max kernel.pty.max fs.aio-max-nr \
		net.ipv4.neigh.default.gc_thresh{1,2,3} net.ipv6.neigh.default.gc_thresh{1,2,3}; do
		[ -e "/proc/sys/${name//./\/}" ] || continue # some are the first network namespace's only
		jq -e --arg n "$name" '.findings[] | select(.name == $n and .topic == "limits") | (.found | test("^[0-9]+$")) and
			(.level == "good" or (.level == "warn" and (.fix | contains("doctor --fix") and test($n + "=[0-9]+$"))))' <<<"$output" || flunk "nothing useful about $name"
	done
	jq -e '.findings[] | select(.name == "bridge ports")' <<<"$output"
}

@test "doctor --guests: warns of what is low for so many" {
	works isle doctor --guests 2000 --json
	jq -e '.findings[] | select(.name == "bridge ports") | .level == "warn" and (.found | contains("1023"))' <<<"$output"
	works isle doctor --json
	jq -e '.findings[] | select(.name == "bridge ports") | .level == "good"' <<<"$output"
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

@test "doctor --criu: a tiny guest is put to sleep and woken, and nothing of it stays" {
	needs_criu
	before=$(isle list -q --columns name)
	works isle doctor --criu
	[[ $output =~ sleep\ and\ wake\ of\ a\ tiny\ guest\ +frozen\ for\ [0-9]+\ ms,\ awake\ after\ [0-9]+\ ms ]] || flunk "$output"
	says 'Guests can be put to sleep here'
	works isle doctor --criu --json
	is 'in JSON' true "$(jq .can_checkpoint <<<"$output")"
	is guests "$before" "$(isle list -q --columns name)"
	[ ! -e "$ISLE_PATH/doctor" ] || flunk 'its folder is there'
	fails 2 isle doctor --criu --fix
}

@test "doctor --criu: whether criu keeps its notes of the kernel" {
	needs_criu
	told() {
		unshare -m sh -c "$1"'; exec "$ISLE" doctor --criu --json' | jq -r '.findings[] | select(.name == "criu\u0027s notes of the kernel") | .found, .fix // empty'
	}
	if [ -d /run/systemd/system ]; then
		is kept '/run/criu.kdat' "$(told :)" # systemd is reached by what is in there
		return
	fi
	is kept '/run/criu.kdat' "$(told 'mount -t tmpfs none /run')"
	is 'left by one that was killed' $'none\nrm /run/criu.kdat.tmp, which a criu that was killed left' \
		"$(told 'mount -t tmpfs none /run; : >/run/criu.kdat.tmp')"
	is 'on no tmpfs' $'none\na tmpfs at /run, as Debian has it' "$(told "mkdir -p $E2E_ROOT/run; mount --bind $E2E_ROOT/run /run")"
}

@test "doctor --criu: a criu that does not work is told, with what can be done" {
	printf '#!/bin/sh\necho "Error (criu/kerndat.c:1): this kernel is none" >&2\nexit 1\n' >"$E2E_ROOT/criu"
	chmod +x "$E2E_ROOT/criu"
	ISLE_CRIU=$E2E_ROOT/criu fails 1 isle doctor --criu
	says 'this kernel is none'
	says 'could not put a tiny guest to sleep'
	says 'install-criu'
	[ ! -e "$ISLE_PATH/doctor" ] || flunk 'its folder is there'
	ISLE_CRIU=$E2E_ROOT/none fails 1 isle doctor --criu
	says 'Guests cannot be put to sleep here'
}

@test "doctor --criu: one that was killed is cleared up by the next" {
	needs_criu
	hold_at 'criu post-dump' doctor --criu
	fails 5 isle doctor --criu
	says 'doctor'
	kill -KILL "$command"
	wait "$command" || :
	works isle doctor --criu
	[ ! -e "$ISLE_PATH/doctor" ] || flunk 'its folder is there'
}
