#!/usr/bin/env bats
# A systemd host: scopes and machined. Its units, slice and sessions are tests/vm/host.bats's.

load lib

bats_require_minimum_version 1.5.0

teardown() {
	if [ -e "$ISLE_PATH/guests/one" ]; then isle destroy -q --force one; fi
}

teardown_file() {
	end_of_file
}

# NAME PID-BEFORE
rebooted() {
	[ "$(state "$1")" = running ] && [ "$(init_pid "$1")" != "$2" ]
}

# NAME: machined knows it, and its init is the one of now.
registered_anew() {
	[ "$(machinectl show "$1" -p Leader --value 2>/dev/null)" = "$(init_pid "$1")" ]
}

unregistered() {
	! machinectl show "$1" >/dev/null 2>&1
}

# NAME: systemd has seen the last process of its scope go.
scope_ended() {
	[ "$(systemctl show -P ActiveState "$(unit_of "$1")")" = inactive ]
}

ended() {
	[[ $(state "$1") =~ ^(checkpointed|stopped)$ ]]
}

needs_systemd() {
	[ -d /run/systemd/system ] || skip "systemd does not run this host"
}

unit_of() {
	printf 'isle-%s:%s.scope' "$1" "$E2E_TAG"
}

# Of a process, in cgroup2.
group_of() {
	sed -n 's/^0:://p' "/proc/$1/cgroup"
}

# What the kernel holds as a limit of guest one, on either layout of control groups: FILE-OF-V2 CONTROLLER FILE-OF-V1
limit() {
	local group
	group=isle.slice/$(unit_of one)/limits
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		cat "/sys/fs/cgroup/$group/$1"
	else
		cat "/sys/fs/cgroup/$2/$group/$3"
	fi
}

@test "systemd: a guest runs in a delegated scope of its own in isle.slice" {
	needs_systemd
	make_guest one
	isle start one
	is "slice" isle.slice "$(systemctl show -P Slice "$(unit_of one)")"
	is "delegation" yes "$(systemctl show -P Delegate "$(unit_of one)")"
	is "init's group" "/isle.slice/$(unit_of one)/limits/guest" "$(group_of "$(init_pid one)")"
	is "the monitor's group" "/isle.slice/$(unit_of one)/monitor" "$(group_of "$(monitor_pid one)")"
	isle stop --kill one
	wait_until 5 scope_ended one
}

@test "systemd: machined knows a running guest" {
	needs_systemd
	needs machinectl
	make_guest one
	isle start one
	wait_until 10 machinectl show one
	works machinectl show one -p Leader --value
	is "leader" "$(init_pid one)" "$output"
	isle stop --kill one
	wait_until 10 unregistered one
}

@test "systemd: machined knows the init of now after a restart" {
	needs_systemd
	needs machinectl
	make_guest one
	isle start one
	wait_until 10 registered_anew one
	for _ in 1 2 3; do
		isle restart --kill one
		wait_until 10 registered_anew one
	done
	works isle log --events one
	says_not 'not registered'
}

@test "systemd: machined knows the init of now after a reboot from inside" {
	needs_systemd
	needs machinectl
	[ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -ge 257 ] || skip 'this machined ends a guest that is registered anew'
	make_guest one
	isle start one
	wait_until 10 registered_anew one
	wait_until 20 isle exec one -- pidof init
	local before
	before=$(init_pid one)
	isle exec one -- reboot
	wait_until 20 rebooted one "$before"
	wait_until 10 registered_anew one
}

@test "systemd: a guest that slept is in a scope again, with its limits, and machined knows it" {
	needs_systemd
	needs machinectl
	needs_criu
	make_guest one --set limits.memory=64M --set limits.processes=100
	isle start one
	for _ in 1 2; do
		wait_until 10 registered_anew one
		isle checkpoint -q one
		wait_until 10 unregistered one
		wait_until 5 scope_ended one
		isle start one
		wait_until 10 registered_anew one
		is slice isle.slice "$(systemctl show -P Slice "$(unit_of one)")"
		is delegation yes "$(systemctl show -P Delegate "$(unit_of one)")"
		is "init's group" "/isle.slice/$(unit_of one)/limits/guest" "$(group_of "$(init_pid one)")"
		is "the monitor's group" "/isle.slice/$(unit_of one)/monitor" "$(group_of "$(monitor_pid one)")"
		is memory $((64 << 20)) "$(limit memory.max memory memory.limit_in_bytes)"
		is processes 100 "$(limit pids.max pids pids.max)"
		isle config one set limits.processes=101
		is 'processes, changed' 101 "$(limit pids.max pids pids.max)"
		isle config one set limits.processes=100
	done
	isle stop --kill one
	wait_until 10 unregistered one
}

