#!/usr/bin/env bats
# isle push and isle pull.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	isle exec one -- mkdir -p /srv /var
}
teardown_file() { end_of_file; }
setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# Names, kinds, modes, owners, sizes, times and links of a tree: FOLDER, which may be in a guest.
# shellcheck disable=SC2016 # for the other shell
tree='cd "$1" && find . | sort | while read -r f; do stat -c "%n %F %a %u %g %Y" "$f"; [ ! -L "$f" ] || readlink "$f"; [ ! -f "$f" ] || md5sum <"$f"; done | sed "/^\. directory/d"'

make_tree() {
	mkdir -p "$1/deep/er" "$1/empty"
	echo one >"$1/a file"
	head -c 300000 /dev/urandom >"$1/deep/er/big"
	: >"$1/deep/nothing"
	ln -s ../elsewhere "$1/deep/link"
	ln -s "a file" "$1/other"
	mkfifo "$1/fifo"
	printf 'x' >"$1/deep/"$'new\nline'
	chmod 640 "$1/a file"
	chmod 4755 "$1/deep/nothing"
	chmod 1777 "$1/empty"
	chown 1000:50 "$1/a file"
	chown -h 33:33 "$1/other"
	touch -d '2001-02-03 04:05:06' "$1/a file" "$1/deep/er"
}

@test "push: a tree arrives with modes, owners, times and links" {
	make_tree web
	rm web/deep/new*
	isle push one web /srv/web 2>&1 || flunk 'push fails'
	works isle exec one -- sh -c "$tree" sh /srv/web
	is tree "$(sh -c "$tree" sh web)" "$output"
	# Into a folder that is there it gets its own name.
	isle exec one -- mkdir -p /var/www
	isle push one web /var/www
	isle exec one -- test -f /var/www/web/deep/er/big
	# Its contents alone.
	isle push one web/. /var/www
	isle exec one -- test -f /var/www/deep/er/big
	# Once more over what is there.
	echo two >'web/a file'
	isle push one web/. /var/www/
	is contents two "$(isle exec one -- cat '/var/www/a file')"
	is 'what is left of files on their way' '' "$(isle exec one -- find / -xdev -name '.isle-*')"
}

@test "pull: a tree arrives, but for set-id bits" {
	make_tree there
	rm there/deep/new*
	isle push one there /srv/there
	chmod 0755 there/deep/nothing
	isle pull one /srv/there here
	is tree "$(sh -c "$tree" sh there)" "$(sh -c "$tree" sh here)"
	# Any name that a file can have.
	isle exec one -- sh -c 'printf x >/srv/there/deep/$(printf "new\nline\033[2Jx"); : >"/srv/there/deep/-rf"'
	isle pull one /srv/there/deep named
	[ -f "named/$(printf 'new\nline\033[2Jx')" ] && [ -f named/-rf ]
	mkdir again
	isle pull one /srv/there/deep /etc/hostname again
	[ -f again/deep/er/big ]
	isle exec one -- cmp /etc/hostname - <again/hostname
}

@test "push and pull: single files, standard input and output" {
	printf 'a\0b\n' | isle push one - /root/data
	is bytes '61 00 62 0a' "$(isle pull one /root/data - | od -An -tx1 | xargs)"
	is 'mode and owner' '644 0 0' "$(isle exec one -- stat -c '%a %u %g' /root/data)"
	echo new >file
	isle push one file /root/data
	is contents new "$(isle exec one -- cat /root/data)"
	isle push one file /root/
	is contents new "$(isle exec one -- cat /root/file)"
	isle push one file /root/other file /tmp 2>/dev/null && flunk 'a source that is not there' || :
	isle pull one /root/file .
	isle pull one /root/file /root/data "$BATS_TEST_TMPDIR"
	is contents new "$(cat data)"
	# A file of the kernel's, which says that it is empty.
	isle pull one /proc/meminfo mem
	grep -q MemTotal mem
	head -c 20000000 /dev/zero | isle push one - /root/zeros
	is size 20000000 "$(isle exec one -- stat -c %s /root/zeros)"
	is size 20000000 "$(isle pull one /root/zeros - | wc -c)"
}

