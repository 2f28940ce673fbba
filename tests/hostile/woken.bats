#!/usr/bin/env bats
# A guest that was checkpointed and is awake again: criu made its processes, and nothing of what a start gives them may be missing, nor
# anything of whoever woke it be there.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	has_criu || return 0
	mkdir "$E2E_ROOT/lent"
	make_guest one --set limits.namespaces=40 --set limits.processes=600 --set mount.lent.source="$E2E_ROOT/lent" --set mount.lent.target=/lent \
		--set mount.lent.options=ro,nosuid,nodev,noexec
	isle start one
	arm_with one strike
	arm_with one drain
	isle checkpoint -q one
	isle start one
}
teardown_file() { end_of_file; }

setup() {
	needs_criu
	before
}
teardown() { same_host; }

# drain GUEST WHAT COUNT: how much it got.
drain() {
	timeout 60 "$ISLE" exec "$1" -- /root/drain "$2" "$3" 2>/dev/null || :
}

@test "woken: what the kernel counts by user is counted for the guest, not for the host's root" {
	local got taker made=$BATS_TEST_TMPDIR/got
	is owner "$(isle config one get security.ids)" "$("$E2E_HERE/nsowner" "$(init_pid one)")"
	timeout 60 "$ISLE" exec one -- /root/drain inotify 5000 60 >"$made" 3>&- &
	taker=$!
	wait_until 20 test -s "$made"
	got=$(cat "$made")
	[ "$got" -gt 0 ] && [ "$got" -le "$(cat /proc/sys/fs/inotify/max_user_instances)" ] || flunk "$got instances"
	is 'what the host gets meanwhile' 5 "$("$HOSTILE_TOOLS/drain" inotify 5)"
	kill "$taker"
	wait "$taker" || :
}

@test "woken: namespaces, message queues and pending signals are bounded as before" {
	is 'of each kind' 40 "$(inside one 'cat /proc/sys/user/max_user_namespaces')"
	[ "$(drain one netns 500)" -le 40 ]
	[ "$(drain one mqueues 5000)" -le 50 ]
	inside one 'rm -f /dev/mqueue/*'
	works isle exec one -- sh -c 'grep ^SigQ: /proc/1/status; grep "Max core" /proc/1/limits'
	says /65536
	[[ $output =~ core\ file\ size\ +1\ +1\  ]] || flunk "$output"
}

@test "woken: the keys of whoever wakes it stay outside" {
	run "$BATS_TEST_DIRNAME/with-key" true
	[ "$status" -eq 0 ] || skip "$output"
	isle exec one -- sh -c 'rm -f /root/keys; echo "::respawn:/bin/sh -c \"/root/strike keys >/root/keys.new; mv /root/keys.new /root/keys; sleep 1\"" >>/etc/inittab; kill -HUP 1'
	wait_until 10 isle exec one -- test -e /root/keys
	isle checkpoint -q one
	"$BATS_TEST_DIRNAME/with-key" "$ISLE" start one
	isle exec one -- rm -f /root/keys
	wait_until 10 isle exec one -- test -e /root/keys
	run isle exec one -- cat /root/keys
	says_not HOLE
}

@test "woken: it is killed for want of memory before the host, as before" {
	is init 500 "$(cat "/proc/$(init_pid one)/oom_score_adj")"
	# Takes the host's CAP_SYS_RESOURCE, which a build machine may lack.
	if isle doctor --json | jq -e '.findings[] | select(.name == "CAP_SYS_RESOURCE") | .level == "good"' >/dev/null; then
		! inside one 'echo 499 >/proc/1/oom_score_adj' 2>/dev/null || flunk 'the guest has put itself behind others'
	fi
}

@test "woken: flags that its config puts on a folder are locked" {
	run inside one 'mount -o remount,bind,rw /lent; mount -o remount,bind,ro,suid,dev,exec /lent; mount --bind /lent /mnt; mount -o remount,bind,rw /mnt; grep -e " /lent " -e " /mnt " /proc/mounts; umount /mnt'
	[[ $output == *' /lent '*' ro,nosuid,nodev,noexec,'*' /mnt '*' ro,nosuid,nodev,noexec,'* ]] || flunk "$output"
}

@test "woken: all attacks by system calls fail as before" {
	strike one calls
}

# To criu what is mounted there is the host's, and would have to come back with flags of the guest's choice.
@test "woken: what it has mounted over a folder or a node of the host's is no sleep that it cannot wake from, and gives it no more of those" {
	for over in 'mount -t tmpfs none /lent' 'umount /lent; mount -t tmpfs none /lent' 'mount -t tmpfs none /lent; mount -o remount,bind,ro,nosuid,nodev,noexec /lent' \
		'mount --bind /root /lent' 'touch /root/node; mount --bind /root/node /dev/full'; do
		inside one "$over" 2>/dev/null || :
		run isle checkpoint one
		if [ "$status" -eq 0 ]; then
			works isle start one
		else
			says 'which is the host'
			is state running "$(state one)"
		fi
		run inside one 'mount -o remount,bind,rw,suid,dev,exec /lent; touch /lent/escaped; umount /lent; touch /lent/escaped; mount -o remount,bind,rw /lent; touch /lent/escaped'
		is "on the host after '$over'" '' "$(ls -A "$E2E_ROOT/lent")"
		isle stop --kill one
		isle start one
	done
}