@test "systemd: a monitor that replaces one that was killed is in the scope, not in the session of who asked" {
	needs_systemd
	make_guest one
	isle start one
	local monitor
	monitor=$(monitor_pid one)
	kill -9 "$monitor"
	wait_until 10 gone "$monitor"
	systemd-run -q --wait --collect --unit="e2e-session-$$" -E ISLE_PATH="$ISLE_PATH" -p KillMode=control-group \
		nsenter --net="/proc/$$/ns/net" --mount="/proc/$$/ns/mnt" "$ISLE" exec one -- true
	[ "$(monitor_pid one)" != "$monitor" ]
	is "its group" "/isle.slice/$(unit_of one)/monitor" "$(group_of "$(monitor_pid one)")"
	is "lives" 0 "$(kill -0 "$(monitor_pid one)"; echo $?)"
}

@test "systemd: stopping the scope ends the guest in its own manner" {
	needs_systemd
	make_guest one
	isle start one
	systemctl stop "$(unit_of one)"
	works isle wait --timeout 30 one
	is "state" stopped "$(state one)"
	works isle log --events one
	says "SIGTERM: stopping the guest"
}

@test "systemd: machinectl terminate ends the guest and leaves nothing" {
	needs_systemd
	needs machinectl
	make_guest one
	isle start one
	wait_until 10 machinectl show one
	machinectl terminate one
	works isle wait --timeout 60 one
	is "state" stopped "$(state one)"
}

@test "systemd: machinectl terminate in the middle of a checkpoint: the guest sleeps or has stopped, and starts again" {
	needs_systemd
	needs machinectl
	needs_criu
	make_guest one
	isle start one
	wait_until 10 registered_anew one
	# shellcheck disable=SC2154 # hold_at sets command and walker
	for note in pre-dump network-lock post-dump; do
		hold_at "criu $note" checkpoint one
		machinectl terminate one
		kill -CONT "$walker"
		wait "$command" || : # either may win
		wait_until 60 ended one || flunk "$(isle list -q; isle log --events one | tail -n 12; cat "$BATS_TEST_TMPDIR/held")"
		wait_until 10 scope_ended one
		works isle start one
		is state running "$(state one)"
		wait_until 10 registered_anew one
	done
}

@test "systemd: restart and reboot from inside stay in the scope" {
	needs_systemd
	make_guest one
	isle start one
	isle restart --kill one
	is "init's group" "/isle.slice/$(unit_of one)/limits/guest" "$(group_of "$(init_pid one)")"
	local before
	before=$(init_pid one)
	isle exec one -- reboot
	wait_until 20 rebooted one "$before"
	is "init's group" "/isle.slice/$(unit_of one)/limits/guest" "$(group_of "$(init_pid one)")"
}

@test "systemd: the use of a guest can be asked for until its stop has done that" {
	needs_systemd
	needs systemd-run
	make_guest one
	isle start one
	local monitor before stopper
	monitor=$(monitor_pid one)
	# shellcheck disable=SC2016 # for the shell inside
	isle exec one -- sh -c 'mkdir /etc/rc.stop && printf "%s\n" "#!/bin/sh" \
		"while read -r line </proc/self/stat && set -- \$line && [ \$((\${14} + \${15})) -lt 200 ]; do" \
		"i=0; while [ \$i -lt 2000 ]; do i=\$((i + 1)); done; done" >/etc/rc.stop/last && chmod 755 /etc/rc.stop/last'
	before=$(isle usage --json one | jq '.[0].cpu_seconds')
	"$ISLE" stop one 3>&- &
	stopper=$!
	wait_until 20 pgrep -x last
	kill -STOP "$stopper"
	wait_until 60 gone "$monitor"
	# It works off what it has heard, and would take the scope away.
	systemd-run -q --wait --collect true
	systemd-run -q --wait --collect true
	kill -CONT "$stopper"
	wait "$stopper"
	isle usage --json one | jq -e --argjson before "$before" '.[0].cpu_seconds > $before + 1.9' >/dev/null ||
		flunk "$before, and then $(isle usage --json one)"
}

@test "systemd: limits hold in the scope and follow the config" {
	needs_systemd
	make_guest one --set limits.memory=64M --set limits.processes=50 --set limits.cpus=0.5
	isle start one
	is "memory" 67108864 "$(limit memory.max memory memory.limit_in_bytes)"
	is "processes" 50 "$(limit pids.max pids pids.max)"
	[[ $(limit cpu.max cpu cpu.cfs_quota_us) =~ ^50000( 100000)?$ ]]
	isle config one set limits.memory=96M
	is "memory, live" 100663296 "$(limit memory.max memory memory.limit_in_bytes)"
}

@test "systemd: the guest outlives the session that started it" {
	needs_systemd
	needs systemd-run
	make_guest one
	# A scope stands for the session: its end, and a kill of all in it, is what logind does with KillUserProcesses=yes.
	systemd-run -q --wait --collect --unit="e2e-session-$$" -E ISLE_PATH="$ISLE_PATH" -p KillMode=control-group \
		nsenter --net="/proc/$$/ns/net" --mount="/proc/$$/ns/mnt" "$ISLE" start one
	is "state" running "$(state one)"
}
