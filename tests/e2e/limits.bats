#!/usr/bin/env bats
# Limits: they hold, their figures are true, they change in running guests.
load lib
bats_require_minimum_version 1.5.0

teardown() {
	local names
	names=$(isle list -1)
	# shellcheck disable=SC2086 # names have no blanks
	[ -z "$names" ] || isle destroy --force $names
	[ -z "${loop-}" ] || {
		! [ -d "$BATS_TEST_TMPDIR/disk/isle" ] || isle -P "$BATS_TEST_TMPDIR/disk/isle" destroy -q --force x y || :
		! mountpoint -q "$BATS_TEST_TMPDIR/disk" || umount "$BATS_TEST_TMPDIR/disk"
		losetup -d "$loop"
	}
	[ -z "${slow-}" ] || {
		! mountpoint -q "$E2E_ROOT/slow" || umount "$E2E_ROOT/slow"
		wait "$slow" || :
		rm -f "$E2E_ROOT/slow"
	}
}

teardown_file() {
	end_of_file
}

# LIMIT FIELD of a guest, as isle limit has it: limit a memory .hits
limit() {
	isle limit --json "$1" | jq -r ".limits.$2$3"
}

# Microseconds of CPU that the group PATH has used, by the kernel's own account and without a process between clock and reading, and the
# time of it: sets used and now.
account() {
	local word number file=/sys/fs/cgroup/cpuacct/$1/cpuacct.usage
	now=${EPOCHREALTIME/[.,]/}
	if [ -e "$file" ]; then
		read -r used <"$file"
		used=$((used / 1000))
	else
		while read -r word number; do [ "$word" != usage_usec ] || used=$number; done <"/sys/fs/cgroup/$1/cpu.stat"
	fi
}

# Something that eats processor time, in the background of a guest.
spin() {
	isle exec "$1" -- sh -c '(while :; do :; done) </dev/null >/dev/null 2>&1 &'
}

# Memory that only its owner can give back: NAME MEGABYTES
fill() {
	isle exec "$1" -- sh -c "dd if=/dev/zero of=/dev/shm/fill bs=1M count=$2 2>/dev/null"
}

# What else runs on this machine is no matter of these tests: their guests together come first.
favour() { # [GROUP]
	local file
	for file in /sys/fs/cgroup/{cpu/,}"${1:-isle-$E2E_TAG}"/cpu.{shares,weight}; do
		case $file in
		*shares) [ ! -e "$file" ] || echo 262144 >"$file" ;;
		*weight) [ ! -e "$file" ] || echo 10000 >"$file" ;;
		esac
	done
}

# between LOW HIGH NUMBER
between() {
	awk -v low="$1" -v high="$2" -v number="$3" 'BEGIN { exit !(number >= low && number <= high) }'
}

unified() {
	[ ! -d /sys/fs/cgroup/unified ]
}

@test "limits: a memory hog is stopped at its limit, counted and named" {
	make_guest a --set limits.memory=48M
	isle start a
	run isle exec a -- dd if=/dev/zero of=/dev/null bs=100M count=1
	[ "$status" -ne 0 ]
	is state running "$(state a)"
	is kills 1 "$(isle limit --json a | jq .oom_kills)"
	is 'kills in info' 1 "$(field a .oom_kills)"
	[ "$(limit a memory .hits)" -ge 1 ]
	between 40000000 50331648 "$(limit a memory .peak)" || flunk "peak: $(limit a memory .peak)"
	if [ -r /dev/kmsg ]; then
		wait_until 10 grep -q 'monitor: out of memory: the kernel killed dd (process [0-9]*)' "$ISLE_PATH/guests/a/log/isle"
		is 'last name' dd "$(field a .last_oom.name)"
		works isle info a
		says 'Out of memory:  1, last dd (process '
		works isle limit a
		says 'Killed for want of memory: 1, last dd (process '
	fi
}

@test "limits: many kills are counted exactly and told within bounds" {
	make_guest a --set limits.memory=32M
	isle start a
	isle exec a -- sh -c 'for i in $(seq 30); do dd if=/dev/zero of=/dev/null bs=60M count=1 2>/dev/null; done; true'
	is kills 30 "$(isle limit --json a | jq .oom_kills)"
	# Told: a line each, up to twenty a minute, and the sum of the rest later.
	wait_until 15 grep -q 'out of memory' "$ISLE_PATH/guests/a/log/isle"
	[ "$(grep -c 'out of memory' "$ISLE_PATH/guests/a/log/isle")" -le 21 ]
	is state running "$(state a)"
}

