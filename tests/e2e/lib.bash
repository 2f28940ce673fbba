# What the tests share: commands, waiting, and the search for what is left behind.
# shellcheck shell=bash

# For people who start bats by hand: nothing here may run on the host itself.
: "${E2E_TAG:=}" "${E2E_SLOW:=1}" "${E2E_ROOT:?start the tests by tests/e2e/run}" "${ISLE_PATH:?}" "${ISLE:?}"

# Commands

isle() {
	"$ISLE" "$@"
}

# A busybox guest: NAME OPTION-OF-CREATE...
make_guest() {
	isle create -q -t busybox "$@"
}

# A Debian guest; the whole test is skipped where there is no image.
make_debian() {
	needs_debian
	isle create -q -t debian "$@" -- --release bookworm --packages openssh-server
}

needs_debian() {
	[ "$E2E_DEBIAN" = yes ] || skip "no Debian image (E2E_DEBIAN=$E2E_DEBIAN)"
}

# Of Debian's releases beside bookworm, images are there only where E2E_RELEASES asked for them (see place).
needs_release() {
	needs_debian
	compgen -G "$ISLE_PATH/images/debian-$1-*" >/dev/null || skip "no image of Debian's $1"
}

needs() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# A field of a guest as JSON has it: NAME FILTER-OF-JQ
field() {
	isle info --json "$1" | jq -r "$2"
}

state() {
	isle list --columns state -q "$1"
}

init_pid() {
	field "$1" .pid
}

monitor_pid() {
	field "$1" .monitor_pid
}

address() {
	field "$1" .links[0].address | cut -d/ -f1
}

address6() {
	field "$1" .links[0].address6 | cut -d/ -f1
}

# Checkpoints

has_criu() {
	[ -x /usr/local/lib/isle/criu/criu ] || [ -x "${ISLE_CRIU:-/usr/sbin/criu}" ]
}

needs_criu() {
	has_criu || skip 'no criu (tools/install-criu)'
}

# For setup_file and setup: guest one runs.
begin_one() {
	has_criu || return 0
	make_guest one
	isle start one
}

one_runs() {
	needs_criu
	[ "$(state one)" = running ] || isle start one
}

# The program that holds odd objects of the kernel (zoo.c); where there is no compiler it was built beforehand.
build_zoo() {
	[ ! -x /isle/build/tests/e2e/zoo ] || cp /isle/build/tests/e2e/zoo "$E2E_ROOT/zoo"
	[ -x "$E2E_ROOT/zoo" ] || ${CC:-cc} -O1 -static -o "$E2E_ROOT/zoo" "$E2E_HERE/zoo.c" -lrt
}

# bring_zoo GUEST
bring_zoo() {
	isle push "$1" "$E2E_ROOT/zoo" /usr/bin/zoo
	isle exec "$1" -- chmod 755 /usr/bin/zoo
}

# hold GUEST OBJECT: a process of the guest's has it, and its answers in /tmp/zoo-OBJECT; prints the first.
hold() {
	isle exec "$1" -- sh -c "rm -f /tmp/zoo-$2; zoo $2 >/tmp/zoo-$2 2>&1 </dev/null & echo \$! >/tmp/zoo-$2.pid
		for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -s /tmp/zoo-$2 ] && break; sleep 0.1; done
		head -n 1 /tmp/zoo-$2"
}

# holds GUEST OBJECT: whether it is still what it was.
holds() {
	isle exec "$1" -- sh -c "kill -USR1 \$(cat /tmp/zoo-$2.pid)
		for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ \$(wc -l </tmp/zoo-$2) -gt 1 ] && break; sleep 0.1; done
		tail -n 1 /tmp/zoo-$2"
}

