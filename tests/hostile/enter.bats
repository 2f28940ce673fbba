#!/usr/bin/env bats
# Entering: what isle exec brings in knows the host until it is confined.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one --set limits.processes=500
	isle start one
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

# What holds a process, seen from outside: the text of its filters, its label, its capabilities, no_new_privs. PID
confinement() {
	"$HOSTILE_TOOLS/look" programs "$1"
	cat "/proc/$1/attr/current" 2>/dev/null || :
	grep '^Cap\|^NoNewPrivs' "/proc/$1/status"
	readlink "/proc/$1/ns/"{user,pid,mnt,net,uts,ipc,cgroup,time}
}

# The process of the guest's that runs this command line: WORDS
process_of() {
	pgrep -xf "$1"
}

@test "enter: what enters has init's own filter, label, capabilities and namespaces, on a terminal too" {
	local init held words callers=()
	init=$(init_pid one)
	held=$(confinement "$init")
	grep -q '^filter [1-9]' <<<"$held" || flunk 'init has no filter' "$held"
	setpriv --groups 4,24,27 "$ISLE" exec one -- sleep 1701 3>&- &
	callers+=($!)
	script -qec "$ISLE exec one -- sleep 1702" /dev/null >/dev/null 3>&- &
	callers+=($!)
	for words in 'sleep 1701' 'sleep 1702'; do
		wait_until 10 process_of "$words"
		is "what holds $words" "$held" "$(confinement "$(process_of "$words")")"
		kill "$(process_of "$words")"
	done
	wait "${callers[@]}" || :
	is 'groups, of a caller who has some' 0 "$(setpriv --groups 4,24,27 "$ISLE" exec one -- id -G)"
}

@test "enter: nobody inside looks into, traces or robs the process that enters" {
	timeout 20 "$ISLE" exec one -- /root/strike watch 4 >"$BATS_TEST_TMPDIR/watch" &
	local watcher=$!
	wait_until 5 inside one 'pidof strike >/dev/null'
	for _ in {1..40}; do
		isle exec one -- true
	done
	wait "$watcher"
	run cat "$BATS_TEST_TMPDIR/watch"
	says_not HOLE
	says 'looked into'
}

@test "enter: killed on the way, exec ends and says so" {
	timeout 20 "$ISLE" exec one -- /root/strike watch 3 9 >"$BATS_TEST_TMPDIR/watch" &
	local watcher=$!
	wait_until 5 inside one 'pidof strike >/dev/null' || :
	for _ in {1..20}; do
		run timeout 10 "$ISLE" exec one -- true
		[[ $status -eq 0 || $status -eq 137 || $status -eq 1 ]] || flunk "status $status: $output"
	done
	wait "$watcher"
	run cat "$BATS_TEST_TMPDIR/watch"
	says_not HOLE
}

@test "enter: the caller's session keyring stays outside, at start and at exec" {
	run "$BATS_TEST_DIRNAME/with-key" true
	[ "$status" -eq 0 ] || skip "$output"
	works "$BATS_TEST_DIRNAME/with-key" "$ISLE" exec one -- /root/strike keys
	says_not HOLE
	make_guest two
	"$BATS_TEST_DIRNAME/with-key" "$ISLE" start two
	arm two
	# Of init, which has kept the start's: a shell of its own on the console.
	isle exec two -- sh -c 'echo "::respawn:/bin/sh -c \"/root/strike keys >/root/keys; sleep 100\"" >>/etc/inittab; kill -HUP 1'
	wait_until 10 isle exec two -- test -e /root/keys
	run isle exec two -- cat /root/keys
	says_not HOLE
	isle destroy --force two
}

@test "enter: a folder as standard stream is no way to the host's files" {
	for stream in 0 1 2; do
		run bash -c "'$ISLE' exec one -- sh -c 'cd /proc/self/fd/$stream/ && pwd && ls' $stream</"
		[ "$status" -ne 0 ] || flunk "the guest walks the host: $output"
	done
}

@test "enter: a file as standard output can neither be emptied, read, nor kept" {
	local log=$BATS_TEST_TMPDIR/log
	echo precious >"$log"
	chmod 666 "$log"
	inside one 'echo added; truncate -s 0 /proc/self/fd/1 2>/dev/null;  (: >/proc/self/fd/1) 2>/dev/null; timeout 0.2 cat </proc/self/fd/1 >&2; :' >>"$log"
	is 'the log' precious "$(head -n 1 "$log")"
	inside one '(sleep 1; echo late) & :' >>"$log"
	sleep 1.5
	! grep -q late "$log" || flunk 'the guest holds the log after the command has ended'
}