@test "limits: the monitor is protected from want of memory, and nobody in the guest" {
	make_guest a
	isle start a
	if capsh --has-p=cap_sys_resource 2>/dev/null; then
		wait_until 5 grep -qx -- -500 "/proc/$(monitor_pid a)/oom_score_adj"
		isle destroy --force a
		make_guest a
		# A caller that is protected does not hand that on, nor what the guest may go back to.
		(echo -700 >/proc/$BASHPID/oom_score_adj && exec "$ISLE" start a)
	fi
	is init 500 "$(cat "/proc/$(init_pid a)/oom_score_adj")"
	run isle exec a -- sh -c 'echo -100 >/proc/self/oom_score_adj'
	[ "$status" -ne 0 ]
	is entered 500 "$(isle exec a -- cat /proc/self/oom_score_adj)"
}

@test "limits: two spinners share a CPU by their weights" {
	make_guest a b --set limits.cpuset=0 --set limits.cpu-weight=100
	isle config b set limits.cpu-weight=300
	isle start a b
	favour
	group_a=$(field a .cgroup) group_b=$(field b .cgroup)
	spin a
	spin b
	for try in 1 2 3; do
		account "$group_a" && a=$used
		account "$group_b" && b=$used
		read -r -t 4 <> <(:) || :
		account "$group_a" && a=$((used - a))
		account "$group_b" && b=$((used - b))
		ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { print b / a }')
		! between 2.7 3.3 "$ratio" || break
	done
	between 2.7 3.3 "$ratio" || flunk "weights 100 and 300 gave $a and $b us of CPU time: 1:$ratio (try $try)"
	echo "# weights 100 and 300 gave 1:$ratio" >&3
	# Live, the other way round.
	isle limit a cpu-weight=300
	isle limit b cpu-weight=100
	for try in 1 2 3; do
		account "$group_a" && a=$used
		account "$group_b" && b=$used
		read -r -t 4 <> <(:) || :
		account "$group_a" && a=$((used - a))
		account "$group_b" && b=$((used - b))
		ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { print a / b }')
		! between 2.7 3.3 "$ratio" || break
	done
	between 2.7 3.3 "$ratio" || flunk "weights 300 and 100 gave $a and $b us of CPU time: $ratio:1"
}

@test "limits: cpus=0.5 gives half a CPU, and a live change another share" {
	make_guest a --set limits.cpus=0.5
	isle start a
	favour
	spin a
	spin a
	group=$(field a .cgroup)
	# An emulated processor's time and its clock are told apart less well.
	if [ "${ISLE_VM-}" = 1 ]; then most=1.3; else most=1.06; fi
	for share in 0.5 0.25; do
		isle limit a cpus=$share
		# Others may leave less than that for a while, never more.
		for try in 1 2 3 4 5; do
			account "$group"
			from=$now total=$used
			read -r -t 3 <> <(:) || :
			account "$group"
			rate=$(awk -v got=$((used - total)) -v time=$((now - from)) 'BEGIN { print got / time }')
			between 0 "$(awk -v s=$share -v most=$most 'BEGIN { print s * most }')" "$rate" || flunk "cpus=$share gave $rate"
			! between "$(awk -v s=$share 'BEGIN { print s * 0.95 }')" 1 "$rate" || break
		done
		between "$(awk -v s=$share 'BEGIN { print s * 0.95 }')" 1 "$rate" || flunk "cpus=$share gave only $rate (try $try)"
		echo "# cpus=$share gave $rate" >&3
	done
	[ "$(limit a cpus .hits)" -gt 0 ]
	# What isle limit says is what the kernel counts.
	account "$group"
	between "$used" "$((used + 3000000 * E2E_SLOW))" "$(limit a cpus .total)"
}

