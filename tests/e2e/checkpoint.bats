#!/usr/bin/env bats
# isle checkpoint and restore.
load lib
bats_require_minimum_version 1.5.0

setup_file() { begin_one; }

setup() { one_runs; }

teardown_file() { end_of_file; }

# inside GUEST SCRIPT
inside() { isle exec "$1" -- sh -c "$2"; }

@test "checkpoint: a guest ends, its state says so, and start wakes it where it was" {
	begin_count one
	pid=$(isle exec one -- cat /tmp/counter)
	works isle checkpoint one
	[[ $output =~ ^one:\ checkpoint\ [0-9]{8}-[0-9]{6}-[0-9a-f]{4},\ frozen\ for\ [0-9]+\ ms,\ [0-9.]+\ [KM]iB$ ]] || flunk "$output"
	is state checkpointed "$(state one)"
	is 'state in JSON' checkpointed "$(field one .state)"
	before=$(sed -n 1p <(isle checkpoint --list --json one | jq -r '.[0].asleep'))
	is asleep true "$before"
	isle start one
	is state running "$(state one)"
	is 'the same process' "$pid" "$(isle exec one -- cat /tmp/counter)"
	now=$(count one)
	further() { [ "$(count one)" -gt "$now" ]; }
	wait_until 10 further
	isle exec one -- kill "$pid"
	works isle checkpoint --list one
	is 'what is kept of it' '' "$output"
}

@test "checkpoint: five times in a row, each time with console, exec, network, freeze and a reboot from inside at the end" {
	address=$(address one)
	for _ in 1 2 3 4 5; do
		isle checkpoint -q one
		isle start one
		is address "$address" "$(address one)"
		isle exec one -- ping -c 1 -W 2 "$(isle exec one -- ip route | awk '/^default/ { print $3 }')"
		isle freeze one
		isle unfreeze one
	done
	isle config one set limits.processes=200
	starts=$(field one .starts)
	isle exec one -- reboot
	rebooted() { [ "$(field one .starts)" -gt "$starts" ] && [ "$(state one)" = running ]; }
	wait_until 30 rebooted
	isle config one unset limits.processes
}

@test "checkpoint: nothing is left on the host of a guest that sleeps" {
	isle checkpoint -q one
	isle stop one 2>/dev/null || : # it does not run
	is links '' "$(links_awake)"
	is cgroups '' "$(cgroups_left)"
	assert_no_processes
	is state checkpointed "$(state one)"
	isle start one
}

@test "checkpoint: of a guest that does not run, or is frozen, is refused" {
	make_guest two
	fails 4 isle checkpoint two
	says 'it is stopped'
	isle freeze one
	fails 4 isle checkpoint one
	says 'isle unfreeze one'
	isle unfreeze one
	fails 3 isle checkpoint nobody
	fails 2 isle checkpoint --list --check one
	fails 4 isle restore two
	says 'there is no checkpoint of it'
	isle destroy two
}

@test "checkpoint: --cold starts a guest that sleeps anew" {
	isle exec one -- touch /run/this-boot
	isle checkpoint -q one
	isle start --cold one
	is state running "$(state one)"
	fails 1 isle exec one -- ls /run/this-boot
	is checkpoints '' "$(isle checkpoint --list one)"
	# Also when its images are lost.
	isle checkpoint -q one
	rm -r "$ISLE_PATH"/guests/one/checkpoints
	fails 3 isle start one
	says 'isle start --cold one'
	isle start --cold one
	is state running "$(state one)"
}

@test "checkpoint: what criu cannot carry is named beforehand, and the guest runs on" {
	isle exec one -- sh -c 'sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/sleeper; kill -STOP $!
		until grep -q "^State:.T" /proc/$!/status; do :; done'
	fails 1 isle checkpoint --check one
	says "process $(isle exec one -- cat /tmp/sleeper) ("
	says "fix: let it go on, in the guest: kill -CONT $(isle exec one -- cat /tmp/sleeper)"
	fails 1 isle checkpoint one
	says 'it is stopped'
	is state running "$(state one)"
	is reason '["it is stopped (job control or SIGSTOP)"]' "$(isle checkpoint --check --json one 2>/dev/null | jq -c 'map(.reason)')"
	isle exec one -- sh -c 'kill -KILL $(cat /tmp/sleeper)'
	works isle checkpoint --check one
}

