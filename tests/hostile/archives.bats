#!/usr/bin/env bats
# Tarballs of strangers, unpacked by the template `local`.
load lib
bats_require_minimum_version 1.5.0

setup() { before; }
teardown() {
	isle destroy -q --force evil 2>/dev/null || :
	same_host
}
teardown_file() { end_of_file; }

# tarball NAME: from lines of Python that add to `t`, with a system that would boot beside it.
tarball() {
	cat >"$BATS_TEST_TMPDIR/make.py" <<-END
		import io, sys, tarfile
		t = tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT)
		def add(name, kind=tarfile.REGTYPE, link="", mode=0o755, uid=0, size=None, data=b"x", device=(0, 0), pax={}):
		    i = tarfile.TarInfo(name)
		    i.type, i.linkname, i.mode, i.uid = kind, link, mode, uid
		    i.devmajor, i.devminor, i.pax_headers = device[0], device[1], pax
		    i.size = len(data) if kind == tarfile.REGTYPE else 0
		    t.addfile(i, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
		for d in ("bin", "sbin", "etc", "dev", "proc", "sys"):
		    add(d, tarfile.DIRTYPE)
		add("bin/sh", data=open("$(command -v busybox)", "rb").read())
		add("sbin/init", tarfile.SYMTYPE, "/bin/sh")
	END
	cat >>"$BATS_TEST_TMPDIR/make.py"
	echo 't.close()' >>"$BATS_TEST_TMPDIR/make.py"
	python3 "$BATS_TEST_TMPDIR/make.py" "$BATS_TEST_TMPDIR/$1.tar"
}

unpack() {
	run timeout $((60 * E2E_SLOW)) "$ISLE" create -q evil -t local -- --file "$BATS_TEST_TMPDIR/$1.tar"
	[ "$status" -ne 124 ] || flunk "unpacking $1 hangs"
}

refused() {
	unpack "$1"
	[ "$status" -ne 0 ] || flunk "$1 was unpacked"
	[[ $output == *isle* ]] || flunk "no reason: $output"
}

@test "archives: names and links that lead out of the root" {
	local bait=$BATS_TEST_TMPDIR/bait
	mkdir "$bait"
	tarball dots <<<'add("../../../../../../'"$bait"'/dots")'
	refused dots
	tarball absolute <<<'add("'"$bait"'/absolute")'
	refused absolute
	tarball through <<-END
		add("out", tarfile.SYMTYPE, "$bait")
		add("out/through")
	END
	unpack through
	tarball up <<-END
		add("up", tarfile.SYMTYPE, "../../../../../../..$bait")
		add("up/up")
	END
	isle destroy -q --force evil 2>/dev/null || :
	unpack up
	tarball hard <<-'END'
		add("etc/shadow2", tarfile.LNKTYPE, "/etc/shadow")
		add("etc/shadow3", tarfile.LNKTYPE, "../../../../../../../etc/shadow")
	END
	isle destroy -q --force evil 2>/dev/null || :
	unpack hard
	is 'what came out' '' "$(ls "$bait")"
	is 'shadow in the image' '' "$(find "$ISLE_PATH/images" -samefile /etc/shadow)"
}

@test "archives: devices outside /dev, owners without an id, files without an end" {
	tarball device <<<'add("etc/disk", tarfile.BLKTYPE, device=(8, 0))'
	refused device
	tarball owner <<<'add("etc/owned", uid=4000000000)'
	refused owner
	tarball many <<-'END'
		for i in range(20000):
		    add("d%d" % i, tarfile.DIRTYPE)
	END
	unpack many
	isle destroy -q --force evil 2>/dev/null || :
	python3 - "$BATS_TEST_TMPDIR/sparse.tar" <<-'END'
		import sys, tarfile
		with open(sys.argv[1], "wb") as f:
		    i = tarfile.TarInfo("etc/huge")
		    i.size = 1 << 50
		    f.write(i.tobuf(tarfile.GNU_FORMAT))
	END
	refused sparse
}

