#!/usr/bin/env bats
# isle exec and isle shell: what comes along, what comes back.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one --set limits.processes=100
	isle start one
	isle exec one -- sh -c 'echo "ann:x:1000:1000:Ann:/home/ann:/bin/sh" >>/etc/passwd; echo "ann:x:1000:" >>/etc/group; echo "staff:x:50:ann" >>/etc/group
		mkdir -p /home/ann; chown 1000:1000 /home/ann'
	make_guest off
}

teardown_file() {
	end_of_file
}

@test "exec: the command's exit status comes back" {
	for expected in 0 1 2 3 4 5 42 126 127 255; do
		got=0
		isle exec one -- sh -c "exit $expected" || got=$?
		is status "$expected" "$got"
	done
}

@test "exec: 128+N for a signal" {
	run isle exec one -- sh -c 'kill -9 $$'
	is status 137 "$status"
	run isle exec one -- sh -c 'kill -TERM $$'
	is status 143 "$status"
}

@test "exec: 127 for a command that is not there, 126 for one that cannot be executed" {
	fails 127 isle exec one -- no-such-command
	says no-such-command
	fails 127 isle exec one -- /no/such/command
	fails 126 isle exec one -- /etc/passwd
	fails 126 isle exec one -- /etc
}

# The process that enters the guest is held for a moment after it has made the one that is to be the program, which is then first with its word.
@test "exec: a program that is quicker than the process that brought it in" {
	local slow=(strace -f -o /dev/null -e trace=clone3 -e inject=clone3:delay_exit=200000)
	run timeout 60 "${slow[@]}" "$ISLE" exec --tty one -- tty </dev/null
	is status 0 "$status"
	says /dev/pts/
	run -127 timeout 60 "${slow[@]}" "$ISLE" exec one -- no-such-command
}

@test "exec: a program is looked for where the guest has it, whatever the caller's PATH is" {
	run env PATH=/nowhere "$ISLE" exec one -- true
	is status 0 "$status"
	run -127 isle exec --env PATH=/nowhere one -- true
}

@test "exec: wrong usage, no such guest, wrong state" {
	fails 2 isle exec one
	fails 2 isle exec
	fails 2 isle exec --no-such-option one true
	fails 3 isle exec nobody -- true
	fails 4 isle exec off -- true
	says 'isle start off'
}

@test "exec: arguments arrive as they are" {
	works isle exec one -- printf '<%s>\n' 'a b' '' '*' '$HOME' $'new\nline' '--' '-n' "'quoted\""
	is output "$(printf '<%s>\n' 'a b' '' '*' '$HOME' $'new\nline' '--' '-n' "'quoted\"")" "$output"
}

@test "exec: options behind the command's name are the command's" {
	is output '--user -n' "$(isle exec one echo --user -n)"
}

@test "exec: ten megabytes of random bytes go in and come out unchanged" {
	head -c 10485760 /dev/urandom >"$BATS_TEST_TMPDIR/data"
	isle exec one -- cat <"$BATS_TEST_TMPDIR/data" >"$BATS_TEST_TMPDIR/back"
	cmp "$BATS_TEST_TMPDIR/data" "$BATS_TEST_TMPDIR/back"
	isle exec one -- sh -c 'cat >/tmp/data' <"$BATS_TEST_TMPDIR/data"
	cat "$BATS_TEST_TMPDIR/data" | isle exec one -- md5sum - >"$BATS_TEST_TMPDIR/sum"
	is md5 "$(md5sum <"$BATS_TEST_TMPDIR/data")" "$(cat "$BATS_TEST_TMPDIR/sum")"
	isle exec one -- cat /tmp/data | cmp - "$BATS_TEST_TMPDIR/data"
	isle exec one -- rm /tmp/data
}

@test "exec: standard error is not mixed into standard output" {
	run --separate-stderr isle exec one -- sh -c 'echo out; echo err >&2'
	is stdout out "$output"
	# shellcheck disable=SC2154 # bats sets stderr
	is stderr err "$stderr"
}

@test "exec: end of input is passed on; a command that ends first ends exec" {
	is count 3 "$(printf abc | timeout 10 "$ISLE" exec one -- wc -c | xargs)"
	is empty 0 "$(timeout 10 "$ISLE" exec one -- wc -c </dev/null | xargs)"
	# Input that never ends must not keep it.
	timeout 10 "$ISLE" exec one -- true < <(exec sleep 30)
}

@test "exec: a reader that closes early ends the writer" {
	timeout 20 "$ISLE" exec one -- yes | head -n 3 | wc -l | grep -qx 3
}

