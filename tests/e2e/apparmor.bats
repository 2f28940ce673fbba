#!/usr/bin/env bats
# The guests' AppArmor profile, where the kernel has AppArmor.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	has_apparmor || return 0
	make_guest one
	isle start one
}
teardown_file() { end_of_file; }
setup() {
	has_apparmor || [[ $BATS_TEST_DESCRIPTION == *'kernel without'* ]] || skip 'this kernel has no AppArmor'
}

has_apparmor() {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]
}

# refused GUEST COMMAND: it fails.
refused() {
	! isle exec "$1" -- sh -c "$2" >/dev/null 2>&1 || flunk "works in $1: $2"
}

@test "AppArmor: no process gets out of the profile" {
	local profile
	for profile in unconfined "isle_$E2E_TAG-two" /usr/bin/man; do
		for word in changeprofile exec permprofile 'changehat 0^'; do
			refused one "echo '$word $profile' >/proc/self/attr/current && ! grep -q '^isle_$E2E_TAG-one ' /proc/self/attr/current"
			refused one "echo '$word $profile' >/proc/self/attr/exec && sh -c 'read -r label </proc/self/attr/current; case \$label in isle_*-one*) exit 1 ;; esac'"
		done
	done
	refused one 'mkdir -p /mnt/s; mount -t securityfs s /mnt/s'
	is label "isle_$E2E_TAG-one (enforce)" "$(isle exec one -- cat /proc/1/attr/current)"
}

@test "AppArmor: a guest that slept is under its profile to the last process" {
	needs_criu
	isle exec one -- sh -c 'sleep 1000 >/dev/null 2>&1 </dev/null &'
	isle checkpoint -q one
	isle start one
	is labels "isle_$E2E_TAG-one (enforce)" "$(isle exec one -- sh -c 'sort -u /proc/[0-9]*/attr/current')"
	refused one 'mkdir -p /mnt/a; mount -t proc proc /mnt/a'
	refused one 'echo 1 >/proc/sys/kernel/core_pattern'
}

@test "AppArmor: tricks with mounts of proc and sys" {
	isle exec one -- mkdir -p /mnt/a /mnt/b
	refused one 'mount -t proc proc /mnt/a'
	refused one 'mount -t sysfs sys /mnt/a'
	refused one 'mount --bind /proc /mnt/a'
	refused one 'mount --rbind /proc/sys /mnt/a'
	refused one 'mount --bind /sys/kernel /mnt/a'
	refused one 'mount --move /proc /mnt/a'
	refused one 'umount /proc/sysrq-trigger'
	refused one 'umount -l /proc'
	refused one 'umount /proc/sys'
	refused one 'umount /sys/firmware'
	refused one 'umount -l /sys'
	# What other mounts are for goes on.
	isle exec one -- sh -c 'mount -t tmpfs x /mnt/a && mkdir /mnt/a/x && mount --bind /mnt/a/x /mnt/b && umount /mnt/b && umount /mnt/a'
}

@test "AppArmor: the host's knobs, by whatever path" {
	local file
	for file in sysrq-trigger kcore kallsyms kmsg keys timer_list; do
		refused one "cat /proc/$file"
	done
	for file in kernel/core_pattern kernel/sysrq vm/drop_caches kernel/modprobe; do
		refused one "echo 1 >/proc/sys/$file"
	done
}

@test "AppArmor: a guest for guests mounts proc and sys anew, and changes its rules with its config" {
	make_guest two --set security.nesting=yes
	isle start two
	isle exec two -- sh -c 'mkdir -p /mnt/a; mount -t proc proc /mnt/a && umount /mnt/a'
	isle stop --kill two
	isle config two set security.nesting=no
	isle start two
	refused two 'mount -t proc proc /mnt/a'
	isle stop --kill two
	isle config two set security.nesting=yes
	isle start two
	isle exec two -- sh -c 'mount -t proc proc /mnt/a && umount /mnt/a'
	isle destroy --force two
}