@test "archives: the process that unpacks has namespaces of its own of every kind, few calls and no capability over the host" {
	local unpacker parent child='' kind
	[ -x "${ISLE%/*}/isle-unpack" ] || [ -x "${ISLE%/*}/../libexec/isle/isle-unpack" ] || skip 'isle-unpack is not beside isle'
	unpacker=${ISLE%/*}/isle-unpack
	[ -x "$unpacker" ] || unpacker=${ISLE%/*}/../libexec/isle/isle-unpack
	mkdir "$BATS_TEST_TMPDIR/root"
	tarball good <<<''
	mkfifo "$BATS_TEST_TMPDIR/slow"
	"$unpacker" - "$BATS_TEST_TMPDIR/root" <"$BATS_TEST_TMPDIR/slow" &
	parent=$!
	exec 5>"$BATS_TEST_TMPDIR/slow"
	head -c 100000 "$BATS_TEST_TMPDIR/good.tar" >&5
	begun() { [ -d "$BATS_TEST_TMPDIR/root/sbin" ]; }
	wait_until 10 begun
	# shellcheck disable=SC2317 # called below
	has_child() { child=$(pgrep -P "$parent"); }
	wait_until 10 has_child
	for kind in user mnt pid net uts ipc cgroup; do
		isnt "$kind namespace" "$(readlink /proc/self/ns/$kind)" "$(readlink "/proc/$child/ns/$kind")"
	done
	is 'ids' '0 0 65536' "$(awk '{ print $1, $2, $3 }' "/proc/$child/uid_map")"
	is 'filter' 2 "$(sed -n 's/^Seccomp:.//p' "/proc/$child/status")"
	is 'no new privileges' 1 "$(sed -n 's/^NoNewPrivs:.//p' "/proc/$child/status")"
	# chown, dac_override, fowner, fsetid and setfcap, in its user namespace
	is 'capabilities' 000000008000001b "$(sed -n 's/^CapEff:.//p' "/proc/$child/status")"
	is 'core limit' '1 1' "$(awk '/core file/ { print $5, $6 }' "/proc/$child/limits")"
	is 'what it sees' '' "$(ls "/proc/$child/root/etc")"
	tail -c +100001 "$BATS_TEST_TMPDIR/good.tar" >&5
	exec 5>&-
	wait "$parent"
	[ -x "$BATS_TEST_TMPDIR/root/bin/sh" ]
}

@test "archives: file capabilities come along and count in the guest" {
	tarball capable <<-'END'
		add("bin/ping", data=b"x", pax={"SCHILY.xattr.security.capability": b"\x01\x00\x00\x02\x00 \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00".decode("latin1")})
		add("etc/owned", uid=1000)
	END
	works isle create -q evil -t local --storage overlay -- --file "$BATS_TEST_TMPDIR/capable.tar"
	image=$(field evil .image)
	says_not isle
	works getcap "$ISLE_PATH/images/$image/rootfs/bin/ping"
	says cap_net_raw
	is 'owner' 1000 "$(stat -c %u "$ISLE_PATH/images/$image/rootfs/etc/owned")"
}

@test "archives: what is none" {
	head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/noise.tar"
	refused noise
	: >"$BATS_TEST_TMPDIR/empty.tar"
	refused empty
	mkfifo "$BATS_TEST_TMPDIR/fifo.tar"
	refused fifo
	mkdir "$BATS_TEST_TMPDIR/folder.tar"
	refused folder
	head -c 100000000 /dev/zero | gzip | gzip >"$BATS_TEST_TMPDIR/zeros.tar"
	refused zeros
}

@test "archives: a config in a tarball is no config of the guest's" {
	tarball config <<-'END'
		add("config", data=b"[security]\nprivileged = yes\n")
		add("../config", data=b"[security]\nprivileged = yes\n")
	END
	unpack config
	[ "$status" -ne 0 ] || is privileged no "$(isle config evil get security.privileged)"
}