@test "exec: a background process in the guest does not keep exec" {
	begun=$(milliseconds)
	isle exec one -- sh -c 'sleep 20 >/dev/null 2>&1 </dev/null & exit 0'
	[ $(($(milliseconds) - begun)) -lt $((5000 * E2E_SLOW)) ]
	isle exec one -- killall sleep
}

@test "exec: many at once" {
	pids=()
	for i in $(seq 30); do
		"$ISLE" exec one -- sh -c "head -c 100000 /dev/zero; exit $i" >"$BATS_TEST_TMPDIR/$i" 3>&- &
		pids+=($!)
	done
	for i in $(seq 30); do
		status=0
		wait "${pids[i - 1]}" || status=$?
		is "status of number $i" "$i" "$status"
		is "size of number $i" 100000 "$(stat -c %s "$BATS_TEST_TMPDIR/$i")"
	done
}

@test "exec: it is in all of the guest's namespaces and groups" {
	pid=$(init_pid one)
	for kind in mnt pid net uts ipc cgroup user time; do
		[ -e "/proc/$pid/ns/$kind" ] || continue
		is "namespace $kind" "$(readlink "/proc/$pid/ns/$kind")" "$(isle exec one -- readlink "/proc/self/ns/$kind")"
	done
	is cgroup "$(isle exec one -- grep ^0: /proc/1/cgroup | cut -d/ -f1)" "$(isle exec one -- grep ^0: /proc/self/cgroup | cut -d/ -f1)"
	works isle exec one -- cat /proc/self/cgroup
	says_not "$E2E_TAG"
	says_not ..
}

@test "exec: no descriptor but 0, 1 and 2" {
	exec 7</etc/passwd 8</
	works isle exec one -- ls -l /proc/self/fd
	exec 7<&- 8<&-
	# A fourth is ls's own.
	[ "$(grep -c -- '->' <<<"$output")" -le 4 ]
	says_not passwd
	says_not net:
	says_not "$E2E_ROOT"
}

@test "exec: nothing of the host's environment but the terminal's and the language's" {
	export SECRET=host LANG=C.UTF-8 TERM=vt100 LC_TIME=C LD_LIBRARY_PATH=/nowhere
	works isle exec one -- env
	says_not SECRET
	says_not ISLE
	says_not BATS
	says_not /nowhere
	says TERM=vt100
	says LANG=C.UTF-8
	says container=isle
	says PATH=
	says HOME=/root
}

@test "exec --clear-env, --env" {
	export LANG=C.UTF-8 TERM=vt100
	works isle exec --clear-env --env A=1 --env 'B=two words' --env A=3 one -- env
	says_not LANG
	says_not vt100
	says 'B=two words'
	says 'A=3'
	says_not 'A=1'
	says PATH=
	fails 2 isle exec --env novalue one -- env
	fails 2 isle exec --env =x one -- env
}

@test "exec: --env among other options is not mixed with their values" {
	is "variables and folder" '1 2 /home' "$(isle exec -e A=1 -u root --cwd /home -e B=2 one -- sh -c 'echo "$A $B $PWD"')"
	is user ann "$(isle exec -u ann -e A=1 --cwd / one -- id -un)"
}

@test "exec --user, by name and by number, with its groups and home" {
	works isle exec --user ann one -- id
	says 'uid=1000(ann) gid=1000(ann)'
	says '50(staff)'
	is home /home/ann "$(isle exec --user ann one -- sh -c 'echo $HOME')"
	is user ann "$(isle exec --user ann one -- sh -c 'echo $USER')"
	is uid 4321 "$(isle exec --user 4321 one -- id -u)"
	is caps 0000000000000000 "$(isle exec --user ann one -- awk '/^CapEff/ { print $2 }' /proc/self/status)"
	run isle exec --user nosuchuser one -- id
	[ "$status" -ne 0 ]
	says nosuchuser
	fails 1 isle exec --user ann one -- sh -c 'echo x >/etc/shadow'
	# More than the guest has.
	run isle exec --user 70000 one -- id
	[ "$status" -ne 0 ]
}

@test "exec --cwd" {
	is cwd /home/ann "$(isle exec --cwd /home/ann one -- pwd)"
	run isle exec --cwd /no/such/folder one -- pwd
	[ "$status" -ne 0 ]
	says /no/such/folder
	isle exec one -- pwd
}

@test "exec: a link in the guest leads nowhere outside" {
	isle exec one -- ln -sfn "/../../../..$E2E_ROOT" /tmp/out
	run isle exec --cwd /tmp/out one -- ls
	[ "$status" -ne 0 ]
}

