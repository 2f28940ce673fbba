#!/usr/bin/env bats
# Device nodes: those that are there, those that an image brings, those that the guest would make.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

# Each start makes it anew: what a guest has put there, taken away or exchanged is no more.
@test "devices: /dev holds what is listed here and no more, at each start" {
	works inside one 'cd /dev; echo x >evil; ln -sf /etc/passwd log; rm -f full; mv zero null-2; mkdir sub; ln -sfn /proc/kcore stdin; echo x >shm/kept'
	isle restart --kill one
	arm one
	is 'what was put there' '' "$(inside one 'cd /dev; ls -d evil log null-2 sub shm/kept 2>/dev/null || :')"
	is 'a link' /proc/self/fd/0 "$(inside one 'readlink /dev/stdin')"
	is nodes 'console full fuse net/tun null ptmx random tty urandom zero' \
		"$(inside one 'cd /dev; echo $({ find . ! -type d ! -type l ! -path "./pts/*"; ls ./ptmx; } | sed "s,^./,," | sort)')"
}

@test "devices: none can be made, in any place" {
	for place in /root /dev /tmp /dev/shm /run; do
		for node in 'b 8 0' 'b 254 0' 'c 1 1' 'c 1 3' 'c 10 232'; do
			# shellcheck disable=SC2086 # three words
			! inside one "mknod $place/node $node" 2>/dev/null || flunk "mknod $place/node $node"
		done
	done
}

@test "devices: nodes of the host that are shared keep owner, mode and contents" {
	for node in null zero full random urandom tty; do
		! inside one "chmod 700 /dev/$node" 2>/dev/null || flunk "chmod /dev/$node"
		! inside one "chown 0:0 /dev/$node" 2>/dev/null || flunk "chown /dev/$node"
		! inside one "chattr +i /dev/$node" 2>/dev/null || flunk "chattr /dev/$node"
		inside one "rm -f /dev/$node; mv /dev/$node /dev/x" 2>/dev/null || :
		[ -c "/dev/$node" ]
	done
}

@test "devices: an image's nodes do not come into a guest" {
	local template=$BATS_TEST_TMPDIR/evil
	cat >"$template" <<-'END'
		#!/bin/sh
		for word; do case $word in --rootfs=*) root=${word#*=} ;; esac; done
		mkdir -p "$root/bin" "$root/sbin" "$root/dev" "$root/etc" "$root/proc" "$root/sys" "$root/opt/deep/er"
		cp "$(command -v busybox)" "$root/bin/busybox"
		chroot "$root" /bin/busybox --install -s /bin
		ln -s /bin/busybox "$root/sbin/init"
		mknod -m 666 "$root/dev/zero2" c 1 5
		mknod -m 666 "$root/opt/zero" c 1 5
		mknod -m 666 "$root/opt/deep/er/zero" c 1 5
	END
	chmod 755 "$template"
	for storage in overlay dir; do
		isle create -q two -t "$template" --storage "$storage"
		isle start two
		! inside two 'umount -l /dev; head -c 1 /dev/zero2 || head -c 1 /opt/zero || head -c 1 /opt/deep/er/zero' 2>/dev/null ||
			flunk "a device of the image works on $storage"
		isle destroy --force two
	done
	is 'nodes in images' '' "$(find "$ISLE_PATH/images" -type b -o -type c)"
}

# NODE...: each as kind, major and minor; made in several places, none is made, and none opens.
makes_none() {
	local guest=$1 place node
	shift
	for place in /root /dev /tmp /run; do
		for node; do
			! inside "$guest" "mknod $place/node $node" 2>/dev/null || flunk "mknod $place/node $node"
		done
	done
}

# The host's disk, whatever it is here, memory, ports, the log, the consoles, kvm.
host_nodes() {
	printf '%s\n' 'b 8 0' 'b 254 0' 'b 259 0' 'b 7 0' 'c 1 1' 'c 1 2' 'c 1 4' 'c 1 11' 'c 5 1' 'c 4 0' 'c 10 232' 'c 10 237'
}

@test "devices: root of a privileged guest can make and open none of the host's" {
	isle create -q priv -t busybox --privileged
	isle start priv
	local nodes
	mapfile -t nodes < <(host_nodes)
	makes_none priv "${nodes[@]}"
	# What the host's own file system of devices has: the nodes are there, and open nothing.
	inside priv 'mkdir -p /run/all; mount -t devtmpfs none /run/all' || :
	for node in mem port kmsg kvm loop0 loop-control vda sda vdb tty0 console mapper/control; do
		inside priv "[ -c /run/all/$node ] || [ -b /run/all/$node ]" || continue
		! inside priv "exec 3</run/all/$node" 2>/dev/null || flunk "opened $node"
		! inside priv "exec 3>/run/all/$node" 2>/dev/null || flunk "opened $node to write"
	done
	# What the host has mounted the kernel mounts again without opening its disk (fs/super.c, get_tree_bdev): AppArmor keeps the nodes
	# from such a guest.
	if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
		! inside priv '[ -e /run/all/null ]' || flunk 'mounted devtmpfs under AppArmor'
	fi
	! inside priv 'mount -t ext4 /run/all/loop6 /mnt' 2>/dev/null || flunk 'mounted a disk'
	! inside priv 'losetup /run/all/loop0 /bin/busybox' 2>/dev/null || flunk 'a loop device'
	inside priv 'echo x >/dev/null; head -c 1 /dev/urandom >/dev/null; exec 3<>/dev/ptmx'
	isle destroy --force priv
}

# What an image of the host's, or a [mount], brings along.
@test "devices: nodes that come by a mount open nothing, in a privileged guest neither" {
	local shared=$BATS_TEST_TMPDIR/shared
	mkdir "$shared"
	mknod -m 666 "$shared/mem" c 1 1
	mknod -m 666 "$shared/loop" b 7 0
	mknod -m 666 "$shared/control" c 10 237
	for how in '' --privileged; do
		# shellcheck disable=SC2086 # none or one word
		isle create -q two -t busybox $how
		isle config two set mount.s.source="$shared" mount.s.target=/shared
		isle start two
		for node in mem loop control; do
			inside two "[ -e /shared/$node ]"
			! inside two "exec 3</shared/$node" 2>/dev/null || flunk "opened $node ($how)"
		done
		isle destroy --force two
	done
}

@test "devices: what was removed opens no more, wherever the guest has kept it" {
	: </dev/loop-control # has the host's kernel load the driver, which a guest's wish does not
	isle device one add loops --source /dev/loop-control --mode 0666
	inside one 'exec 3</dev/loop-control'
	inside one 'mkdir -p /run/kept; touch /run/kept/a; mount --bind /dev/loop-control /run/kept/a; mount --move /dev/loop-control /run/kept/a || :'
	isle device one remove loops
	! inside one 'exec 3</run/kept/a' 2>/dev/null || flunk 'it opens'
	! inside one '[ -e /dev/loop-control ]' 2>/dev/null || flunk 'something is left in /dev'
}

@test "devices: a given device can be neither made again nor widened" {
	isle device one add loops --source /dev/loop-control --access r --mode 0400
	inside one 'exec 3</dev/loop-control'
	inside one 'chmod 777 /dev/loop-control'
	! inside one 'exec 3>/dev/loop-control' 2>/dev/null || flunk 'opened to write'
	makes_none one 'c 10 237'
	! inside one 'mount -o remount,rw,dev,suid,exec /dev/loop-control && exec 3>/dev/loop-control' 2>/dev/null || flunk 'remounted'
	isle device one remove loops
}

@test "devices: links and mounts in the way lead isle nowhere" {
	inside one 'ln -s / /dev/out; ln -s /etc/passwd /dev/file; mkdir /dev/m; mount -t tmpfs none /dev/m'
	for target in out/etc/new out/x file m/x m/self/x; do
		! isle device one add evil --source /dev/loop-control --target "/dev/$target" 2>/dev/null || flunk "$target"
	done
	[ ! -e /etc/new ]
	inside one '[ ! -e /etc/new ] && [ -f /etc/passwd ]'
	inside one 'umount /dev/m; rmdir /dev/m; rm /dev/out /dev/file'
}

# A swap of folder and link in a loop, while isle adds and removes below it.
@test "devices: a path that is swapped all the time leads isle nowhere" {
	timeout 100 "$ISLE" exec one -- sh -c 'n=0; while [ ! -e /run/stop ] && [ "$n" -lt 3000 ]; do
		mkdir -p /dev/a; mv /dev/a "/dev/b$n"; ln -s /etc /dev/a; rm -f /dev/a; rm -rf "/dev/b$n"; n=$((n + 1)); done' >/dev/null 2>&1 3>&- &
	local swapping=$!
	for _ in $(seq 40); do
		if isle device one add swap --source /dev/loop-control --target /dev/a/node 2>/dev/null; then
			isle device one remove swap
		fi
	done
	inside one 'touch /run/stop'
	wait "$swapping"
	inside one '[ ! -e /etc/node ]'
	[ ! -e /etc/node ]
	is devices '' "$(field one '.devices[]')"
}
