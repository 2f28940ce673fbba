#!/usr/bin/env bats
# Users of the host who are not root: what of isle and of guests they can reach.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

as_user() {
	timeout 20 setpriv --reuid 65533 --regid 65533 --clear-groups --no-new-privs -- "$@"
}

# It can fail: the same commands work for root, which the first line of each pair shows.
@test "local: the commands of another user change nothing, and say why" {
	local command
	works isle list
	for command in 'list' 'info one' 'start one' 'stop --kill one' 'exec one -- id' 'console one' 'destroy --force one' 'config one set guest.hostname=x' 'create -t busybox mine' \
		'image list' 'freeze one' 'rename one two' 'log one'; do
		# shellcheck disable=SC2086 # words
		run as_user env "ISLE_PATH=$ISLE_PATH" "$ISLE" $command </dev/null
		[[ $status -ne 0 && $status -ne 124 ]] || flunk "status $status as a user: $command: $output"
		[[ $output == *isle:* ]] || flunk "no reason: $command: $output"
	done
	is state running "$(state one)"
	works isle exec one -- true
}

@test "local: the control socket, the console and the processes beside a guest are root's" {
	local monitor init console
	monitor=$(monitor_pid one)
	init=$(init_pid one)
	console=$(sed -n 's/^console=//p' "$ISLE_PATH/run/one/record")
	! as_user test -e "$ISLE_PATH/run/one/control" || flunk 'the control socket is found'
	if [ -n "$console" ] && [ -c "$console" ]; then
		! as_user sh -c ": <$console" 2>/dev/null || flunk 'the console can be read'
		! as_user sh -c ": >$console" 2>/dev/null || flunk 'the console can be written'
	fi
	for pid in "$monitor" "$init"; do
		! as_user kill -0 "$pid" 2>/dev/null || flunk "process $pid can be signalled"
		! as_user ls "/proc/$pid/fd/" >/dev/null 2>&1 || flunk "the descriptors of $pid are listed"
		! as_user cat "/proc/$pid/environ" >/dev/null 2>&1 || flunk "the environment of $pid is read"
		! as_user ls "/proc/$pid/root/" >/dev/null 2>&1 || flunk "the files of $pid are listed"
		! as_user nsenter --user --target "$pid" true 2>/dev/null || flunk "the namespaces of $pid can be entered"
	done
	! as_user sh -c "echo $$ >/sys/fs/cgroup/unified/$(field one .cgroup)/cgroup.procs" 2>/dev/null || flunk 'another can be put into its group'
	! as_user sh -c "echo $$ >/sys/fs/cgroup/$(field one .cgroup)/cgroup.procs" 2>/dev/null || flunk 'another can be put into its group'
}

# It can fail: a file made in such a folder changes the folder's time.
@test "local: nothing is put where others may lay traps, by whatever command" {
	works unshare --mount --propagation private sh -ec '
		mount -t tmpfs traps /tmp
		[ ! -d /var/lock ] || mount -t tmpfs traps /var/lock/
		mount -t tmpfs traps /dev/shm
		touch -d 2001-01-01 /tmp /dev/shm
		"$ISLE" create -q traps -t busybox
		"$ISLE" start traps
		"$ISLE" exec traps -- true
		"$ISLE" config traps set limits.processes=100
		"$ISLE" list --long >/dev/null
		"$ISLE" doctor >/dev/null || :
		"$ISLE" restart --kill traps
		"$ISLE" stop --kill traps
		"$ISLE" destroy traps
		find /tmp /dev/shm -maxdepth 0 -newermt 2001-01-02
		ls -A /tmp /dev/shm | grep -v ":$" || :'
	is 'folders where something was made' '' "$(tr -d '\n' <<<"$output")"
}

@test "local: folders and names that a user has made are not taken for isle's" {
	local mine
	mine=$(mktemp -d /var/tmp/isle-hostile-user.XXXXXX)
	chmod 0777 "$mine"
	# A folder of another's, under a name that isle would make: the control folders are of root's alone.
	run timeout 20 "$ISLE" -P "$mine/isle" list
	[ ! -d "$mine/isle" ] || is 'its mode' 700 "$(stat -c %a "$mine/isle")"
	as_user mkdir -p "$mine/other/run/one" "$mine/other/guests/one"
	as_user sh -c "printf '[guest]\n' >$mine/other/guests/one/config"
	run timeout 20 "$ISLE" -P "$mine/other" start one
	[ "$status" -ne 0 ] || { isle -P "$mine/other" stop --kill one; flunk 'a guest of another user is started'; }
	rm -rf "$mine"
}

@test "local: the programs belong to root, with no set-id bit, and only root may change them" {
	local file
	for file in "$ISLE" "$(dirname "$ISLE")"/isle-* /usr/libexec/isle/isle-*; do
		[ -f "$file" ] || continue
		is "owner of $file" 0 "$(stat -Lc %u "$file")"
		(((8#$(stat -Lc %a "$file") & 06022) == 0)) || flunk "mode of $file"
	done
}