@test "exec: signals reach the command" {
	"$ISLE" exec one -- sh -c 'trap "echo got; exit 7" TERM; echo ready; while :; do sleep 0.1; done' >"$BATS_TEST_TMPDIR/out" 3>&- &
	pid=$!
	wait_until 10 grep -q ready "$BATS_TEST_TMPDIR/out"
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	is status 7 "$status"
	grep -q got "$BATS_TEST_TMPDIR/out"
}

@test "exec: kill -9 of exec leaves no guest broken" {
	"$ISLE" exec one -- sleep 1000 3>&- &
	pid=$!
	is_there() { isle exec one -- pidof sleep >/dev/null; }
	wait_until 10 is_there
	kill -9 "$pid"
	wait "$pid" 2>/dev/null || :
	is answer hi "$(isle exec one -- echo hi)"
	is state running "$(state one)"
	run isle exec one -- killall sleep
}

@test "exec: a terminal for the command when on a terminal, with the window's size" {
	works "$E2E_HERE/terminal" size:33x101 -- "$ISLE" exec one -- sh -c 'tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all'
	says /dev/pts/
	says '33 101'
	says all
}

@test "exec: the terminal is the guest's own" {
	works "$E2E_HERE/terminal" -- "$ISLE" exec one -- sh -c 'ls -l $(tty); stat -c %d:%u $(tty)'
	says root
	says_not 'nobody'
	says_not 'not a tty'
}

@test "exec: the window's changes are followed" {
	works "$E2E_HERE/terminal" size:24x80 see:ready size:40x132 type:'\r' see:'40 132' -- \
		"$ISLE" exec one -- sh -c 'echo ready; read x; stty size'
}

@test "exec: keys go through the guest's terminal, Ctrl-c too" {
	works "$E2E_HERE/terminal" see:ready type:'\x03' see:interrupted -- "$ISLE" exec one -- sh -c 'trap "echo interrupted; exit 5" INT; echo ready; while :; do sleep 0.1; done' || is status 5 "$status"
}

@test "exec: the caller's terminal is as it was afterwards" {
	works "$E2E_HERE/terminal" -- bash -c "stty -a >$BATS_TEST_TMPDIR/before; '$ISLE' exec one -- sh -c 'stty raw -echo; exit 3'; stty -a >$BATS_TEST_TMPDIR/after"
	cmp "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

@test "exec: the caller's terminal is as it was after the guest is killed" {
	works "$E2E_HERE/terminal" see:ready see:done -- bash -c "stty -a >$BATS_TEST_TMPDIR/before; ('$ISLE' exec one -- true; while ! '$ISLE' exec one -- pidof cat; do :; done; '$ISLE' restart --kill one) >/dev/null 2>&1 &
		echo ready; '$ISLE' exec one -- cat; stty -a >$BATS_TEST_TMPDIR/after; wait; echo done"
	cmp "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	is state running "$(state one)"
}

@test "exec --tty and --no-tty" {
	works isle exec --tty one -- tty
	says /dev/pts/
	run "$E2E_HERE/terminal" -- "$ISLE" exec --no-tty one -- sh -c 'test -t 0 || echo none'
	says none
}

@test "exec: pipes are pipes even when standard error is a terminal" {
	works "$E2E_HERE/terminal" -- bash -c "printf 'a\\r\\n\\001b' | '$ISLE' exec one -- cat | od -An -c"
	says 'a  \r  \n 001   b'
}

@test "exec: a guest's terminal cannot be used to type on the host's" {
	# TIOCSTI on the terminal that exec gives must not reach the caller's.
	works "$E2E_HERE/terminal" see:done -- bash -c "'$ISLE' exec one -- sh -c 'exec 2>&1; echo done'; read -t 1 x; echo \"got <\$x>\""
	says 'got <>'
}

@test "shell: the user's login shell, in the home folder" {
	works "$E2E_HERE/terminal" see:'# ' type:'echo $0 at $PWD; exit 9\r' see:'-sh at /root' -- "$ISLE" shell one || is status 9 "$status"
	is status 9 "$status"
	run "$E2E_HERE/terminal" see:'$ ' type:'id -un; pwd; exit\r' see:ann see:/home/ann -- "$ISLE" shell --user ann one
	is status 0 "$status"
}

@test "shell: through a pipe it reads commands" {
	is output '42 /root' "$(echo 'echo $((6*7)) $PWD' | isle shell one)"
}