@test "checkpoint: a file that was removed and is open goes along; a huge one is named" {
	# No bare sleep: it may end when it is woken (busybox 1.37).
	isle exec one -- sh -c 'head -c 90000000 /dev/urandom >/root/gone; md5sum </root/gone >/root/sum
		exec 3</root/gone; rm /root/gone; sh -c "while :; do sleep 1000; done" <&3 >/dev/null 2>&1 & echo $! >/tmp/holder'
	isle checkpoint -q one
	isle start one
	isle exec one -- sh -c 'md5sum </proc/$(cat /tmp/holder)/fd/0 | cmp - /root/sum && kill $(cat /tmp/holder) && killall sleep'
	isle exec one -- sh -c 'truncate -s 1100000000 /root/gone
		exec 3</root/gone; rm /root/gone; sleep 1000 <&3 >/dev/null 2>&1 & echo $! >/tmp/holder'
	fails 1 isle checkpoint --check one
	says 'it has a file open that was removed, of more than 1 GiB'
	fails 1 isle checkpoint one
	is state running "$(state one)"
	isle exec one -- sh -c 'kill $(cat /tmp/holder); rm /root/sum'
}

@test "checkpoint: what isle exec runs is not carried, and is told" {
	isle exec one -- sh -c 'echo $$ >/tmp/visitor; exec sleep 1000' >"$BATS_TEST_TMPDIR/said" 2>&1 </dev/null 3>&- &
	visitor=$!
	visits() { inside one 'grep -q sleep /proc/$(cat /tmp/visitor)/comm'; }
	wait_until 10 visits
	works isle checkpoint --check one
	says "process $(isle exec one -- cat /tmp/visitor) (sleep): it came in by isle exec"
	works isle checkpoint --leave-running one
	says 'it is not in the checkpoint'
	visits
	isle checkpoint --delete "$(isle checkpoint --list --json one | jq -r '.[0].id')" one
	works isle checkpoint one
	says 'it is not in the checkpoint, and ends'
	status=0
	wait "$visitor" || status=$?
	is "the command's status" 137 "$status"
	isle start one
	works isle checkpoint --check one
	says 'nothing stands in the way'
}

# What criu saves must not change under its hands, by whoever came in: processes that it does not hold, and the interfaces.
@test "checkpoint: what isle exec runs stands still while the guest is saved, and goes on afterwards" {
	isle exec one -- sh -c '(while :; do :; done) & echo $! >/tmp/child; echo $$ >/tmp/visitor; wait' >/dev/null 2>&1 </dev/null 3>&- &
	visitor=$!
	wait_until 10 inside one 'test -s /tmp/visitor'
	same=$(readlink "/proc/$(init_pid one)/ns/pid")
	moving() {
		for process in /proc/[0-9]*; do
			[ "$(readlink "$process/ns/pid")" != "$same" ] || grep -H '^State:.[RSD]' "$process/status" || :
		done
	}
	[ "$(moving | wc -l)" -ge 3 ] || flunk "too few processes are seen: $(moving)"
	local command walker
	hold_at 'criu post-dump' checkpoint --leave-running one
	is 'processes that run' '' "$(moving)"
	kill -CONT "$walker"
	wait "$command"
	inside one 'grep "^State:.R" /proc/$(cat /tmp/child)/status'
	inside one 'grep "^State:.S" /proc/$(cat /tmp/visitor)/status'
	isle checkpoint --delete "$(isle checkpoint --list --json one | jq -r '.[0].id')" one
	inside one 'kill $(cat /tmp/visitor) $(cat /tmp/child)'
	wait "$visitor" || :
}

