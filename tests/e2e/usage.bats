#!/usr/bin/env bats
# What guests have used: it adds up over restarts, and crashes take nothing of what was put down.
load lib
bats_require_minimum_version 1.5.0

teardown() {
	local names
	[ -z "${walker-}" ] || kill -KILL "$walker" "${counter:-$walker}" 2>/dev/null || :
	names=$(isle list -1)
	# shellcheck disable=SC2086 # names have no blanks
	[ -z "$names" ] || isle destroy --force $names
}

teardown_file() {
	end_of_file
}

# FIELD of a guest's usage: NAME FIELD OPTION...
usage() {
	local name=$1 field=$2
	shift 2
	isle usage --json "$name" "$@" | jq -r ".[0].$field | if type == \"number\" then . + 0 else . end"
}

# Burns processor time in a guest: NAME HUNDREDTHS-OF-A-SECOND
burn() {
	# shellcheck disable=SC2016 # for the shell inside
	isle exec "$1" -- sh -c 'while read -r line </proc/self/stat && set -- $line && [ $((${14} + ${15})) -lt '"$2"' ]; do
		i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done; done'
}

# at_least WHAT NUMBER GOT, numbers with fractions
at_least() {
	awk -v a="$2" -v b="$3" 'BEGIN { exit !(b >= a) }' || flunk "$1: expected $2 at least, got $3"
}

at_most() {
	awk -v a="$2" -v b="$3" 'BEGIN { exit !(b <= a) }' || flunk "$1: expected $2 at most, got $3"
}

rebooted() {
	[ "$(field "$1" .starts)" = 2 ] && [ "$(state "$1")" = running ]
}

ended() {
	[ "$(state "$1")" = stopped ]
}

@test "usage: processor time, memory and starts add up over stops, kills and reboots" {
	make_guest a
	isle start a
	burn a 50
	now=$(usage a cpu_seconds)
	at_least running 0.5 "$now"
	isle stop a
	first=$(usage a cpu_seconds)
	at_least stopped "$now" "$first"
	at_most stopped 3 "$first"
	is starts 1 "$(usage a starts)"
	isle start a
	at_least 'after the start' "$first" "$(usage a cpu_seconds)"
	burn a 50
	isle stop --kill a
	second=$(usage a cpu_seconds)
	at_least second "$(awk "BEGIN { print $first + 0.5 }")" "$second"
	isle start a
	isle exec a -- reboot || :
	wait_until 20 rebooted a
	is starts 4 "$(usage a starts)"
	isle stop a
	is starts 4 "$(usage a starts)"
	memory=$(usage a memory_byte_seconds)
	at_least memory 100000 "$memory"
	is 'a stopped guest uses nothing' "$memory" "$(usage a memory_byte_seconds)"
	at_least ran 2 "$(usage a running_seconds)"
}

@test "usage: what a guest does while it is stopped is its own too" {
	make_guest a
	isle start a
	# shellcheck disable=SC2016 # for the shell inside
	isle exec a -- sh -c 'mkdir /etc/rc.stop && printf "%s\n" "#!/bin/sh" \
		"while read -r line </proc/self/stat && set -- \$line && [ \$((\${14} + \${15})) -lt 100 ]; do" \
		"i=0; while [ \$i -lt 2000 ]; do i=\$((i + 1)); done; done" >/etc/rc.stop/last && chmod 755 /etc/rc.stop/last'
	before=$(usage a cpu_seconds)
	isle stop a
	at_least 'after a second of work' "$(awk "BEGIN { print $before + 1 }")" "$(usage a cpu_seconds)"
}

@test "usage: memory times time is what was kept for how long" {
	make_guest a
	isle start a
	isle exec a -- mount -t tmpfs none /mnt
	isle exec a -- dd if=/dev/zero of=/mnt/fill bs=1M count=40 2>/dev/null
	isle usage --record a
	begin=$(usage a memory_byte_seconds) begun=$(milliseconds)
	# Time must pass: it is what is measured.
	read -r -t 2 <> <(:) || :
	isle usage --record a
	spent=$(($(milliseconds) - begun))
	used=$(awk "BEGIN { print $(usage a memory_byte_seconds) - $begin }")
	at_least memory "$(awk "BEGIN { print 40 * 1048576 * ($spent / 1000 - 0.7) }")" "$used"
	at_most memory "$(awk "BEGIN { print 60 * 1048576 * ($spent / 1000 + 0.7) }")" "$used"
}

