#!/usr/bin/env bats
# A systemd host: scopes, machined, units, AppArmor.

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

unregistered() {
	! machinectl show "$1" >/dev/null 2>&1
}

needs_systemd() {
	[ -d /run/systemd/system ] || skip "systemd does not run this host"
}

needs_apparmor() {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || skip "this kernel has no AppArmor"
}

unit_of() {
	printf 'isle-%s:%s.scope' "$1" "$E2E_TAG"
}

@test "systemd: a guest runs in a delegated scope of its own in isle.slice" {
	needs_systemd
	make_guest one
	isle start one
	is "slice" isle.slice "$(systemctl show -P Slice "$(unit_of one)")"
	is "delegation" yes "$(systemctl show -P Delegate "$(unit_of one)")"
	is "init's group" "0::/isle.slice/$(unit_of one)/limits/guest" "$(cat "/proc/$(init_pid one)/cgroup")"
	is "the monitor's group" "0::/isle.slice/$(unit_of one)/monitor" "$(cat "/proc/$(monitor_pid one)/cgroup")"
	isle stop --kill one
	wait_until 5 test "$(systemctl show -P ActiveState "$(unit_of one)")" = inactive
}

@test "systemd: machined knows a running guest" {
	needs_systemd
	needs machinectl
	make_guest one
	isle start one
	wait_until 10 machinectl show one
	works machinectl show one -P Leader
	is "leader" "$(init_pid one)" "$output"
	isle stop --kill one
	wait_until 10 unregistered one
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

@test "systemd: restart and reboot from inside stay in the scope" {
	needs_systemd
	make_guest one
	isle start one
	isle restart --kill one
	is "init's group" "0::/isle.slice/$(unit_of one)/limits/guest" "$(cat "/proc/$(init_pid one)/cgroup")"
	local before
	before=$(init_pid one)
	isle exec one -- reboot
	wait_until 20 rebooted one "$before"
	is "init's group" "0::/isle.slice/$(unit_of one)/limits/guest" "$(cat "/proc/$(init_pid one)/cgroup")"
}

@test "systemd: limits hold in the unified hierarchy and are read back" {
	needs_systemd
	make_guest one --set limits.memory=64M --set limits.processes=50 --set limits.cpus=0.5
	isle start one
	local group
	group=/sys/fs/cgroup/isle.slice/$(unit_of one)/limits
	is "memory" 67108864 "$(cat "$group/memory.max")"
	is "processes" 50 "$(cat "$group/pids.max")"
	is "cpus" "50000 100000" "$(cat "$group/cpu.max")"
	isle config one set limits.memory=96M
	is "memory, live" 100663296 "$(cat "$group/memory.max")"
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

@test "AppArmor: init and who enters run under the guest's own profile" {
	needs_apparmor
	make_guest one
	isle start one
	is "init's label" "isle_$E2E_TAG-one (enforce)" "$(cat "/proc/$(init_pid one)/attr/current")"
	works isle exec one -- cat /proc/self/attr/current
	says "isle_$E2E_TAG-one (enforce)"
	fails 1 isle exec one -- sh -c 'echo x >/proc/sys/kernel/core_pattern'
	isle destroy --force one
	run grep -c "isle_$E2E_TAG-one " /sys/kernel/security/apparmor/profiles
	is "profiles left" 0 "$output"
}

@test "AppArmor: a profile that is required is refused where the kernel has none" {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || skip "this kernel has AppArmor"
	make_guest one
	isle config one set security.apparmor=require
	fails 1 isle start one
	says "AppArmor"
}

@test "AppArmor: Debian boots under its profile without a refusal" {
	needs_apparmor
	make_debian one
	isle start --wait one
	works isle exec one -- systemctl is-system-running
	is "the system's state" running "$output"
	run sh -c "dmesg | grep 'DENIED.*isle_$E2E_TAG-one'"
	is "refusals" "" "$output"
}