@test "limits: a fork bomb meets processes" {
	make_guest a --set limits.processes=40
	isle start a
	isle exec a -- sh -c 'i=0; while [ $i -lt 100 ]; do sleep 300 >/dev/null 2>&1 & i=$((i + 1)); done' || :
	between 30 40 "$(limit a processes .use)" || flunk "processes: $(limit a processes .use)"
	[ "$(limit a processes .hits)" -ge 1 ]
	# Lowered below what there are: none dies, and it is said.
	works isle limit a processes=16
	says 'none can begin'
	between 30 40 "$(limit a processes .use)"
	is 'in the kernel' 16 "$(limit a processes .limit)"
	isle limit a processes=100
	isle exec a -- true
}

@test "limits: rates of a disk hold" {
	make_guest a
	truncate -s 64M "$BATS_TEST_TMPDIR/image"
	mkfs.ext4 -q -O ^has_journal "$BATS_TEST_TMPDIR/image"
	mkdir "$BATS_TEST_TMPDIR/disk"
	loop=$(losetup -f --show "$BATS_TEST_TMPDIR/image") || skip 'no loop device is to be had'
	mount "$loop" "$BATS_TEST_TMPDIR/disk"
	chmod 1777 "$BATS_TEST_TMPDIR/disk"
	isle config a set "mount.disk.source=$BATS_TEST_TMPDIR/disk" mount.disk.target=/disk mount.disk.options=create=dir
	isle config a set "limits.io-write=$loop:2M" "limits.io-read=$loop:4M"
	isle start a
	is 'in the kernel' 2097152 "$(limit a io_write ".limit[\"$loop\"]")"
	for line in 'write 2097152 if=/dev/zero of=/disk/file oflag=direct' 'read 4194304 if=/disk/file of=/dev/null iflag=direct'; do
		# shellcheck disable=SC2086 # words
		set -- $line
		from=$(milliseconds)
		isle exec a -- dd "$3" "$4" "$5" bs=256k count=32 2>/dev/null || skip "the guest's dd knows no direct disk access"
		took=$(($(milliseconds) - from))
		rate=$((8388608 * 1000 / took))
		# The kernel lets a first slice pass; the machine may be slower, never faster.
		between 0 $(($2 * 12 / 10)) "$rate" || flunk "$1: $rate bytes a second where $2 is the most"
		between $(($2 * 7 / 10 / E2E_SLOW)) $(($2 * 12 / 10)) "$rate" || flunk "$1: only $rate bytes a second of $2"
		echo "# $1 at $2 bytes a second: $rate" >&3
	done
	between 8388608 10000000 "$(limit a io_write .total)" || flunk "counted: $(limit a io_write .total)"
	# Lifted at once.
	isle limit a io-write=
	is lifted null "$(limit a io_write .limit)"
	from=$(milliseconds)
	isle exec a -- dd if=/dev/zero of=/disk/file oflag=direct bs=256k count=32 2>/dev/null
	took=$(($(milliseconds) - from))
	[ "$took" -lt $((2500 * E2E_SLOW)) ] || flunk "8 MiB without a limit took $took ms"
	isle limit a "io-write-ops=$loop:10"
	from=$(milliseconds)
	isle exec a -- dd if=/dev/zero of=/disk/file oflag=direct bs=4k count=30 2>/dev/null
	took=$(($(milliseconds) - from))
	[ "$took" -ge 2000 ] || flunk "30 writes at 10 a second took $took ms"
	isle stop --kill a
}

@test "limits: the disk of the guest's root is the one without a name" {
	make_guest a
	run isle config a set limits.io-read=10M limits.io-write-ops=100
	isle start a || { says 'is on none' && skip 'the guests are on no disk'; }
	is read 10485760 "$(limit a io_read '.limit | to_entries[0].value')"
	is writes 100 "$(limit a io_write_ops '.limit | to_entries[0].value')"
	isle limit a --next io-read=5M io-write=6M
	works isle limit a
	says '5M from the next start on'
	says '6M from the next start on'
	isle limit a io-read=5M io-write=
	works isle limit a
	says_not 'next start'
	[ -b "$(limit a io_read '.limit | to_entries[0].key')" ]
	isle stop --kill a
	# A partition, a file that is no device, a device that is not there: refused before anything runs.
	for device in /dev/null /dev/nowhere; do
		isle config a set "limits.io-read=$device:1M"
		run isle start a
		[ "$status" -ne 0 ]
		says "$device"
		is state stopped "$(state a)"
	done
	isle destroy a
	assert_nothing_left
}