# The second part comes when the first was read and isle sleeps: it has been told that there is nothing yet.
@test "push: standard input that is nonblocking is waited for" {
	[ -x /usr/bin/python3 ] || skip 'python3 is not installed'
	/usr/bin/python3 -c '
import array, fcntl, os, subprocess, sys, termios
ours, ends = os.pipe()
os.set_blocking(ours, False)
os.write(ends, b"first ")
isle = subprocess.Popen([sys.argv[1], "push", "one", "-", "/root/late"], stdin=ours)
left = array.array("i", [1])
while isle.poll() is None:
    fcntl.ioctl(ours, termios.FIONREAD, left)
    with open(f"/proc/{isle.pid}/stat") as stat:
        if not left[0] and stat.read().rpartition(")")[2].split()[0] == "S":
            break
os.write(ends, b"second")
os.close(ends)
sys.exit(isle.wait())
' "$ISLE"
	is late 'first second' "$(isle exec one -- cat /root/late)"
}

@test "push and pull: another owner" {
	mkdir own
	echo x >own/file
	isle push --owner 33 one own /srv/own
	is owner '33 33' "$(isle exec one -- stat -c '%u %g' /srv/own/file)"
	isle pull --owner 1000:100 one /srv/own pulled
	is owner '1000 100' "$(stat -c '%u %g' pulled/file)"
	chown 100000:100000 own/file
	isle push one own/file /srv/large
	is 'owner that a guest cannot have' '0 0' "$(isle exec one -- stat -c '%u %g' /srv/large)"
	for owner in x -1 65536 1: :1 ann; do
		fails 2 isle push --owner "$owner" one own /srv/own
	done
}

@test "push and pull: what fails says so, and leaves what was there" {
	echo x >file
	fails 3 isle push two file /root/
	fails 2 isle push one file
	fails 2 isle push one file relative
	fails 2 isle pull one relative file
	fails 1 isle push one missing /root/
	says missing
	fails 1 isle pull one /missing .
	says /missing
	fails 1 isle push one file /no/such/folder/file
	fails 1 isle push one file file /no/such/folder
	isle exec one -- mkdir -p /root/folder
	fails 1 isle pull one /root/folder -
	mkdir folder
	fails 1 isle push one folder /etc/hostname
	fails 1 isle push one - /root/folder <file
	# Nothing that is no file is replaced, here or there.
	fails 1 isle push one file /dev/null
	mknod -m 666 null c 1 3
	fails 1 isle pull one /etc/hostname null
	[ -c null ]
	isle exec one -- test -c /dev/null
	# A file that does not fit.
	isle exec one -- sh -c 'mkdir -p /small; mount -t tmpfs -o size=100k small /small; echo old >/small/file'
	head -c 300000 /dev/zero >large
	fails 1 isle push one large /small/file
	says 'No space left'
	is contents old "$(isle exec one -- cat /small/file)"
	is files file "$(isle exec one -- ls -A /small)"
	isle exec one -- umount /small
	make_guest two
	fails 4 isle push two file /root/
	isle destroy two
}

@test "push and pull: devices and sockets are left out with a warning" {
	mkdir odd
	mknod -m 666 odd/null c 1 3
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("odd/socket")'
	echo x >odd/file
	run isle push one odd /srv/odd
	is status 0 "$status"
	says null
	says socket
	is files file "$(isle exec one -- ls -A /srv/odd)"
	isle exec one -- sh -c 'mkdir -p /srv/pulled; mount --bind /dev/zero /dev/zero; cp -a /dev/pts/ptmx /srv/pulled/ 2>/dev/null; mkfifo /srv/pulled/fifo; :'
	run timeout 20 "$ISLE" pull one /srv/pulled /dev/null/x
	isnt status 124 "$status"
	run timeout 20 "$ISLE" pull one /srv/pulled out
	is status 0 "$status"
	[ -p out/fifo ]
}