@test "usage: bytes of the network, also those of the last moment before a stop" {
	make_guest a
	isle start a
	gateway=$(isle exec a -- ip route | awk '/^default/ { print $3 }')
	isle exec a -- ping -q -c 10 -i 0.1 -s 1000 "$gateway" >/dev/null
	shown=$(isle info --json a | jq '.links[0].tx_bytes')
	sent=$(usage a network_sent_bytes)
	at_least sent 10000 "$sent"
	at_least received 10000 "$(usage a network_received_bytes)"
	# As isle info has it: the guest may say something on its own in between.
	at_least 'before and after' "$shown" "$sent"
	at_most 'before and after' "$(isle info --json a | jq '.links[0].tx_bytes')" "$sent"
	isle stop a
	at_least 'after the stop' "$sent" "$(usage a network_sent_bytes)"
	isle start a
	at_least 'after the start' "$sent" "$(usage a network_sent_bytes)"
	isle exec a -- ping -q -c 10 -i 0.1 -s 1000 "$gateway" >/dev/null
	# It ends by itself: nobody asked before.
	isle exec a -- poweroff
	wait_until 20 ended a
	at_least sum "$((sent + 10000))" "$(usage a network_sent_bytes)"
}

@test "usage: disk is counted, and a rename keeps all" {
	make_guest a
	isle start a
	isle exec a -- dd if=/dev/urandom of=/root/data bs=1M count=5 2>/dev/null
	is 'not counted yet' null "$(usage a disk_bytes)"
	isle usage --record
	at_least disk 5000000 "$(usage a disk_bytes)"
	isle stop a
	before=$(usage a cpu_seconds)
	isle rename a b
	is cpu "$before" "$(usage b cpu_seconds)"
	at_least disk 5000000 "$(usage b disk_byte_seconds | awk '{ print $1 + 5000000 }')"
	isle destroy b
	fails 3 isle usage b
}

@test "usage: a file that a loss of power left empty is made good by the history" {
	make_guest a
	isle start a
	burn a 20
	isle stop --kill a
	before=$(usage a cpu_seconds)
	at_least before 0.2 "$before"
	sent=$(usage a network_sent_bytes)
	wait_until 5 synced
	for text in '' 'boot_id=x
cpu_usec=9'; do
		printf '%s' "$text" >"$ISLE_PATH/guests/a/usage"
		is after "$before" "$(usage a cpu_seconds)"
		is starts 1 "$(usage a starts)"
		is sent "$sent" "$(usage a network_sent_bytes)"
	done
	isle start a
	at_least more "$before" "$(usage a cpu_seconds)"
	isle stop --kill a
	at_least more "$before" "$(usage a cpu_seconds)"
}