@test "limits: memory is raised and lowered under load" {
	make_guest a --set limits.memory=64M --set limits.swap=0
	isle start a
	fill a 40
	use=$(limit a memory .use)
	between 41943040 60000000 "$use" || flunk "40 MiB filled, figure: $use"
	cp "$ISLE_PATH/guests/a/config" "$BATS_TEST_TMPDIR/before"
	fails 4 isle limit a memory=24M
	says 'cannot give up enough'
	is unchanged 67108864 "$(limit a memory .limit)"
	cmp "$BATS_TEST_TMPDIR/before" "$ISLE_PATH/guests/a/config"
	is kills 0 "$(isle limit --json a | jq .oom_kills)"
	isle limit a memory=160M
	fill a 100
	between 104857600 125829120 "$(limit a memory .use)"
	isle exec a -- rm /dev/shm/fill
	isle exec a -- dd if=/dev/zero of=/cache bs=1M count=64 2>/dev/null
	isle exec a -- sync # what a slow disk has still to take cannot be given up
	works isle limit a memory=32M
	between 0 33554432 "$(limit a memory .use)" || flunk "use: $(limit a memory .use)"
	is kills 0 "$(isle limit --json a | jq .oom_kills)"
	isle exec a -- true
}

@test "limits: several at once are all or none" {
	make_guest a --set limits.memory=64M --set limits.cpus=2 --set limits.processes=100
	isle start a
	cp "$ISLE_PATH/guests/a/config" "$BATS_TEST_TMPDIR/before"
	run isle config a set limits.memory=128M limits.cpus=1 limits.processes=200 limits.cpuset=4000
	[ "$status" -ne 0 ]
	says cpuset
	is memory 67108864 "$(limit a memory .limit)"
	is cpus 2 "$(limit a cpus .limit)"
	is processes 100 "$(limit a processes .limit)"
	is cpuset null "$(limit a cpuset .limit)"
	cmp "$BATS_TEST_TMPDIR/before" "$ISLE_PATH/guests/a/config"
}

@test "limits: for now, for later, lifted" {
	make_guest a --set limits.memory=64M --set limits.swap=0 --set limits.cpus=1 --set limits.processes=100 --set limits.cpuset=0
	isle start a
	isle config a --runtime set limits.memory=96M
	is now 100663296 "$(limit a memory .limit)"
	is config 64M "$(isle config a get limits.memory)"
	isle config a --next set limits.processes=50
	is now 100 "$(limit a processes .limit)"
	is config 50 "$(isle config a get limits.processes)"
	# What is named is set even when the file has it already.
	isle config a set limits.memory=64M
	is back 67108864 "$(limit a memory .limit)"
	isle config a unset limits.memory limits.swap limits.cpus limits.cpuset
	[ "$(limit a memory .limit)" -gt 67108864 ] || flunk 'memory is not lifted'
	for key in swap cpus; do is "$key" null "$(limit a $key .limit)"; done
	isnt cpuset 0 "$(isle exec a -- sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"
	fails 2 isle config a --runtime set limits.open-files=1000
	says 'at a start'
	fails 2 isle config a --runtime --next set limits.cpus=1
	fails 2 isle limit a mem=1G
	says "did you mean 'limits.memory'"
	fails 2 isle limit a memory
	says 'isle limit NAME memory=512M'
	isle stop --kill a
	fails 4 isle config a --runtime set limits.cpus=1
	isle start a
	is 'processes at the next start' 50 "$(limit a processes .limit)"
	# What holds and what the config asks for are told apart.
	works isle limit a
	says_not 'next start'
	isle limit a --runtime cpus=0.5 processes=60
	# With lxcfs it is on one CPU now, by cpus=0.5.
	cpu=0
	[ "$(limit a cpuset .limit)" != 0 ] || cpu=1
	isle limit a --next memory=80M cpuset=$cpu
	works isle limit a
	says '80M from the next start on'
	says '50 from the next start on'
	says 'unlimited from the next start on'
	[[ $output =~ cpuset\ .*\ $cpu\ from\ the\ next\ start\ on ]] || flunk "$output"
	works isle info a
	says ', 80M from the next start on'
	says '0.5, unlimited from the next start on'
	says '60, 50 from the next start on'
	isle limit --reload a
	works isle limit a
	says_not 'next start'
	works isle info a
	says_not 'next start'
	says 'Memory limit:   80M'
}