@test "checkpoint: who would come in by isle exec meanwhile waits, and is told when the guest has ended by then" {
	local command walker visitor said=$BATS_TEST_TMPDIR/said
	for how in --leave-running ''; do
		# shellcheck disable=SC2086 # an option, or none
		hold_at 'criu post-dump' checkpoint $how one
		"$ISLE" exec one -- echo there >"$said" 2>&1 </dev/null 3>&- &
		visitor=$!
		waits() { find "/proc/$visitor/fd" -lname '*/run/one' | grep -q .; }
		wait_until 10 waits
		is 'processes of the guest' '' "$(ps -o pid= --ppid "$visitor")"
		kill -CONT "$walker"
		wait "$command"
		status=0
		wait "$visitor" || status=$?
		output=$(<"$said")
		if [ -n "$how" ]; then
			is 'what it says' there "$output"
			isle checkpoint --delete "$(isle checkpoint --list --json one | jq -r '.[0].id')" one
		else
			is status 4 "$status"
			says 'it is checkpointed'
		fi
	done
	isle start one
}

@test "checkpoint: an interface that is renamed at the last moment is seen" {
	local command walker
	hold_at 'criu network-lock' checkpoint one # before isle has shut the gate
	inside one 'ip link set eth0 down && ip link set eth0 name other'
	kill -CONT "$walker"
	status=0
	wait "$command" || status=$?
	is status 1 "$status"
	output=$(<"$BATS_TEST_TMPDIR/held")
	says "calls its interface eth0 'other'"
	is state running "$(state one)"
	inside one 'ip link set other name eth0 && ip link set eth0 up'
}

@test "checkpoint: processes that have just ended, the leader of their session too, keep no guest from waking" {
	for _ in 1 2 3 4 5; do
		isle exec one -- setsid sh -c '(sleep 1000 >/dev/null 2>&1 </dev/null & exec sleep 3000 </dev/null >/dev/null 2>&1) &'
		two_sleep() { [ "$(isle exec one -- pidof sleep | wc -w)" -ge 2 ]; }
		wait_until 10 two_sleep
		isle exec one -- sh -c 'kill -9 $(pidof sleep)'
		isle checkpoint -q one
		isle restore --timeout $((10 * E2E_SLOW))s one
	done
}

@test "checkpoint: what file systems in memory hold is carried, of a ramfs too, and how their folders are" {
	isle exec one -- sh -c 'mkdir -p /mnt/empty /mnt/full /mnt/ram
		mount -t tmpfs none /mnt/empty; mount -t tmpfs none /mnt/full; mount -t ramfs none /mnt/ram
		chown 7:8 /mnt/empty; chmod 1751 /mnt/empty; touch -d "2020-01-02 03:04:05" /mnt/empty
		for at in full ram; do echo text >/mnt/$at/file; chmod 640 /mnt/$at/file; chown 9:9 /mnt/$at/file; ln -s file /mnt/$at/link; done
		chmod 500 /mnt/ram; mount -o remount,ro /mnt/ram'
	look() { isle exec one -- sh -c 'cd /mnt; stat -c "%n %F %a %u %g %Y" empty full/* ram ram/*; cat full/link ram/link; touch ram/more 2>&1 || :'; }
	before=$(look)
	for _ in 1 2; do
		isle checkpoint -q one
		isle start one
		is 'what they hold' "$before" "$(look)"
	done
	isle exec one -- umount /mnt/empty /mnt/full /mnt/ram
}

@test "checkpoint: who watches for pressure is named" {
	isle exec one -- test -e /sys/fs/cgroup/cpu.pressure || skip 'this kernel tells of no pressure'
	isle exec one -- sh -c 'mkdir -p /sys/fs/cgroup/own; sleep 1000 </dev/null >/dev/null 2>&1 3<>/sys/fs/cgroup/own/cpu.pressure & echo $! >/tmp/watcher'
	fails 1 isle checkpoint one
	says 'watches for pressure'
	says 'sleep'
	isle exec one -- sh -c 'kill $(cat /tmp/watcher)'
	isle exec one -- sh -c 'sleep 1000 </dev/null >/dev/null 2>&1 3</sys/fs/cgroup/own/cpu.pressure & echo $! >/tmp/watcher'
	isle checkpoint -q one
	isle start one
	isle exec one -- sh -c 'kill $(cat /tmp/watcher) 2>/dev/null || :' # a sleep of busybox 1.37 ends when it wakes
}