@test "AppArmor: a start whose profile could not be loaded leaves no other guest's rules to the next" {
	make_guest two --set security.nesting=yes
	isle start two
	isle stop --kill two
	isle config two set security.nesting=no
	# A library that looks for another file of the kernel's than there is: it compiles, and cannot load.
	mkdir "$BATS_TEST_TMPDIR/lib"
	sed 's/\.replace/.replacX/g' "$(find /usr/lib /lib -name libapparmor.so.1 | head -n 1)" >"$BATS_TEST_TMPDIR/lib/libapparmor.so.1"
	run env LD_LIBRARY_PATH="$BATS_TEST_TMPDIR/lib" "$ISLE" start two
	[ "$status" -ne 0 ] || flunk 'the load was not made to fail'
	says 'AppArmor profile'
	isle start two
	refused two 'mkdir -p /mnt/a; mount -t proc proc /mnt/a'
	isle destroy --force two
}

@test "AppArmor: what is cached but not a profile to this kernel is compiled anew" {
	make_guest two
	isle start two
	isle stop --kill two
	# As after a boot: the profile is in the cache alone.
	printf 'isle_%s-two' "$E2E_TAG" >/sys/kernel/security/apparmor/.remove
	local file
	for file in "$ISLE_PATH"/compiled/apparmor-isle_*-two-*; do
		[ -s "$file" ] || flunk 'nothing is cached'
		echo rubbish >"$file"
	done
	works isle start two
	is label "isle_$E2E_TAG-two (enforce)" "$(isle exec two -- cat /proc/1/attr/current)"
	isle stop --kill two
	printf 'isle_%s-two' "$E2E_TAG" >/sys/kernel/security/apparmor/.remove
	works isle start two
	isle destroy --force two
}

@test "AppArmor: a running guest keeps the rules that it was started with, also for what is executed in it" {
	make_guest two
	isle start two
	local before
	before=$(cat /sys/kernel/security/apparmor/policy/profiles/"isle_$E2E_TAG-two".*/sha*)
	isle config two set security.nesting=yes
	isle exec two -- true
	is 'the profile in the kernel' "$before" "$(cat /sys/kernel/security/apparmor/policy/profiles/"isle_$E2E_TAG-two".*/sha*)"
	isle config two set security.apparmor=none
	is label "isle_$E2E_TAG-two (enforce)" "$(isle exec two -- cat /proc/self/attr/current)"
	isle stop --kill two
	isle start two
	is label unconfined "$(isle exec two -- cat /proc/self/attr/current)"
	isle destroy --force two
}

@test "AppArmor: on a kernel without it a guest starts, unless its config requires it" {
	! has_apparmor || skip 'this kernel has AppArmor'
	make_guest two
	isle start two
	isle stop --kill two
	isle config two set security.apparmor=require
	run isle start two
	is status 1 "$status"
	says 'this kernel has none'
	says 'security.apparmor'
	works isle doctor
	says AppArmor
	isle destroy --force two
}

@test "AppArmor: units with every sandbox that systemd has run, with no refusal in the log" {
	make_debian deb
	isle start --wait --timeout 120 deb
	works isle exec deb -- systemd-run --wait --pipe -p ProtectKernelTunables=yes -p ProtectKernelLogs=yes -p ProtectKernelModules=yes \
		-p ProtectControlGroups=yes -p ProtectProc=invisible -p ProcSubset=pid -p PrivateDevices=yes -p PrivateTmp=yes -p ProtectSystem=strict \
		-p ProtectHome=yes -p RestrictSUIDSGID=yes -p ProtectClock=yes -p DynamicUser=yes -p PrivateNetwork=yes true
	works isle exec deb -- systemctl is-system-running
	is 'refusals' '' "$(dmesg | grep "DENIED.*isle_$E2E_TAG-deb" || :)"
}