@test "limits: they are the same after a reboot from inside" {
	make_guest a --set limits.memory=64M --set limits.cpus=0.5 --set limits.processes=60 --set limits.cpuset=auto:1
	isle start a
	cpus=$(limit a cpuset .limit)
	isle limit a memory=80M
	isle exec a -- reboot
	restarted() { [ "$(field a .starts)" = 2 ] && [ "$(state a)" = running ]; }
	wait_until 30 restarted
	is memory 83886080 "$(limit a memory .limit)"
	is cpus 0.5 "$(limit a cpus .limit)"
	is processes 60 "$(limit a processes .limit)"
	is cpuset "$cpus" "$(limit a cpuset .limit)"
}

@test "limits: cpuset=auto spreads guests over the CPUs" {
	[ "$(nproc)" -ge 2 ] || skip 'one CPU'
	make_guest a b c --set limits.cpuset=auto:1
	isle start a
	isle start b
	isnt 'CPU of b' "$(limit a cpuset .limit)" "$(limit b cpuset .limit)"
	is 'what the guest may use' "$(limit b cpuset .limit)" "$(isle exec b -- sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"
	first=$(limit a cpuset .limit)
	isle stop --kill a
	isle start c
	[ "$(nproc)" -gt 2 ] || is 'CPU of c' "$first" "$(limit c cpuset .limit)"
	isle limit c cpuset=auto:2
	is 'two CPUs' 2 "$(isle exec c -- nproc)"
	isle config a set limits.cpuset=auto:8000
	run isle start a
	[ "$status" -ne 0 ]
	says 'the host has'
}

@test "limits: guests that are busy on one CPU are parted, others stay" {
	[ "$(nproc)" -ge 2 ] || skip 'one CPU'
	# Not all of a CPU, on which isle itself has to run too.
	make_guest a b c d --set limits.cpuset=0 --set limits.cpus=0.4
	isle start a b c d
	favour
	# What isle has chosen is what it may choose anew, and auto:1 keeps the one that it has.
	for name in a b d; do isle limit $name cpuset=auto:1; done
	for name in a b d; do is "CPU of $name" 0 "$(limit $name cpuset .limit)"; done
	works isle limit --balance
	is 'nobody is busy' '' "$output"
	spin a
	spin b
	for try in 1 2 3 4 5; do
		works isle limit --balance --json
		[ "$(jq length <<<"$output")" -eq 0 ] || break
	done
	is moves 1 "$(jq length <<<"$output")"
	name=$(jq -r '.[0].name' <<<"$output")
	[[ $name == [ab] ]] || flunk "$output"
	is from 0 "$(jq -r '.[0].before' <<<"$output")"
	isnt to 0 "$(jq -r '.[0].cpuset' <<<"$output")"
	is 'in the kernel' "$(jq -r '.[0].cpuset' <<<"$output")" "$(isle exec "$name" -- sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"
	works isle limit --balance
	is 'and that is all' '' "$output"
	for name in c d; do is "CPU of $name" 0 "$(limit $name cpuset .limit)"; done
	fails 2 isle limit --balance a
}

@test "limits: two that choose CPUs at once choose different ones" {
	[ "$(nproc)" -ge 2 ] || skip 'one CPU'
	make_guest a b --set limits.cpuset=auto:1
	isle start a b
	isnt 'CPU of b' "$(limit a cpuset .limit)" "$(limit b cpuset .limit)"
}

@test "limits: what this kernel cannot hold is refused before the start" {
	make_guest a
	isle config a set limits.hugepages=1P
	if [ "$(cat /sys/kernel/mm/hugepages/*/nr_hugepages | sort -n | tail -1)" = 0 ]; then
		run isle start a
		[ "$status" -ne 0 ]
		says 'this host has none'
		says nr_hugepages
	fi
	isle config a unset limits.hugepages
	if ! unified; then
		for key in memory-guarantee memory-high; do
			isle config a set "limits.$key=32M"
			run isle start a
			[ "$status" -ne 0 ]
			says "limits.$key"
			says 'cgroup v1'
			isle config a unset "limits.$key"
		done
	fi
	is state stopped "$(state a)"
	nothing_left a
	isle start a
}

