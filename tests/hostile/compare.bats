#!/usr/bin/env bats
# That the look at the host before and after every test would tell: each difference is made here, and must be named.
load lib
bats_require_minimum_version 1.5.0

setup() { before; }
teardown() { same_host; }
teardown_file() { end_of_file; }

# told WORD COMMAND...: after the command the host is another, and the difference has the word in it.
told_as() {
	local word=$1
	shift
	"$@"
	run same_host
	[ "$status" -ne 0 ] || flunk "nobody would have told: $*"
	says "$word"
}

@test "compare: a mount, a rule, a link, a listener and a setting are seen" {
	mkdir "$BATS_TEST_TMPDIR/m"
	told_as "$BATS_TEST_TMPDIR/m" mount -t tmpfs bad "$BATS_TEST_TMPDIR/m"
	umount "$BATS_TEST_TMPDIR/m"
	told_as hostile nft add table inet hostile
	nft delete table inet hostile
	told_as hostile0 ip link add hostile0 type bridge
	ip link del hostile0
	told_as 203.0.113.0 ip route add 203.0.113.0/24 dev lo
	ip route del 203.0.113.0/24 dev lo
	"$HOSTILE_TOOLS/strike" listen isle-hostile-compare 3>&- &
	local listener=$!
	wait_until 5 grep -q isle-hostile-compare /proc/net/unix
	told_as isle-hostile-compare true
	kill "$listener"
	wait "$listener" || :
	# Of this network namespace alone.
	told_as 'ttl:61' sysctl -qw net.ipv4.ip_default_ttl=61
	sysctl -qw net.ipv4.ip_default_ttl=64
}

@test "compare: a process that is left behind, and one of a guest's that has left its group, are seen" {
	local pid
	told_as 'left sleep' sh -c "setsid sleep 60 3>&- & echo \$! >'$BATS_TEST_TMPDIR/pid'"
	kill "$(cat "$BATS_TEST_TMPDIR/pid")"
	unshare --user --map-root-user sleep 60 3>&- &
	pid=$!
	wait_until 5 eval "[ ! /proc/$pid/ns/user -ef /proc/self/ns/user ]"
	told_as foreign true
	kill "$pid"
	wait "$pid" || :
}

@test "compare: files of the system that are new, or have another owner, are seen" {
	# In a mount namespace of its own: the files of this machine stay as they are.
	cat >"$BATS_TEST_TMPDIR/inside" <<-'END'
		set -e
		mount -t tmpfs fake "$1"
		mkdir "$1/upper" "$1/work"
		mount -t overlay fake -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
		case $2 in
		new) echo bad >/etc/cron-of-a-guest ;;
		mode) chmod 666 /etc/passwd ;;
		esac
		. "$3"
		changed_files
	END
	local how
	mkdir "$BATS_TEST_TMPDIR/fake"
	for how in new mode none; do
		# shellcheck disable=SC2016
		works env BATS_TEST_DIRNAME="$BATS_TEST_DIRNAME" BATS_TEST_TMPDIR="$BATS_TEST_TMPDIR" unshare --mount --propagation private bash -c ". $BATS_TEST_TMPDIR/inside" bash "$BATS_TEST_TMPDIR/fake" "$how" "$BATS_TEST_DIRNAME/lib.bash" 3>/dev/null
		case $how in
		new) says /etc/cron-of-a-guest ;;
		mode) says /etc/passwd ;;
		none) says_not /etc/ ;;
		esac
	done
}