# Whoever has the file open that COMMAND locks: PID FILE
has_open() {
	[[ $(readlink "/proc/$1"/fd/* 2>/dev/null) == *"$2"* ]]
}

@test "usage: a run that ends while it is put down is counted once" {
	[ -x /usr/bin/python3 ] || skip 'python3 is not installed'
	make_guest a
	isle start a
	isle usage --record a
	burn a 60
	known=$(isle info --json a | jq '.cpu_usec / 1e6')
	mkfifo "$BATS_TEST_TMPDIR/go"
	exec 7<>"$BATS_TEST_TMPDIR/go"
	# Somebody else puts it down, so that this one waits; and waits on, with what it knows of the first run, while there is a second.
	/usr/bin/python3 -c '
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
print("held", flush=True)
sys.stdin.readline()
' "$ISLE_PATH/guests/a/usage.lock" <"$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/held" 3>&- 7>&- &
	wait_until 5 grep -qs held "$BATS_TEST_TMPDIR/held"
	"$ISLE" usage --record a 3>&- 7>&- &
	late=$!
	wait_until 5 has_open "$late" guests/a
	kill -STOP "$late"
	echo enough >&7
	exec 7>&-
	isle restart --kill a
	burn a 30
	kill -CONT "$late"
	wait "$late"
	is starts 2 "$(usage a starts)"
	second=$(isle info --json a | jq '.cpu_usec / 1e6')
	first=$(awk -v second="$second" -v all="$(usage a cpu_seconds)" 'BEGIN { print all - second }')
	# What is not of the second run is of the first: counted twice it were twice as much.
	at_least 'of the first run' "$known" "$first"
	at_most 'of the first run' "$(awk "BEGIN { print $known * 1.5 }")" "$first"
}

# Whoever counts the guest's files for that process, a child of its, has some of them open: sets counter. PID
walks() {
	counter=$(pgrep -P "$1")
	[ -n "$counter" ] && { has_open "$counter" /rootfs/ || has_open "$counter" /upper; }
}

# Guest a runs, and a --record of it, walker, stands still while its child, counter, counts a's files: its tenth look into a folder is
# made to last until it was caught at it.
caught_counting() {
	needs strace
	make_guest a
	isle start a
	(cd "$ISLE_PATH/guests/a/upper" 2>/dev/null || cd "$ISLE_PATH/guests/a/rootfs" && seq 30 | sed 's,^,many/,' | xargs mkdir -p)
	strace -D -f -o /dev/null -e trace=getdents64 -e inject=getdents64:delay_exit=5000000:when=10 "$ISLE" usage --record a 3>&- &
	walker=$!
	wait_until 4 walks "$walker"
	kill -STOP "$counter"
	walks "$walker" || flunk 'the count was over before it was held up'
}

@test "usage: a guest that gets the name of one whose files are being counted is not that one" {
	caught_counting
	isle stop --kill a
	isle rename a b
	make_guest a
	isle start a
	burn a 30
	before=$(usage b cpu_seconds)
	kill -CONT "$counter"
	wait "$walker" || :
	is starts 1 "$(usage b starts)"
	is "the first one's" "$before" "$(usage b cpu_seconds)"
	is "the second one's" 1 "$(usage a starts)"
}

@test "usage: a long count of files holds up no stop" {
	caught_counting
	isle stop --kill a
	run isle log a
	says_not 'could not put down'
	stopped=$(usage a cpu_seconds)
	kill -CONT "$counter"
	wait "$walker"
	is 'as the stop had it' "$stopped" "$(usage a cpu_seconds)"
	isnt counted null "$(usage a disk_bytes)"
}

@test "usage: an interface that the guest takes away takes no other's bytes along, and none twice" {
	make_guest a --set network.eth1.link=isle0
	isle start a
	gateway=$(isle exec a -- ip route | awk '/^default/ { print $3 }')
	isle exec a -- ping -q -c 10 -i 0.1 -s 1000 "$gateway" >/dev/null
	isle usage --record a
	sent=$(usage a network_sent_bytes)
	at_least sent 10000 "$sent"
	isle exec a -- ip link del eth1 || skip "the guest's ip cannot delete an interface"
	isle usage --record a
	at_least after "$sent" "$(usage a network_sent_bytes)"
	at_most after $((sent + 5000)) "$(usage a network_sent_bytes)"
	isle stop --kill a
	at_most stopped $((sent + 5000)) "$(usage a network_sent_bytes)"
}

# Nobody is left who waits for the disk.
synced() {
	! pgrep -x isle >/dev/null
}

@test "usage: spans, and a clock that was wrong for a while" {
	make_guest a
	now=$(date +%s)
	# Notes of a day and an hour ago, and one of a future that the clock came back from.
	cat >"$ISLE_PATH/guests/a/usage.history" <<-END
		$((now - 86400)) 10000000 1000 0 500 700 60000
		$((now - 3600)) 20000000 2000 0 600 900 70000
		$((now + 86400)) 30000000 3000 0 700 1000 80000
		17000 12
	END
	printf '1795184400 99' >>"$ISLE_PATH/guests/a/usage.history"
	sed "s/X/$now/" >"$ISLE_PATH/guests/a/usage" <<-'END'
		boot_id=none
		cpu_usec=30000000
		rx_bytes=700
		tx_bytes=1000
		memory_byte_seconds=3000
		running_ms=80000
		at=X
		end
	END
	is all 30 "$(usage a cpu_seconds)"
	is 'the last two hours' 20 "$(usage a cpu_seconds --since 2h | cut -d. -f1 | sed 's/1[89]\|20\|10/20/')"
	is 'since a moment' 20 "$(usage a cpu_seconds --since "@$((now - 86400))")"
	is 'until a moment' 20 "$(usage a cpu_seconds --until "@$((now - 3600))")"
	is between 10 "$(usage a cpu_seconds --since "@$((now - 86400))" --until "@$((now - 3600))")"
	is received 100 "$(usage a network_received_bytes --since "@$((now - 86400))" --until "@$((now - 3600))")"
	is 'half of it' 5 "$(usage a cpu_seconds --since "@$((now - 86400))" --until "@$((now - 45000))" | cut -d. -f1)"
	isle usage --record a
	# The note from the future is one of now, and the torn one is gone.
	awk -v now="$now" '$1 > now + 100 { exit 1 } END { exit NR < 3 }' "$ISLE_PATH/guests/a/usage.history" ||
		flunk "$(cat "$ISLE_PATH/guests/a/usage.history")"
	is all 30 "$(usage a cpu_seconds)"
	fails 2 isle usage a --since yesterdayish
	fails 2 isle usage a --since 2026-02-30
	fails 2 isle usage a --since 1h --until 2h
	says '--until is before --since'
	fails 2 isle usage a --since "@$((now + 86400))"
	says '--since is in the future'
	works isle usage
	says 'CPU SECONDS'
	says 'a '
}

@test "usage: a guest that is not there is named, and keeps nobody's figures back" {
	make_guest a a-guest-whose-name-is-longer-than-others
	fails 3 isle usage nobody a
	says "cannot show the usage of guest 'nobody'"
	says 'a  '
	fails 3 isle usage --record a nobody
	says "cannot show the usage of guest 'nobody'"
	[ -e "$ISLE_PATH/guests/a/usage" ]
	# Columns stand below their titles.
	isle usage | sed 's/CPU SECONDS/CPU_SECONDS/' | awk '{ match($0, /^[^ ]+ +[^ ]+/); print RLENGTH }' | sort -u >"$BATS_TEST_TMPDIR/ends"
	is ends 1 "$(wc -l <"$BATS_TEST_TMPDIR/ends")"
}
