#!/usr/bin/env bats
# A guest that takes too much of everything, while another guest and the host go on. The attacker is limited: what is tested is that a
# limit holds and that nobody else feels it.
load lib
bats_require_minimum_version 1.5.0

LIMITS=(--set limits.memory=96M --set limits.processes=300 --set limits.terminals=64 --set limits.namespaces=40)

setup_file() {
	make_guest calm
	make_guest hog "${LIMITS[@]}"
	isle start calm hog
	give calm
	give hog
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() {
	[ "$(state hog)" = running ] || isle start hog
	same_host
}

# Brings the tool into a running guest.
give() {
	isle exec "$1" -- sh -c 'cat >/root/drain; chmod 755 /root/drain' <"$HOSTILE_TOOLS/drain"
}

# drain GUEST WHAT COUNT: how much it got; nothing when the kernel killed it for that.
drain() {
	timeout 60 "$ISLE" exec "$1" -- /root/drain "$2" "$3" 2>/dev/null || :
}

# What a guest's memory is held to, in bytes: GUEST
memory_limit() {
	local file
	for file in /sys/fs/cgroup/{,memory/}isle-"$E2E_TAG/$1"/memory.{max,limit_in_bytes} \
		/sys/fs/cgroup/isle.slice/isle-"$1:$E2E_TAG.scope"/limits/memory.max; do
		[ ! -e "$file" ] || cat "$file"
	done
}

# held WHAT COUNT MOST: the hog gets no more than MOST and holds it; meanwhile the other guest and the host go on, and get the same.
held() {
	local made=$BATS_TEST_TMPDIR/got-$1 taker got
	timeout 60 "$ISLE" exec hog -- /root/drain "$1" "$2" 60 >"$made" 3>&- &
	taker=$!
	wait_until 20 test -s "$made"
	got=$(cat "$made")
	[ "$got" -gt 0 ] && [ "$got" -le "$3" ] || flunk "$got of $1 where $3 are granted"
	usable calm
	[ "$1" = forks ] || is "$1 of the other guest" 5 "$(drain calm "$1" 5)"
	kill "$taker"
	wait "$taker" || :
}

@test "exhaust: processes" {
	held forks 5000 300
	works timeout 20 "$ISLE" restart --kill hog
}

@test "exhaust: inotify instances are the guest's, whichever of its users takes them" {
	held inotify 5000 "$(cat /proc/sys/fs/inotify/max_user_instances)"
}

@test "exhaust: terminals" {
	held ptys 5000 64
	works timeout 20 script -qec "$ISLE exec calm -- tty" /dev/null
	says /dev/pts/
}

@test "exhaust: terminals of a devpts of the guest's own are fewer than what the host has, and the host keeps its reserve" {
	local most
	most=$(($(cat /proc/sys/kernel/pty/max) - $(cat /proc/sys/kernel/pty/reserve)))
	[ "$most" -lt 8192 ] || skip "this host has $most of them: too many to take for a test"
	inside hog 'ulimit -Hn' >"$BATS_TEST_TMPDIR/files"
	held own-ptys 500 500
	[ "$(cat /proc/sys/kernel/pty/nr)" -lt "$most" ]
	inside hog 'umount /tmp/pts; :'
}

@test "exhaust: keys" {
	held keys 100000 "$(cat /proc/sys/kernel/keys/maxkeys)"
}

@test "exhaust: message queues" {
	held mqueues 5000 50
}

@test "exhaust: network and mount namespaces" {
	held netns 500 40
	held mntns 500 40
	is 'of each kind' 40 "$(inside hog 'cat /proc/sys/user/max_user_namespaces')"
	is 'of each kind without a limit' 1024 "$(inside calm 'cat /proc/sys/user/max_net_namespaces')"
}

@test "exhaust: asynchronous requests, of which the host has one number, are nobody's" {
	is 'contexts' 0 "$(drain hog aio 5)"
	is 'what the host has' 0 "$(cat /proc/sys/fs/aio-nr)"
}

@test "exhaust: memory of every kind is charged to the guest that takes it" {
	local what count got
	while read -r what count; do
		got=$(drain hog "$what" "$count")
		[ -z "$got" ] || [ "$got" -lt "$count" ] || flunk "all of $count $what in 96M"
		works timeout 20 "$ISLE" exec calm -- true
		[ "$(state hog)" = running ] || isle start hog
		inside hog 'rm -f /dev/shm/*; for i in $(ipcs -m | awk "/^0x/ { print \$2 }"); do ipcrm -m $i; done 2>/dev/null; :' || works timeout 20 "$ISLE" restart --kill hog
	done <<-END
		memory 4000
		tmpfs 4000
		shm 4000
		pipes 4000
		unix 4000
		sems 31000
	END
	usable calm
	works timeout 20 "$ISLE" restart --kill hog
}

# Connections keep working beyond it, with less in them each; so it is what the host has lost that counts.
@test "exhaust: buffers of sockets end at the guest's memory" {
	local made=$BATS_TEST_TMPDIR/got taker used
	isle restart --kill hog
	timeout 90 "$ISLE" exec hog -- /root/drain tcp 150 60 >"$made" 2>&1 3>&- &
	taker=$!
	wait_until 60 bash -c '[ -s "$1" ] || ! kill -0 "$2" 2>/dev/null' - "$made" "$taker"
	used=$(awk '/^TCP:/ { print int($NF * 4 / 1024) }' /proc/net/sockstat)
	[ "$used" -lt 150 ] || flunk "$used MiB are in buffers"
	usable calm
	kill "$taker" 2>/dev/null || :
	wait "$taker" || :
	[ "$(state hog)" = running ] || isle start hog
}

@test "exhaust: mounts and names end at the guest's memory, and go with the guest" {
	local made=$BATS_TEST_TMPDIR/got end
	drain hog names 30000 >"$made"
	is names 30000 "$(cat "$made")"
	drain hog mounts 4000 >"$made"
	usable calm
	end=$((SECONDS + 20 * E2E_SLOW))
	works timeout 60 "$ISLE" stop --kill hog
	[ "$SECONDS" -lt "$end" ] || flunk 'a stop takes too long'
}

@test "exhaust: what is written to the console fills no disk and holds nobody up" {
	local size
	inside hog 'timeout 2 yes "$(printf "%0500d" 7)" >/dev/console' &
	local flood=$!
	usable calm
	wait "$flood" || :
	size=$(du -sk "$ISLE_PATH/guests/hog/log" | cut -f1)
	[ "$size" -lt 4096 ] || flunk "the log has $size KiB"
}

@test "exhaust: a guest without a memory limit leaves some to the host" {
	local total
	total=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
	[ "$(memory_limit calm)" -lt $((total * 1024 - 200 * 1024 * 1024)) ] || flunk "$(memory_limit calm) of $total KiB"
	is 'the limit of one that has' $((96 * 1024 * 1024)) "$(memory_limit hog)"
}

@test "exhaust: out of memory, the kernel kills a guest before the host, and the monitor last" {
	is 'init' 500 "$(cat "/proc/$(init_pid hog)/oom_score_adj")"
	is 'what enters' 500 "$(inside hog 'cat /proc/self/oom_score_adj')"
	# Both take the host's CAP_SYS_RESOURCE, which a build machine may lack.
	if isle doctor --json | jq -e '.findings[] | select(.name == "CAP_SYS_RESOURCE") | .level == "good"' >/dev/null; then
		! inside hog 'echo 499 >/proc/self/oom_score_adj' 2>/dev/null || flunk 'the guest has put itself behind others'
		is 'monitor' -500 "$(cat "/proc/$(monitor_pid hog)/oom_score_adj")"
	fi
	local first
	# shellcheck disable=SC2034 # in the eval below
	first=$(init_pid hog)
	inside hog 'reboot -f' 2>/dev/null || :
	wait_until 20 eval '[ "$(state hog)" = running ] && [ "$(init_pid hog)" != "$first" ]'
	is 'init after a reboot' 500 "$(cat "/proc/$(init_pid hog)/oom_score_adj")"
}

# What chrt, nice, taskset, setarch and ulimit say of a process: PID
inherited() {
	chrt -p "$1" | sed 's/.*: //'
	ps -o ni= -p "$1"
	taskset -p "$1" | sed 's/.*: //'
	cat "/proc/$1/personality" "/proc/$1/timerslack_ns" "/proc/$1/oom_score_adj"
}

@test "exhaust: a guest has nothing of the caller's precedence, however it was started" {
	local plain
	plain=$(inherited "$(init_pid hog)")
	isle stop --kill hog
	works chrt --rr 10 taskset -c 0 setarch -R "$ISLE" start hog
	is 'what init has' "$plain" "$(inherited "$(init_pid hog)")"
	isle stop --kill hog
	works nice -n 7 ionice -c 3 "$ISLE" start hog
	is 'what init has' "$plain" "$(inherited "$(init_pid hog)")"
	works nice -n 7 "$ISLE" exec hog -- sh -c 'ps -o pid,nice 2>/dev/null; cut -d" " -f19 /proc/self/stat'
	is 'niceness of a command, which is the caller to choose' 7 "${lines[-1]}"
	works chrt --rr 10 setarch -R "$ISLE" exec hog -- sh -c 'cut -d" " -f40,41 /proc/self/stat; cat /proc/self/personality'
	is 'scheduling of a command' '0 0' "${lines[0]}"
	is 'its personality' 00000000 "${lines[1]}"
}

# The host's own core handler is set for it, so only where the machine is thrown away.
@test "exhaust: the host's core handler runs for no guest" {
	[ "${ISLE_VM:-}" = 1 ] || skip "it sets the machine's core_pattern: in virtual machines only"
	local handler=/var/tmp/core-handler seen=/var/tmp/core-seen pattern
	pattern=$(cat /proc/sys/kernel/core_pattern)
	printf '#!/bin/sh\necho "$@" >>%s\ncat >/dev/null\n' "$seen" >"$handler"
	chmod 755 "$handler"
	rm -f "$seen"
	echo "|$handler %P %h" >/proc/sys/kernel/core_pattern
	inside hog 'sh -c "kill -SEGV \$\$"; sh -c "ulimit -c 0; kill -SEGV \$\$"; sh -c "ulimit -c unlimited; kill -SEGV \$\$"; :' || :
	inside hog 'for i in 1 2 3 4; do /root/drain forks 0; done; sh -c "kill -ABRT \$\$"; :' || :
	sleep 1
	[ ! -e "$seen" ] || flunk 'the handler ran for a guest:' "$(cat "$seen")"
	# It does run for the host, so that its silence means something.
	sh -c 'kill -SEGV $$' || :
	wait_until 10 test -e "$seen"
	echo "$pattern" >/proc/sys/kernel/core_pattern
	rm -f "$handler" "$seen"
}