@test "enter: no descriptor, folder or environment of the host's" {
	is descriptors '0 1 2 3' "$(inside one 'echo $(ls /proc/self/fd)')"
	is folder / "$(inside one 'readlink /proc/self/cwd')"
	SECRET=of-the-host works isle exec one -- env
	says_not of-the-host
	is 'what init has open' '' "$(inside one 'ls -l /proc/1/fd' | grep -v '/dev/\|pipe:\|^total' || :)"
	is groups 0 "$(inside one 'id -G')"
	is 'the terminal' no "$(inside one '(: </dev/tty) 2>/dev/null && echo yes || echo no')"
}

# What isle exec runs in the guest is isle itself, with a loader of the guest's: GUEST
run_self() {
	isle exec "$1" -- sh -c 'mkdir -p /lib64; cat >/lib64/ld-linux-x86-64.so.2; chmod 755 /lib64/ld-linux-x86-64.so.2
		rm -f /root/overwrite; echo "#!/proc/self/exe" >/root/self; chmod 755 /root/self' <"$HOSTILE_TOOLS/loader"
	run timeout 20 "$ISLE" exec "$1" -- /root/self
	says_not HOLE
	says "running as isle's binary"
	# Until then no process may run that file: nothing is asked of isle.
	wait_until 30 grep -q tried "$2"
	run cat "$2"
	says tried
	says_not HOLE
}

@test "enter: isle's own binary, run inside by #!/proc/self/exe, is not written to" {
	[ -e "$HOSTILE_TOOLS/loader" ] || skip 'not for this architecture'
	run_self one "/proc/$(init_pid one)/root/root/overwrite"
}

@test "enter: nor is it by a privileged guest, which runs a sealed copy: at start, exec and create" {
	local files
	[ -e "$HOSTILE_TOOLS/loader" ] || skip 'not for this architecture'
	make_guest two --privileged --storage overlay
	isle start two
	arm two
	run_self two "/proc/$(init_pid two)/root/root/overwrite"
	isle stop --kill two
	# As its init, which is what isle start executes.
	files=$(files_of two)
	mkdir -p "$files/sbin"
	printf '#!/proc/self/exe\n' >"$files/sbin/init"
	chmod 755 "$files/sbin/init"
	run timeout 20 "$ISLE" start two
	wait_until 30 grep -q tried "$files/root/overwrite"
	run cat "$files/root/overwrite"
	says tried
	says_not HOLE
	isle destroy --force two
	is 'the program' "$(sed -n '/\[programs\]/{n;p}' "$BATS_TEST_TMPDIR/host")" "$(sha256sum "$ISLE")"
}

@test "enter: hostile passwd and group files are read as far as they make sense" {
	inside one 'cp /etc/passwd /etc/passwd.good; cp /etc/group /etc/group.good'
	for trick in 'ln -sf /dev/zero /etc/passwd' 'rm -f /etc/passwd; mkfifo /etc/passwd' 'rm -f /etc/passwd; mkdir /etc/passwd' \
		'rm -rf /etc/passwd; truncate -s 2G /etc/passwd' 'rm -rf /etc/passwd; head -c 3000000 /dev/zero >/etc/passwd' \
		'rm -f /etc/passwd; ln -s passwd /etc/passwd' 'rm -f /etc/passwd; yes "root:x:0:0:::/bin/sh" | head -c 4000000 >/etc/passwd' \
		'rm -f /etc/passwd; echo "root:x:99999999999999999999:-1:::" >/etc/passwd' 'rm -f /etc/passwd; ln -s /proc/kmsg /etc/passwd' \
		'ln -sf /dev/zero /etc/group' 'rm -f /etc/group; mkfifo /etc/group' 'rm -f /etc/group; yes "g:x:1:root" | head -c 4000000 >/etc/group'; do
		inside one "$trick"
		run timeout 20 "$ISLE" exec one -- true
		[ "$status" -ne 124 ] || flunk "exec hangs: $trick"
		run timeout 20 "$ISLE" exec --user root one -- id -u
		[ "$status" -ne 124 ] || flunk "exec --user hangs: $trick"
	done
	timeout 20 "$ISLE" exec one -- sh -c 'rm -rf /etc/passwd /etc/group; mv /etc/passwd.good /etc/passwd; mv /etc/group.good /etc/group'
	is id 0 "$(isle exec one -- id -u)"
}

@test "enter: typing into the terminal of exec is refused, its size and modes are its own" {
	strike one console
}