@test "checkpoint: the list says whose each is, and how much its files take" {
	make_guest two
	isle start two
	isle exec one -- sh -c 'head -c 9000000 /dev/urandom >/root/ballast'
	isle checkpoint -q --leave-running one
	isle checkpoint -q two
	works isle checkpoint --list one two
	is heads 1 "$(grep -c ^NAME <<<"$output")"
	[[ $output =~ one\ +[0-9]{8}-[0-9a-f-]+\ +[0-9-]+\ [0-9:]+\ +[0-9.]+\ KiB\ +(8|9)[0-9.]*\ MiB ]] || flunk "$output"
	[[ $output =~ two\ +[0-9]{8}-[0-9a-f-]+\ +[0-9-]+\ [0-9:]+\ +[0-9.]+\ KiB\ +-\ +asleep\ in\ it ]] || flunk "$output"
	isle checkpoint --list --json one two >"$BATS_TEST_TMPDIR/list"
	is names 'one two' "$(jq -r '.[].name' "$BATS_TEST_TMPDIR/list" | xargs)"
	[ "$(jq '.[0].files_bytes' "$BATS_TEST_TMPDIR/list")" -gt 9000000 ]
	is 'bytes of no files' null "$(jq '.[1].files_bytes' "$BATS_TEST_TMPDIR/list")"
	id=$(jq -r '.[0].id' "$BATS_TEST_TMPDIR/list")
	is 'what completion offers' "$id" "$(isle _complete -- isle restore one '')"
	is 'and for an option' "$id" "$(isle _complete -- isle checkpoint one --delete "${id%??}")"
	fails 2 isle checkpoint --compress --check one
	fails 3 isle checkpoint --list nobody one
	says "there is no guest 'nobody'"
	says 'one '
	isle checkpoint --delete "$(jq -r '.[0].id' "$BATS_TEST_TMPDIR/list")" one
	isle exec one -- rm /root/ballast
	isle destroy --force two
}

@test "checkpoint: what a guest that sleeps is refused, with what to do instead" {
	isle checkpoint -q one
	fails 4 isle checkpoint one
	says 'fix:    isle start one'
	fails 4 isle checkpoint --check one
	says 'fix:    isle start one'
	fails 4 isle stop one
	says 'isle start one wakes it; isle start --cold one starts it anew'
	fails 4 isle rename one other
	says 'isle start one wakes it; then isle stop one'
	fails 4 isle freeze one
	says 'fix:    isle start one'
	fails 4 isle clone one other
	says 'isle start one, then isle clone --live one NAME'
	works isle start --plan one
	says 'restore '
	says_not 'exec init'
	works isle start --plan --cold one
	says 'exec init'
	isle log --events one | grep -q "checkpoint $(isle checkpoint --list --json one | jq -r '.[0].id') made, it sleeps there"
	isle start one
	fails 4 isle restore one
	says 'isle stop one, then restore it' || says 'there is no checkpoint'
}

@test "checkpoint: an image that was edited is refused, and nothing has changed" {
	isle checkpoint -q one
	id=$(isle checkpoint --list --json one | jq -r '.[0].id')
	images=$ISLE_PATH/guests/one/checkpoints/$id/images
	cp "$images/pstree.img" "$E2E_ROOT/pstree.img"
	printf x >>"$images/pstree.img"
	fails 1 isle start one
	says 'its image pstree.img was changed'
	is state checkpointed "$(state one)"
	cp "$E2E_ROOT/pstree.img" "$images/pstree.img"
	version=$(sed -n 's/^criu=//p' "$images/../manifest")
	[[ $version =~ ^[0-9]+(\.[0-9]+)+$ ]] || flunk "criu: $version"
	sed -i 's/^criu=.*/criu=9/' "$images/../manifest"
	fails 1 isle restore one
	says 'this host did not sign it'
	sed -i "s/^criu=.*/criu=$version/" "$images/../manifest"
	isle start one
}