@test "limits: memory-high and memory-guarantee on cgroup v2" {
	unified || skip 'the memory controller is on cgroup v1'
	make_guest a b --set limits.memory-guarantee=24M --set limits.memory-high=32M
	isle start a b
	is high 33554432 "$(limit a memory_high .limit)"
	is guarantee 25165824 "$(limit a memory_guarantee .limit)"
	# The groups above are guaranteed as much as all of theirs together.
	top=/sys/fs/cgroup/$(field a .cgroup | cut -d/ -f1)
	low() { [ "$(cat "$top/memory.low")" = "$1" ]; }
	wait_until 5 low 50331648
	isle limit a memory-guarantee=8M
	wait_until 5 low 33554432
	isle stop --kill b
	wait_until 5 low 8388608
	# Beyond memory-high it is slowed down and gives up its caches, and nothing dies.
	isle exec a -- dd if=/dev/zero of=/cache bs=1M count=64 2>/dev/null
	between 0 36000000 "$(limit a memory .use)" || flunk "use: $(limit a memory .use)"
	[ "$(limit a memory_high .hits)" -ge 1 ]
	is kills 0 "$(isle limit --json a | jq .oom_kills)"
	isle limit a memory-high= memory-guarantee=
	is high null "$(limit a memory_high .limit)"
	wait_until 5 low 0
}

@test "limits: io-weight, where the disk is scheduled by one that weighs" {
	local disk scheduler=
	make_guest a --set limits.io-weight=300
	disk=/sys/block/$(basename "$(findmnt -nvo SOURCE -T "$ISLE_PATH")")/queue/scheduler
	# Only a machine of the tests' own is told how to schedule its disks.
	if [ "${ISLE_VM-}" = 1 ] && [ -e "$disk" ] && modprobe bfq && echo bfq >"$disk"; then scheduler=bfq; fi
	run isle start a
	[ -z "$scheduler" ] || [ "$status" -eq 0 ] || flunk "$output"
	if [ "$status" -eq 0 ]; then
		isnt weight null "$(limit a io_weight .limit)"
		for weight in 50 300; do
			isle limit a io-weight=$weight
			is weight "$weight" "$(limit a io_weight .limit)"
		done
		isle limit a io-weight=
		is weight 100 "$(limit a io_weight .limit)"
	else
		says 'limits.io-weight'
		says bfq
		is state stopped "$(state a)"
	fi
}

# Bytes that the guest x or y of the instance on the loop device has written so far.
written() {
	isle -P "$BATS_TEST_TMPDIR/disk/isle" limit --json "$1" | jq .limits.io_write.total
}

@test "limits: two guests share a disk by their weights" {
	# A disk of memory that takes 32 MiB a second: a real one may be quicker than guests, which then have nothing to share.
	mkdir "$BATS_TEST_TMPDIR/disk"
	: >"$E2E_ROOT/slow"
	nbdfuse "$E2E_ROOT/slow" --command nbdkit -s --exit-with-parent --filter=rate memory 400M rate=256M burstiness=0.1 \
		</dev/null >"$BATS_TEST_TMPDIR/slow.log" 2>&1 3>&- &
	slow=$!
	wait_until 10 mountpoint -q "$E2E_ROOT/slow" || flunk "$(cat "$BATS_TEST_TMPDIR/slow.log")"
	mkfs.ext4 -q -O ^has_journal "$E2E_ROOT/slow"
	loop=$(losetup --direct-io=on -f --show "$E2E_ROOT/slow") || skip 'no loop device is to be had'
	{ [ "${ISLE_VM-}" != 1 ] || modprobe bfq; } && echo bfq >"/sys/block/${loop#/dev/}/queue/scheduler" || skip 'this kernel has no BFQ'
	mount "$loop" "$BATS_TEST_TMPDIR/disk"
	mkdir -m 0700 "$BATS_TEST_TMPDIR/disk/isle"
	there() { isle -P "$BATS_TEST_TMPDIR/disk/isle" "$@"; }
	there create -q -t busybox x y --set limits.io-weight=100
	there config y set limits.io-weight=300
	there start x y
	is weight 300 "$(there limit --json y | jq .limits.io_weight.limit)"
	favour "$(dirname "$(there info --json x | jq -r .cgroup)")"
	for name in x y; do
		there exec "$name" -- dd if=/dev/zero of=/root/file1 oflag=direct bs=64k count=1 2>/dev/null || skip "the guest's dd knows no direct disk access"
		# Nobody has limited this disk before: the kernel counts what goes to it all the same.
		[ "$(written "$name")" -ge 65536 ]
		# shellcheck disable=SC2016 # for the shell inside
		there exec "$name" -- sh -c 'for i in 1 2 3 4; do
			(while dd if=/dev/zero of=/root/file$i bs=1M count=16 oflag=direct 2>/dev/null; do :; done) </dev/null >/dev/null 2>&1 &
		done'
	done
	# A guest whose writers the machine does not let run leaves its share to the other for a while.
	for try in 1 2 3 4 5 6 7 8; do
		x=$(written x) y=$(written y)
		read -r -t 3 <> <(:) || :
		x=$(($(written x) - x)) y=$(($(written y) - y))
		ratio=$(awk -v x="$x" -v y="$y" 'BEGIN { print x ? y / x : 0 }')
		! between 1.9 4.3 "$ratio" || break
	done
	between 1.9 4.3 "$ratio" || flunk "weights 100 and 300 wrote $x and $y bytes: 1:$ratio (try $try)"
	echo "# weights 100 and 300 wrote 1:$ratio (try $try)" >&3
}

