#!/usr/bin/env bats
# Debian's releases as guests under AppArmor, and hosts without it; what the profile refuses is apparmor.bats's.
load lib
bats_require_minimum_version 1.5.0

teardown() {
	if [ -e "$ISLE_PATH/guests/one" ]; then isle destroy -q --force one; fi
}

teardown_file() {
	end_of_file
}

needs_apparmor() {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || skip "this kernel has no AppArmor"
}

# For a host without it.
needs_none() {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || skip 'this kernel has AppArmor'
}

is_up() {
	[ "$(isle exec one -- systemctl is-system-running)" = running ]
}

# What the kernel refused to the guest since the mark.
refusals() {
	dmesg | sed "1,/$1/d" | grep "DENIED.*isle_$E2E_TAG-one"
}

# A boot and a stop of a Debian guest from RELEASE OPTION-OF-THE-TEMPLATE...: nothing fails, and AppArmor refuses nothing.
boots() {
	local release=$1 mark=e2e-$BATS_TEST_NUMBER-$$
	needs_apparmor
	needs_release "$@"
	shift
	isle create -q -t debian one -- --release "$release" "$@"
	echo "$mark" >/dev/kmsg
	isle start --wait --timeout 120 one
	is "init's label" "isle_$E2E_TAG-one (enforce)" "$(cat "/proc/$(init_pid one)/attr/current")"
	wait_until 60 is_up || flunk "$(isle exec one -- systemctl --failed --no-legend --plain)"
	is 'failed units' '' "$(isle exec one -- systemctl --failed --no-legend --plain)"
	isle exec one -- systemd-run --wait --quiet -p DynamicUser=yes -p ProtectSystem=strict -p PrivateTmp=yes true
	isle stop --timeout 60 one
	run refusals "$mark"
	is refusals '' "$output"
	# The records could have been too many for the kernel to print.
	run sh -c "dmesg | sed '1,/$mark/d' | grep -i 'callbacks suppressed\|audit.*lost'"
	is 'records that are missing' '' "$output"
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
	needs_none
	make_guest one
	isle config one set security.apparmor=require
	fails 1 isle start one
	says "AppArmor"
}

@test "AppArmor: a host without it is named, and its guests start all the same" {
	needs_none
	works isle doctor
	[[ $output =~ AppArmor[^$'\n']*(off|not in this kernel) ]] || flunk "$output"
	jq -e '.apparmor == false' <<<"$(isle doctor --json)"
	make_guest one
	isle start one
	works isle info one
	says 'AppArmor:       not in this kernel, or off'
}

@test "AppArmor: Debian 11 boots under its profile without a refusal" {
	boots bullseye
}

@test "AppArmor: Debian 12 boots under its profile without a refusal" {
	boots bookworm --packages openssh-server
}

@test "AppArmor: Debian 13 boots under its profile without a refusal" {
	boots trixie
}

@test "AppArmor: Debian unstable boots under its profile without a refusal" {
	boots sid
}
