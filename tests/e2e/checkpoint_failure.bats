#!/usr/bin/env bats
# isle checkpoint and restore that are cut short: the guest or its image is unharmed, and the next command repairs.
# shellcheck disable=SC2154 # hold_at sets command and walker
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	has_criu || return 0
	build_zoo
	make_guest one
	isle start one
	bring_zoo one
	begin_again
}

setup() { one_runs; }

teardown() {
	! mountpoint -q "$ISLE_PATH/guests/one/checkpoints" || umount "$ISLE_PATH/guests/one/checkpoints"
}

teardown_file() { end_of_file; }

begin_again() {
	is echo ready "$(hold one echo)"
	begin_count one
}

# begin STEP COMMAND...: in the background until criu's notice; $command, and $walker: who holds.
begin() {
	local step=$1
	shift
	hold_at "criu $step" "$@"
	criu=$(ps -o pid= --ppid "$walker" | head -n 1)
}

ended() {
	status=0
	wait "$command" || status=$?
	output=$(<"$BATS_TEST_TMPDIR/held")
}

tables() {
	nsenter -t "$(init_pid one)" -n nft list tables
}

no_criu() {
	# shellcheck disable=SC2009 # pgrep would find this shell
	! ps -eo args | grep -q '[a]rgv0 criu\|[c]riu swrk'
}

nothing_of_criu() {
	wait_until 10 no_criu
	is tables '' "$(tables)"
	is 'folders in /tmp' '' "$(compgen -G '/tmp/.criu*')"
	is 'other groups' '' "$(find /sys/fs/cgroup -maxdepth 4 -type d -name '*:criu' -path "*$E2E_TAG*")"
	counts one
}

@test "failure: isle killed in the middle of a dump: criu mends what it did, connections are kept" {
	connect one
	for step in pre-dump network-lock post-dump; do
		begin "$step" checkpoint one
		kill -KILL "$command"
		ended
		is "$step" 137 "$status"
		is state running "$(state one)"
		nothing_of_criu
		talks
	done
	works isle checkpoint one
	isle start one
	talks
	disconnect
	is checkpoints '' "$(ls -A "$ISLE_PATH/guests/one/checkpoints" 2>/dev/null)"
}

@test "failure: criu killed in the middle of a dump: the guest runs on, its network is open" {
	for step in pre-dump network-lock post-dump; do
		begin "$step" checkpoint one
		[ "$step" != post-dump ] || [[ $(tables) == *CRIU-* ]] || flunk 'criu keeps no packets back'
		kill -KILL "$criu"
		kill -CONT "$walker"
		ended
		is "$step" 1 "$status"
		says 'criu was killed by signal 9'
		is state running "$(state one)"
		nothing_of_criu
		connect one
		disconnect
	done
	works isle checkpoint one
	isle start one
	nothing_of_criu
}

@test "failure: both killed in the middle of a dump: the next command repairs" {
	begin post-dump checkpoint one
	kill -KILL "$command" "$criu"
	ended
	[[ $(tables) == *CRIU-* ]] || flunk 'nothing to repair'
	works isle checkpoint --leave-running one
	is state running "$(state one)"
	nothing_of_criu
	connect one
	disconnect
	isle checkpoint --delete "$(isle checkpoint --list --json one | jq -r '.[0].id')" one
}

@test "failure: isle is asked to end in the middle of a dump" {
	connect one
	begin network-lock checkpoint one
	kill -TERM "$command"
	kill -CONT "$walker" 2>/dev/null || : # it has obeyed already
	ended
	isnt status 0 "$status"
	is state running "$(state one)"
	nothing_of_criu
	talks
	disconnect
}

@test "failure: criu killed in the middle of a restore: nothing is left, the image wakes the next time" {
	isle checkpoint -q one
	for step in pre-restore setup-namespaces post-setup-namespaces post-restore; do
		begin "$step" start one
		kill -KILL "$criu"
		kill -CONT "$walker"
		ended
		is "$step" 1 "$status"
		says 'criu was killed by signal 9'
		is state checkpointed "$(state one)"
		wait_until 10 no_criu
		is cgroups '' "$(cgroups_left)"
		is links '' "$(links_awake)"
		assert_no_processes
		is 'folders in /tmp' '' "$(compgen -G '/tmp/.criu*')"
	done
	isle start one
	counts one
}

@test "failure: the starting process killed in the middle of a restore: the same" {
	isle checkpoint -q one
	for step in pre-restore setup-namespaces post-restore pre-resume; do
		begin "$step" start one
		kill -KILL "$walker"
		ended
		is "$step" 1 "$status"
		says 'the starting process was killed'
		[ "$(state one)" = checkpointed ] || flunk "$step: $(state one)"
		wait_until 10 no_criu
		is cgroups '' "$(cgroups_left)"
		is links '' "$(links_awake)"
		assert_no_processes
	done
	isle start one
	counts one
}