# edited FIELD VALUE: as if the checkpoint came from another host.
edited() {
	sed -i "s/^$1=.*/$1=$2/" "$ISLE_PATH"/guests/one/checkpoints/*/manifest
	run "$ISLE" restore --trust-images one
}

@test "checkpoint: of another host: what cannot work is refused with the reason, another kernel as such is none" {
	isle checkpoint -q one
	manifest=$(echo "$ISLE_PATH"/guests/one/checkpoints/*/manifest)
	cp "$manifest" "$E2E_ROOT/manifest"
	while read -r field value reason; do
		edited "$field" "$value"
		is "status with $field" 1 "$status"
		says "$reason"
		is state checkpointed "$(state one)"
		cp "$E2E_ROOT/manifest" "$manifest"
	done <<-END
		page 65536 its memory is in pages of 65536 bytes
		machine riscv64 the machine was riscv64
		cpu of-tomorrow this CPU lacks 'of-tomorrow'
		confined $((1 - $(sed -n 's/^confined=//p' "$manifest"))) AppArmor profile
	END
	edited kernel 9.9.9-tomorrow
	is status 0 "$status"
	is state running "$(state one)"
}

@test "checkpoint: criu that fails, hangs or is killed leaves the guest running" {
	# shellcheck disable=SC2016 # for the shell that plays criu
	for criu in 'exit 1' 'kill -9 $$'; do
		printf '#!/bin/sh\n%s\n' "$criu" >"$E2E_ROOT/criu"
		chmod +x "$E2E_ROOT/criu"
		run env ISLE_CRIU="$E2E_ROOT/criu" "$ISLE" checkpoint --timeout 1 one
		[[ $status =~ ^[15]$ ]] || flunk "status $status: $output"
		says 'dump its processes'
		is state running "$(state one)"
		isle exec one -- true
	done
	printf '#!/bin/sh\nexec sleep 100\n' >"$E2E_ROOT/criu"
	ISLE_CRIU=$E2E_ROOT/criu fails 5 isle checkpoint --timeout 1 one
	says 'wait for criu'
	is checkpoints '' "$(isle checkpoint --list one)"
	begin_count one
	now=$(count one)
	further() { [ "$(count one)" -gt "$now" ]; }
	wait_until 10 further
}

@test "checkpoint: --leave-running keeps a moment with its files, which can be gone back to" {
	isle exec one -- sh -c 'echo before >/root/file; rm -f /root/later'
	begin_count one
	works isle checkpoint --leave-running one
	is state running "$(state one)"
	isle exec one -- sh -c 'echo after >/root/file; echo later >/root/later'
	isle stop -k one
	isle restore one
	is file before "$(isle exec one -- cat /root/file)"
	fails 1 isle exec one -- ls /root/later
	now=$(count one)
	further() { [ "$(count one)" -gt "$now" ]; }
	wait_until 10 further
	is files true "$(isle checkpoint --list --json one | jq -r '.[0].files')"
	# Of one that a kill has left without files nobody wakes.
	isle checkpoint -q one
	spent=$(isle checkpoint --list --json one | jq -r '.[] | select(.asleep) | .id')
	cp -a "$ISLE_PATH/guests/one/checkpoints/$spent" "$E2E_ROOT/spent"
	isle start one
	isle stop -k one
	mv "$E2E_ROOT/spent" "$ISLE_PATH/guests/one/checkpoints/$spent"
	works isle restore one
	is file before "$(isle exec one -- cat /root/file)"
	isle checkpoint --delete "$spent" one
	# Back from a sleep too, which is over then: its images would not fit the files any more.
	moment=$(isle checkpoint --list --json one | jq -r '.[0].id')
	isle checkpoint -q one
	isle restore one "$moment"
	is file before "$(isle exec one -- cat /root/file)"
	isle stop -k one
	is state stopped "$(state one)"
	for id in $(isle checkpoint --list --json one | jq -r '.[].id'); do isle checkpoint --delete "$id" one; done
	is checkpoints '' "$(isle checkpoint --list one)"
}