# let_go GUEST OBJECT
let_go() {
	isle exec "$1" -- sh -c "p=\$(cat /tmp/zoo-$2.pid); for t in /proc/[0-9]*; do
		[ \"\$(sed 's/.*) . [0-9]* [0-9]* \([0-9]*\) .*/\1/' \$t/stat 2>/dev/null)\" != \$p ] || kill -KILL \${t#/proc/}; done"
}

# A connection to a guest's echo (hold GUEST echo) on descriptor 5, and whether it is still the same one.
connect() {
	exec 5<>"/dev/tcp/$(address "$1")/7777"
	talk_number=0
	talks
}

talks() {
	local heard
	talk_number=$((talk_number + 1))
	printf 'line %s\n' "$talk_number" >&5
	read -r -t $((20 * E2E_SLOW)) heard <&5 || flunk 'the connection is dead' || return 1
	is echo "line $talk_number" "$heard"
}

disconnect() {
	exec 5>&-
}

# A process of the guest's that counts, and what it has come to.
begin_count() {
	isle exec "$1" -- sh -c 'rm -f /tmp/count; while :; do i=$((i+1)); echo $i >/tmp/.count; mv /tmp/.count /tmp/count; sleep 0.05; done >/dev/null 2>&1 & echo $! >/tmp/counter'
	wait_until 10 isle exec -q "$1" -- test -s /tmp/count
}

count() {
	isle exec "$1" -- cat /tmp/count
}

counts() {
	local now
	now=$(count "$1") || return 1
	further() { [ "$(count "$1")" -gt "$now" ]; }
	wait_until 10 further "$1"
}

# Asserting

# Says why a test failed, and ends it.
flunk() {
	printf '%s\n' "$@" | cut -c1-300 | tail -n 40 >&2
	return 1
}

# is WHAT EXPECTED GOT
is() {
	[ "$2" = "$3" ] || flunk "$1: expected '$2', got '$3'"
}

isnt() {
	[ "$2" != "$3" ] || flunk "$1: '$3' is what it must not be"
}

# says TEXT: the last `run` printed it.
says() {
	# shellcheck disable=SC2154 # bats sets output
	[[ $output == *"$1"* ]] || flunk "expected to read: $1" "read: $output"
}

says_not() {
	[[ $output != *"$1"* ]] || flunk "expected not to read: $1" "read: $output"
}

# fails STATUS COMMAND...: it fails with that status and says something.
fails() {
	local expected=$1
	shift
	# Without the flag bats warns of 127, which is a status like any other here.
	run -"$expected" "$@"
	# shellcheck disable=SC2154 # bats sets status
	[ "$status" -eq "$expected" ] || flunk "expected status $expected, got $status: $*" "$output"
	[ -n "$output" ] || flunk "it failed without a word: $*"
}

# works COMMAND...: for what must succeed and whose output is looked at.
works() {
	run "$@"
	[ "$status" -eq 0 ] || flunk "status $status: $*" "$output"
}

# hold_at STEP ARGUMENT...: isle with these arguments in the background, held before that step of its own (or "criu NOTE"). $command is its
# process, $walker the one that is held.
# shellcheck disable=SC2034 # for who calls it
hold_at() {
	local step=$1 said=$BATS_TEST_TMPDIR/held
	shift
	rm -f "$said" # one of before would be read
	ISLE_HOLD=$step "$ISLE" "$@" >"$said" 2>&1 3>&- &
	command=$!
	wait_until 30 grep -qs 'lets it go on' "$said"
	walker=$(sed -n 's/.*CONT \([0-9]*\) .*/\1/p' "$said")
}

# untraced COMMAND...: a function that runs many commands. bats notes where it is before each, which takes an emulated processor twenty
# times as long as the command.
untraced() {
	local -
	set +T
	"$@"
}

# wait_until SECONDS COMMAND...: polls, for what no command of isle's can be waited for.
wait_until() {
	local end=$((SECONDS + $1 * E2E_SLOW + 1))
	shift
	until untraced "$@"; do
		[ "$SECONDS" -lt "$end" ] || flunk "in vain waited for: $*" || return 1
		read -r -t 0.05 <> <(:) || :
	done
}

# gone PID: no such process, or only its shell.
gone() {
	local status
	status=$(ps -o stat= -p "$1") || return 0
	[[ $status == Z* ]]
}

# What must be quick is compared with a number of these times E2E_SLOW.
milliseconds() {
	local now=$EPOCHREALTIME
	printf '%s' $((${now%[.,]*} * 1000 + 10#${now#*[.,]} / 1000))
}

# What is left behind

mount_table() {
	# Without the numbers that differ from one look to the next.
	cut -d' ' -f4- /proc/self/mountinfo | sort
}

# A group that is in blkio alone is not isle's: on some machines something that watches disks brings groups of that hierarchy back when
# they were removed.
cgroups_left() {
	local path
	{
		find /sys/fs/cgroup/isle-"$E2E_TAG" /sys/fs/cgroup/*/isle-"$E2E_TAG" -mindepth 1 -type d
		find /sys/fs/cgroup/isle.slice/*":$E2E_TAG.scope" /sys/fs/cgroup/*/isle.slice/*":$E2E_TAG.scope" -type d
	} 2>/dev/null | while read -r path; do
		[[ $path == /sys/fs/cgroup/blkio/* && ! -e ${path/blkio/memory} && ! -e ${path/blkio/unified} ]] || printf '%s\n' "$path"
	done
}

# Of the guests: a network with its bridge stays.
links_left() {
	ip -o -d link show | awk -F': ' '$2 != "lo" && !/ bridge forward_delay/ { print $2 }'
	nsenter --net=/proc/self/fd/9 ip -o link show 2>/dev/null | grep -o " is${E2E_TAG}[^:@]*\| isle${E2E_TAG}[^:@]*"
}

# Of guests that run: one that sleeps keeps its own, down and on no bridge.
links_awake() {
	local line
	links_left | while read -r line; do
		line=${line%%@*}
		cut -d" " -f1 "$ISLE_PATH"/run/.kept-*/note 2>/dev/null | grep -qxF "$line" && [[ $(ip -o link show "$line") == *' state DOWN '* ]] &&
			[ ! -e "/sys/class/net/$line/master" ] || printf '%s\n' "$line"
	done
}

rules_left() {
	nft list ruleset 2>/dev/null | grep -n "is$E2E_TAG-"
	nft list tables 2>/dev/null | grep -v '^table \(inet\|bridge\) isle$'
	nft list sets bridge 2>/dev/null | grep -A 4 'set isolated' | grep elements
}

loops_left() {
	losetup --noheadings --output NAME,BACK-FILE 2>/dev/null | grep -F "$E2E_ROOT"
}

# isle's own, and those in other process namespaces, which are guests'. Without a fork for each process: there may be many.
processes_left() {
	local folder name stat
	for folder in /proc/[0-9]*; do
		read -r name <"$folder/comm" && read -r stat <"$folder/stat" || continue
		[[ $stat == *') Z '* ]] && continue
		if [[ $name == isle* ]] || { [ -e "$folder/ns/pid" ] && [ ! "$folder/ns/pid" -ef /proc/self/ns/pid ]; }; then
			printf '%s %s\n' "${folder#/proc/}" "$(tr '\0' ' ' <"$folder/cmdline")"
		fi
	done 2>/dev/null
}

# Files of runs and of guests that are not among GUEST...
files_left() {
	local known=" $* " path name id ids=' '

	for name; do
		id=$(sed -n 's/^id *= *//p' "$ISLE_PATH/guests/$name/config" 2>/dev/null)
		ids+="$id "
	done
	for path in "$ISLE_PATH"/guests/* "$ISLE_PATH"/guests/.[!.]*; do
		[ -e "$path" ] || continue
		[[ $known == *" ${path##*/} "* ]] || printf '%s\n' "$path"
	done
	# A lock file of a guest that is there may stay; so may that of the networks.
	for path in "$ISLE_PATH"/run/* "$ISLE_PATH"/run/.[!.]*; do
		[ -e "$path" ] || continue
		name=${path##*/.lock-}
		[[ ${path##*/} == .networks.lock ]] || { [ "$name" != "$path" ] && [[ $known == *" $name "* ]]; } || printf '%s\n' "$path"
	done
	for path in "$ISLE_PATH"/ids/*; do
		[ -L "$path" ] || continue
		[[ $ids == *" $(readlink "$path") "* ]] || printf '%s\n' "$path"
	done
	for path in "$ISLE_PATH"/leases/*/*; do
		[ -L "$path" ] || [ -e "$path" ] || continue
		id=$(readlink "$path" || cat "$path")
		[[ $ids == *" ${id%%/*} "* ]] || printf '%s\n' "$path"
	done
	find "$ISLE_PATH/images" -mindepth 1 -maxdepth 1 -name '.?*' ! -name '.lock*'
	find "$ISLE_PATH" -path '*/rootfs' -prune -o -name '.tmp*' -print
}

# told WHAT TEXT: true when there is no text.
told() {
	[ -z "$2" ] || { printf 'left behind: %s\n%s\n' "$1" "$2" | sed '2,$s/^/  /' >&2 && false; }
}

# nothing_left [GUEST...]: of guests that are stopped only their files are there, of others nothing.
nothing_left() {
	local status=0 mounts

	# A killed process's remains go when the kernel finds the time.
	wait_until 5 no_processes_left 2>/dev/null || :
	mounts=$(mount_table | comm -13 "$E2E_ROOT/mounts" -)
	told mounts "$mounts" || status=1
	told cgroups "$(untraced cgroups_left)" || status=1
	told links "$(links_left)" || status=1
	told rules "$(rules_left)" || status=1
	told 'loop devices' "$(loops_left)" || status=1
	told processes "$(untraced processes_left)" || status=1
	told files "$(untraced files_left "$@")" || status=1
	return "$status"
}

no_processes_left() {
	[ -z "$(processes_left)" ]
}

# What isle leaves to a process of its own, such as waiting for the disk after a stop, may take a moment longer than the command.
assert_no_processes() {
	wait_until 10 no_processes_left || flunk "processes: $(processes_left)"
}

assert_nothing_left() {
	nothing_left "$@" || flunk 'something was left behind'
}

# For teardown_file: ends all guests, by force, and looks whether that was all.
end_of_file() {
	local names

	names=$(isle list -1)
	# shellcheck disable=SC2086 # names have no blanks
	[ -z "$names" ] || isle destroy --force $names || flunk 'cannot destroy the guests' || return 1
	assert_nothing_left
}