# A process of the guest's writes a number to a file as fast as it can: what it has written is another after every moment that it ran.
@test "failure: what ends a wake before it is certain, at its last moment too: nothing of the guest has run" {
	local file
	isle exec one -- sh -c 'while :; do i=$((i+1)); echo $i >/root/written; done >/dev/null 2>&1 & echo $! >/tmp/writer'
	isle checkpoint -q one
	file=$(find "$ISLE_PATH/guests/one" -path '*/root/written' -print -quit)
	then=$(stat -c '%y %i' "$file")
	for step in pre-resume post-resume; do
		for victim in walker criu 'walker criu' 'command walker'; do
			begin "$step" start one
			# criu ends with the one that is killed before it.
			for process in $victim; do kill -KILL "${!process}" || gone "${!process}"; done
			kill -CONT "$walker" 2>/dev/null || :
			ended
			isnt "$step, $victim" 0 "$status"
			[[ $(state one) =~ ^(checkpointed|broken)$ ]] || flunk "state at $step, $victim: $(state one)"
			wait_until 10 no_criu
			is "written at $step, $victim" "$then" "$(stat -c '%y %i' "$file")"
		done
	done
	isle start one
	isnt 'once awake' "$then" "$(stat -c '%y %i' "$file")"
	isle exec one -- sh -c 'kill $(cat /tmp/writer)'
	counts one
}

@test "failure: isle and the starting process killed in a restore: the next command clears up" {
	isle checkpoint -q one
	begin post-restore start one
	kill -KILL "$command" "$walker"
	ended
	works isle start one
	is state running "$(state one)"
	nothing_of_criu
}

@test "failure: every row of a restore that fails undoes those before it" {
	isle checkpoint -q one
	for row in cgroup addresses console 'id holder' 'root storage' restore; do
		run env ISLE_FAULT="$row:fail" "$ISLE" start one
		is "$row" 1 "$status"
		says "step:   $row"
		is state checkpointed "$(state one)"
		is cgroups '' "$(cgroups_left)"
		is links '' "$(links_awake)"
		assert_no_processes
	done
	isle start one
	counts one
}

@test "failure: the disk is full" {
	truncate -s 3M "$E2E_ROOT/small"
	mkfs.ext4 -q -O ^has_journal "$E2E_ROOT/small"
	mkdir -p "$ISLE_PATH/guests/one/checkpoints"
	mount -o loop "$E2E_ROOT/small" "$ISLE_PATH/guests/one/checkpoints"
	isle exec one -- sh -c 'head -c 9000000 /dev/urandom >/dev/shm/ballast'
	run isle checkpoint one
	umount "$ISLE_PATH/guests/one/checkpoints"
	rmdir "$ISLE_PATH/guests/one/checkpoints"
	is status 1 "$status"
	says 'the disk is full'
	is state running "$(state one)"
	nothing_of_criu
	isle exec one -- rm /dev/shm/ballast
}

@test "failure: a root file system that is another one" {
	isle exec one -- sh -c 'mkdir -p /root/own && cp /bin/busybox /root/own/sleep'
	isle exec one -- sh -c '/root/own/sleep 1000 >/dev/null 2>&1 &'
	isle checkpoint -q one
	file=$(find "$ISLE_PATH/guests/one" -path '*/root/own/sleep' | head -n 1)
	cp -a "$file" "$E2E_ROOT/runs"
	printf more >>"$file"
	fails 1 isle start one
	says 'a program or library is not the one that ran'
	is state checkpointed "$(state one)"
	cp -a "$E2E_ROOT/runs" "$file"
	sed -i.kept 's/^image *=.*/image = busybox-of-another-kind/' "$ISLE_PATH/guests/one/config"
	fails 1 isle start one
	says "the root file system's image was"
	mv "$ISLE_PATH/guests/one/config.kept" "$ISLE_PATH/guests/one/config"
	isle start one
	counts one
}

@test "failure: a file that a process has open is a fifo when the guest wakes" {
	isle exec one -- sh -c 'echo text >/root/read; echo text >/root/written; mkfifo /root/never
		(exec 4<>/root/never 5</root/read; read -r _ <&4) >/dev/null 2>&1 </dev/null & echo $! >/root/holders
		(exec 4<>/root/never 5>>/root/written; read -r _ <&4) >/dev/null 2>&1 </dev/null & echo $! >>/root/holders'
	for name in read written; do
		isle checkpoint -q one
		file=$(find "$ISLE_PATH/guests/one" -path "*/root/$name" -print -quit)
		mv "$file" "$E2E_ROOT/aside"
		mkfifo "$file"
		begun=$(milliseconds)
		fails 1 isle start one
		[ $(($(milliseconds) - begun)) -lt $((10000 * E2E_SLOW)) ] || flunk "it took $(($(milliseconds) - begun)) ms"
		says "root/$name"
		rm "$file"
		mv "$E2E_ROOT/aside" "$file"
		isle start one
	done
	isle exec one -- sh -c 'kill $(cat /root/holders)'
}