@test "limits: huge pages, where the host has any" {
	pool=$(cat /sys/kernel/mm/hugepages/*/nr_hugepages | sort -n | tail -1)
	if [ "${ISLE_VM-}" = 1 ]; then echo 16 >/proc/sys/vm/nr_hugepages && pool=16; fi
	[ "$pool" -gt 0 ] || skip 'this host has no huge pages'
	make_guest a --set limits.hugepages=8M
	isle start a
	is limit 8388608 "$(limit a hugepages .limit)"
	is use 0 "$(limit a hugepages .use)"
	isle limit a hugepages=0
	is limit 0 "$(limit a hugepages .limit)"
	isle limit a hugepages=
	is limit null "$(limit a hugepages .limit)"
	[ "${ISLE_VM-}" != 1 ] || echo 0 >/proc/sys/vm/nr_hugepages
}

@test "limits: resource limits of processes" {
	make_guest a --set limits.open-files=2000 --set limits.locked-memory=1M --set limits.file-size=1M --set limits.pending-signals=500 \
		--set limits.message-queues=100000
	isle start a
	for pid in 1 self; do
		isle exec a -- cat "/proc/$pid/limits" >"$BATS_TEST_TMPDIR/limits"
		grep -q 'Max open files *[0-9]* *2000 ' "$BATS_TEST_TMPDIR/limits"
		grep -q 'Max locked memory *1048576 *1048576 ' "$BATS_TEST_TMPDIR/limits"
		grep -q 'Max file size *1048576 *1048576 ' "$BATS_TEST_TMPDIR/limits"
		grep -q 'Max pending signals *500 *500 ' "$BATS_TEST_TMPDIR/limits"
		grep -q 'Max msgqueue size *100000 *100000 ' "$BATS_TEST_TMPDIR/limits"
	done
	run isle exec a -- dd if=/dev/zero of=/big bs=1M count=2
	[ "$status" -ne 0 ]
	run isle exec a -- sh -c 'ulimit -H -n 4000'
	[ "$status" -ne 0 ]
}

@test "limit: of what only a start sets, it shows what holds and what waits" {
	make_guest a --set limits.open-files=2000 --set limits.terminals=64
	isle start a
	is 'open files' 2000 "$(limit a open_files .limit)"
	is signals "$(sed -n 's/^Max pending signals *[^ ]* *\([0-9]*\) .*/\1/p' "/proc/$(init_pid a)/limits")" "$(limit a pending_signals .limit)"
	is 'file size' null "$(limit a file_size .limit)"
	isle limit a open-files=1500 terminals=32 namespaces=100 file-size=1G
	for held in 'open_files 2000 1500' 'terminals 64 32' 'namespaces 1024 100' 'file_size null 1073741824'; do
		# shellcheck disable=SC2086 # words
		set -- $held
		is "$1 now" "$2" "$(limit a "$1" .limit)"
		is "$1 in the config" "$3" "$(limit a "$1" .config)"
	done
	works isle limit a
	for line in '1500 from the next start on' '32 from the next start on' '100 from the next start on' '1G from the next start on'; do
		says "$line"
	done
	isle restart --kill a
	is 'open files' 1500 "$(limit a open_files .limit)"
	is terminals 32 "$(limit a terminals .limit)"
	is namespaces 100 "$(limit a namespaces .limit)"
	works isle limit a
	says_not 'next start'
	# What is given up waits as well.
	isle limit a open-files= file-size=
	works isle limit a
	says 'unlimited from the next start on'
	[[ $output =~ open-files\ +1500\ .*\ [0-9]+\ from\ the\ next\ start\ on ]] || flunk "$output"
}

@test "limit: several guests at once, and all" {
	make_guest a b c --set limits.processes=100
	isle start a b
	isle limit a b processes=200 limits.cpus=0.5
	for name in a b; do
		is "processes of $name" 200 "$(limit $name processes .limit)"
		is "cpus of $name" 0.5 "$(limit $name cpus .config)"
	done
	is 'processes of c' 100 "$(limit c processes .limit)"
	isle limit --all processes=300
	for name in a b c; do is "processes of $name" 300 "$(limit $name processes .config)"; done
	is running 300 "$(limit a processes .limit)"
	# One that is not there: nothing is begun.
	fails 3 isle limit a nobody b processes=400
	is 'processes of a' 300 "$(limit a processes .limit)"
	fails 2 isle limit a cpus=1 b
	says "'b' is not KEY=VALUE"
	fails 2 isle limit processes=400
	says "a guest's name is needed"
	fails 2 isle limit --all
	says '--all needs LIMIT=VALUE'
	fails 2 isle limit --reload --all a
	fails 2 isle limit a memory=max
	says 'nor the word unlimited'
	fails 2 isle limit a disk=10G
	says_not 'did you mean'
}

@test "limit: shows a stopped guest's config, and refuses nonsense" {
	make_guest a --set limits.memory=64M
	is limit 67108864 "$(limit a memory .limit)"
	is use null "$(limit a memory .use)"
	works isle limit a
	says 64M
	fails 2 isle limit a memroy=1G
	says "'limits.memory'"
	fails 2 isle limit a memory
	fails 2 isle limit
	fails 3 isle limit nobody
	isle limit a memory=
	is config '' "$(isle config a get limits.memory)"
}

# The limits that a guest has and those that its config asks for, a line each: NAME
held_and_wanted() {
	isle limit --json "$1" | jq -r '.limits | [.memory, .processes, .cpus] | (map(.limit), map(.config)) | map(tostring) | join(" ")'
}

@test "limits: a change that was killed halfway is none, or a whole one" {
	local small='limits.memory=64M limits.processes=100 limits.cpus=0.5' large='limits.memory=96M limits.processes=200 limits.cpus=1.5'
	make_guest a --set limits.memory=64M --set limits.processes=100 --set limits.cpus=0.5
	isle start a
	for ((try = 1; try <= 24; try++)); do
		# shellcheck disable=SC2086 # words
		if [ $((try % 2)) -eq 0 ]; then set -- $small; else set -- $large; fi
		"$ISLE" config a set "$@" 3>&- &
		changing=$!
		read -r -t "0.00$((try % 9))" <> <(:) || :
		kill -KILL "$changing" 2>/dev/null || :
		wait "$changing" || :
		isle config a set guest.description="try $try"
		held_and_wanted a >"$BATS_TEST_TMPDIR/now"
		is "try $try" 1 "$(uniq "$BATS_TEST_TMPDIR/now" | wc -l)"
	done
}

@test "limits: what a killed change left is found by the next command" {
	make_guest a --set limits.processes=100 --set limits.memory=64M
	isle start a
	isle limit a --runtime processes=50
	isle limit a memory=65M
	is 'in the running guest' 50 "$(limit a processes .limit)"
	# The record is as a killed command leaves it.
	sed -i 's/^changing=0/changing=1/' "$ISLE_PATH/run/a/record"
	isle limit a memory=66M
	is brought-back 100 "$(limit a processes .limit)"
	grep -q '^changing=0' "$ISLE_PATH/run/a/record"
}
