#!/usr/bin/env bats
# What becomes of guests when their host reboots or loses its power: drives a VM from outside.
#   bats tests/vm/reboot.bats
# VM_OPTIONS: options for tests/vm/run, such as `--suite bookworm --build FOLDER`.
bats_require_minimum_version 1.5.0

here=$BATS_TEST_DIRNAME
# An instance whose run records lie on a disk, where a reboot does not remove them.
other=/var/tmp/other

# Marked to start with the host: dns and web. Not marked: idle, and kept in the other instance.
prepare="
	set -e
	isle create -q -t busybox dns web idle
	isle config dns set guest.autostart=yes guest.groups=onboot
	isle config web set guest.autostart=yes
	systemctl enable -q isle.service
	mkdir -m 0700 $other
	isle -P $other create -q -t busybox kept
	isle start dns web idle
	isle -P $other start kept
	for name in dns web idle; do until isle exec \$name -- pidof init >/dev/null; do sleep 0.2; done; done
"

setup_file() {
	local options
	read -r -a options <<<"${VM_OPTIONS-}"
	local status=0
	"$here/run" "${options[@]}" --images no --reboots --keep --timeout 600 sh -c "$prepare" >"$BATS_FILE_TMPDIR/log" 2>&1 || status=$?
	FOLDER=$(sed -n 's/.*kept: .*--in //p' "$BATS_FILE_TMPDIR/log")
	export FOLDER
	[ "$status" -eq 0 ] || { cat "$BATS_FILE_TMPDIR/log" >&2 && return 1; }
	boot=$(inside cat /proc/sys/kernel/random/boot_id)
	export boot
}

teardown_file() {
	[ -z "${FOLDER-}" ] || "$here/run" --stop "$FOLDER"
}

inside() {
	"$here/run" --in "$FOLDER" --timeout 300 "$@"
}

# is WHAT EXPECTED COMMAND...: what the command says in the machine.
is() {
	local what=$1 expected=$2 got
	shift 2
	got=$(inside "$@" | tr -s " ") || :
	[ "$got" = "$expected" ] || { printf '%s: expected "%s", got "%s"\n' "$what" "$expected" "$got" >&2 && return 1; }
}

# After each boot.
came_up() {
	[ "$(inside cat /proc/sys/kernel/random/boot_id)" != "$boot" ]
	is 'the host' running systemctl is-system-running --wait
	is 'what is marked' $'dns running\nweb running' isle list --columns name,state -q dns web
	is 'what is not' 'idle stopped' isle list --columns name,state -q idle
	is 'guests of the other instance' 'kept stopped' isle -P $other list --columns name,state -q kept
	is 'the guest answers' dns isle exec dns -- hostname
	is 'the gateway answers it' 0 sh -c 'isle exec dns -- ping -c 1 -W 5 $(isle exec dns -- ip route | sed -n "s/default via \([^ ]*\).*/\1/p") >/dev/null; echo $?'
}

# What is not marked can be started, and nothing of the former boot is in the way or stays.
starts_the_rest() {
	is 'the start of what is not marked' '' isle start -q idle
	is 'its start in the other instance' '' isle -P $other start -q kept
	is 'state' 'kept running' isle -P $other list --columns name,state -q kept
	is 'its end' '' isle -P $other stop -q --kill kept
	is 'files of runs' '' find $other/run -mindepth 1 ! -name '.*'
	is 'what doctor finds' '' sh -c "isle doctor --json | grep -i leftover; isle -P $other doctor --json | grep -i leftover"
	is 'the other again' '' isle -P $other start -q kept
}

@test "reboot of the host: guests end in their own manner and those that are marked come up" {
	inside true
	"$here/run" --in "$FOLDER" --reboot clean
	came_up
	# One line each for the start, the stop and the start of this boot.
	is 'events of dns' $'started\nstopped\nstarted' sh -c "isle log --events dns | cut -d' ' -f2- | sed 's/,.*//'"
	is 'events of idle' $'started\nstopped' sh -c "isle log --events idle | cut -d' ' -f2- | sed 's/,.*//'"
	starts_the_rest
}

@test "loss of power: the run records of the former boot are void" {
	boot=$(inside cat /proc/sys/kernel/random/boot_id)
	"$here/run" --in "$FOLDER" --reboot hard
	came_up
	starts_the_rest
}