@test "failure: a mount that the config has no more" {
	make_guest two --set mount.data.source=/var/tmp --set mount.data.target=/srv
	isle start two
	isle checkpoint -q two
	isle config two unset mount.data
	fails 1 isle start two
	says 'restore the mount /srv'
	isle config two set mount.data.source=/var/tmp mount.data.target=/srv
	isle start two
	isle destroy --force two
}

@test "failure: a guest that sleeps is destroyed by force only" {
	make_guest two
	isle start two
	isle checkpoint -q two
	fails 4 isle destroy two
	says 'it sleeps in a checkpoint'
	isle destroy --force two
}

@test "failure: a stop that fails or is killed once the guest is noted to sleep: it sleeps, and wakes" {
	begin_count one
	for row in 'run record' network cgroup 'run folder'; do
		run env ISLE_FAULT="$row:kill-undo" "$ISLE" checkpoint one
		is "$row" 137 "$status"
		# Whoever comes next ends what is left of it: none of its processes runs on.
		works isle start one
		is 'the checkpoints that are kept' '' "$(isle checkpoint --list one)"
		nothing_of_criu
	done
	# Its monitor hears nothing.
	monitor=$(monitor_pid one)
	kill -STOP "$monitor"
	works isle checkpoint one
	kill -CONT "$monitor" 2>/dev/null || : # it was ended
	is state checkpointed "$(state one)"
	assert_no_processes
	works isle start one
	nothing_of_criu
}

@test "failure: who has the message queues after a wake" {
	is 'owner before' '1777 0 0' "$(isle exec one -- stat -c '%a %u %g' /dev/mqueue)"
	isle checkpoint -q one
	isle start one
	is 'owner after' '1777 0 0' "$(isle exec one -- stat -c '%a %u %g' /dev/mqueue)"
}

# heard GUEST: its monitor holds its console.
heard() {
	isle exec "$1" -- sh -c 'echo heard >/dev/console'
	isle log --console "$1" | grep -q heard
}

# What runs was woken, has a monitor, and is not asleep any more.
is_awake() {
	is 'state' running "$(state one)"
	nothing_of_criu
	wait_until 10 heard one
	is 'what is kept of the checkpoint' '' "$(isle checkpoint --list one)"
}

# A terminal that was lost with its monitor keeps it from another sleep.
start_anew() {
	isle stop --kill one
	isle start one
	bring_zoo one
	begin_again
}

# From the moment at which its processes run there is nothing to go back to.
@test "failure: what ends the starting process once the guest is awake is no failure of the guest's" {
	for row in 'restore:kill-after' 'run record:kill' 'run record:kill-after'; do
		isle checkpoint -q one
		ISLE_FAULT=$row works isle start one
		is_awake
		start_anew
	done
	# Together with the command: the next one, whichever it is, finds a guest that runs.
	for next in 'exec one -- true' 'freeze one' 'stop --kill one'; do
		isle checkpoint -q one
		hold_at 'run record' start one
		frozen=$(find /sys/fs/cgroup -path "*/$(field one .cgroup)/cgroup.freeze")
		kill -KILL "$command" "$walker"
		ended
		# As if they had been killed when that was the last thing to do.
		[[ $next != exec* ]] || echo 1 >"$frozen"
		# shellcheck disable=SC2086 # a command with its arguments
		works isle $next
		[ "$next" != 'freeze one' ] || works isle unfreeze one
		[ "$next" = 'stop --kill one' ] || is_awake
		[ "$next" = 'stop --kill one' ] || start_anew
	done
	is 'state: it has gone on since' stopped "$(state one)"
	isle start one
	bring_zoo one
	begin_again
}

@test "failure: a terminal that was lost with a monitor is named beforehand" {
	watching=$(monitor_pid one)
	kill -KILL "$watching"
	wait_until 10 gone "$watching"
	works isle exec one -- true
	for check in --check ''; do
		# shellcheck disable=SC2086 # no word, or one
		fails 1 isle checkpoint $check one
		says 'it has a terminal open that is gone'
	done
	start_anew
	works isle checkpoint one
	isle start one
}

@test "failure: going back to a moment from a sleep: when its files cannot be put back the guest sleeps on" {
	isle checkpoint -q --leave-running one
	moment=$(isle checkpoint --list --json one | jq -r '.[0].id')
	isle checkpoint -q one
	disk=$ISLE_PATH/guests/one/checkpoints/$moment/disk
	mv "$disk" "$disk.away"
	mkdir "$disk"
	fails 1 isle restore one "$moment"
	is state checkpointed "$(state one)"
	isle start one
	counts one
	rm -r "$disk"
	mv "$disk.away" "$disk"
	isle checkpoint --delete "$moment" one
}

# The copy of a large guest's files, for one.
@test "failure: what isle itself does while the guest stands still is no delay of criu's" {
	begin post-dump checkpoint --leave-running --timeout $((5 * E2E_SLOW)) one
	read -r -t $((6 * E2E_SLOW)) <> <(:) || :
	kill -CONT "$walker"
	ended
	is status 0 "$status"
	counts one
	isle checkpoint --delete "$(isle checkpoint --list --json one | jq -r '.[0].id')" one
}