@test "checkpoint: mounts and devices of the host are there again, and one that went is named" {
	mkdir -p "$E2E_ROOT/shared"
	echo shared >"$E2E_ROOT/shared/file"
	make_guest three --set mount.data.source="$E2E_ROOT/shared" --set mount.data.target=/srv/data \
		--set device.log.source=/dev/kmsg --set device.log.target=/dev/host/kmsg --set device.log.access=r
	isle start three
	isle checkpoint -q three
	isle config three unset mount.data
	fails 1 isle start three
	says 'restore the mount /srv/data'
	is state checkpointed "$(state three)"
	isle config three set mount.data.source="$E2E_ROOT/shared" mount.data.target=/srv/data
	isle start three
	is file shared "$(isle exec three -- cat /srv/data/file)"
	is device '1,11' "$(isle exec three -- stat -c '%t,%T' /dev/host/kmsg | sed 's/,b$/,11/')"
	isle checkpoint -q three
	isle start three
	isle destroy --force three
}

# Whether criu finds the kernel to track which pages are written.
tracks_dirty() {
	PATH=/usr/local/lib/isle/criu:$PATH criu check --feature mem_dirty_track
}

@test "checkpoint: --pre-dump copies memory while the guest runs" {
	tracks_dirty || skip 'this kernel does not track which pages are written'
	build_zoo
	bring_zoo one
	is big ready "$(hold one big)"
	begin_count one
	isle exec one -- sh -c 'echo before >/root/file'
	for options in --leave-running --compress ''; do
		# shellcheck disable=SC2086 # none or one
		works isle checkpoint --pre-dump --json $options one
		# Of the 50 MiB the child writes 2 all the time.
		[ "$(jq .beforehand_bytes <<<"$output")" -gt $((40 << 20)) ] || flunk "$output"
		printf '# %s: %s\n' "--pre-dump $options" "$output" >&3
		is 'folders beside the images' '' "$(find "$ISLE_PATH/guests/one/checkpoints" -name 'before-*' -o -name parent)"
		[ "$(state one)" = running ] || isle start one
		counts one
	done
	is big whole "$(holds one big)"
	isle stop -k one
	isle restore one
	is big whole "$(holds one big)"
	is file before "$(isle exec one -- cat /root/file)"
	counts one
	works isle checkpoint --json one
	printf '# without: %s\n' "$output" >&3
	is 'copied beforehand' 0 "$(jq .beforehand_bytes <<<"$output")"
	isle start one
	isle stop -k one
	for id in $(isle checkpoint --list --json one | jq -r '.[].id'); do isle checkpoint --delete "$id" one; done
}

@test "checkpoint: --pre-dump is refused where the kernel does not track written pages" {
	! tracks_dirty || skip 'this kernel tracks which pages are written'
	fails 1 isle checkpoint --pre-dump one
	says 'this kernel does not tell which pages are written since'
	says 'CONFIG_MEM_SOFT_DIRTY'
	is state running "$(state one)"
	fails 2 isle checkpoint --pre-dump --list one
}

@test "checkpoint: start --all wakes who sleeps" {
	begin_count one
	isle checkpoint -q one
	works isle start --all
	is state running "$(state one)"
	counts one
}

# In /proc/PID/status a process's name stands above all that is looked at there.
@test "checkpoint: a process may be called like what isle looks at" {
	for name in Uid: CapBnd:0 State:$'\t'T NSpid:9; do
		isle exec one -- sh -c "(echo -n '$name' >/proc/self/comm; while :; do sleep 1; done) >/dev/null 2>&1 </dev/null &"
		wait_until 10 isle exec one -- sh -c 'grep -qxF "$1" /proc/[0-9]*/comm' sh "$name"
	done
	works isle checkpoint --check one
	works isle checkpoint one
	works isle start one
}

@test "checkpoint: a guest that was not started for it: --check says so too" {
	make_guest two --set guest.checkpoint-ready=no
	isle start two
	for check in --check ''; do
		# shellcheck disable=SC2086 # no word, or one
		fails 1 isle checkpoint $check two
		says 'checkpoint-ready = no'
	done
	isle destroy --force two
}
