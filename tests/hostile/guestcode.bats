#!/usr/bin/env bats
# Programs and libraries of a guest's, which the host must never run: canary.c stands in their place and sings where it sees the host.
load lib
bats_require_minimum_version 1.5.0

setup() {
	rm -f "$HOSTILE_TOOLS"/bait/*
	before
}
teardown() {
	isle destroy -q --force evil clone 2>/dev/null || :
	same_host
}
teardown_file() { end_of_file; }

silent() {
	is 'what sang on the host' '' "$(ls "$HOSTILE_TOOLS/bait")"
}

# A template whose image has canaries wherever a host that works on it might look for a program, a library or a list of them.
evil_template() {
	cat >"$BATS_TEST_TMPDIR/evil" <<-END
		#!/bin/sh
		for word; do case \$word in --rootfs=*) root=\${word#*=} ;; esac; done
		mkdir -p "\$root/bin" "\$root/sbin" "\$root/usr/bin" "\$root/usr/sbin" "\$root/etc" "\$root/proc" "\$root/sys" "\$root/dev" "\$root/root" "\$root/var/lib" \
		    "\$root/lib64" "\$root/usr/share/zoneinfo/Europe" "\$root/lib/x86_64-linux-gnu" "\$root/usr/lib/x86_64-linux-gnu" "\$root/etc/ld.so.conf.d"
		cp "$(command -v busybox)" "\$root/bin/busybox"
		ln -s /bin/busybox "\$root/sbin/init"
		echo '::sysinit:/bin/busybox true' >"\$root/etc/inittab"
		for name in sh bash dash tar gzip xz zstd bzip2 cp rm mv find sed grep cat id env mount umount ip hostname passwd chpasswd useradd usermod ssh-keygen \
		    systemctl systemd-machine-id-setup dpkg apt-get modprobe ldconfig nologin login su sudo getent perl python3 isle isle-monitor isle-unpack; do
		    cp "$HOSTILE_TOOLS/canary" "\$root/bin/\$name"
		    cp "$HOSTILE_TOOLS/canary" "\$root/usr/bin/\$name"
		    cp "$HOSTILE_TOOLS/canary" "\$root/sbin/\$name"
		done
		for name in libnss_evil.so.2 libnss_files.so.2 libnss_compat.so.2 libnss_systemd.so.2 libc.so.6 libselinux.so.1 libapparmor.so.1 libcrypt.so.1 libgcc_s.so.1 \
		    libseccomp.so.2 libnftables.so.1 libnl-3.so.200 libjson-c.so.5; do
		    for folder in lib lib64 lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu; do cp "$HOSTILE_TOOLS/canary.so" "\$root/\$folder/\$name"; done
		done
		cp "$HOSTILE_TOOLS/canary" "\$root/lib64/ld-linux-x86-64.so.2"
		cp "$HOSTILE_TOOLS/canary.so" "\$root/evil.so"
		echo TZif2 >"\$root/usr/share/zoneinfo/Europe/Berlin"
		echo /evil.so >"\$root/etc/ld.so.preload"
		echo /lib >"\$root/etc/ld.so.conf"
		printf 'passwd: evil files\ngroup: evil files\nshadow: evil\nhosts: evil\n' >"\$root/etc/nsswitch.conf"
		printf 'root:x:0:0::/root:/bin/sh\n' >"\$root/etc/passwd"
		printf 'root:*:::::::\n' >"\$root/etc/shadow"
		printf 'root:x:0:\n' >"\$root/etc/group"
	END
	chmod 755 "$BATS_TEST_TMPDIR/evil"
}

@test "guestcode: the canary sings on the host, as a program and as a library" {
	"$HOSTILE_TOOLS/canary"
	[ -e "$HOSTILE_TOOLS/bait/canary" ] || flunk 'the program is silent'
	LD_PRELOAD=$HOSTILE_TOOLS/canary.so "$ISLE" version >/dev/null
	[ -e "$HOSTILE_TOOLS/bait/isle" ] || flunk 'the library is silent'
}

@test "guestcode: nothing of a hostile image is run or loaded by whatever isle does with it" {
	local storage
	evil_template
	ssh-keygen -q -t ed25519 -N '' -f "$BATS_TEST_TMPDIR/key" </dev/null 2>/dev/null ||
		echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHuC1E1RZ0xk1uRqIg9UXkzWbW1LkgQYc0y4BH5dWb1H a@b' >"$BATS_TEST_TMPDIR/key.pub"
	for storage in overlay dir; do
		works timeout 60 "$ISLE" create -q evil -t "$BATS_TEST_TMPDIR/evil" --storage "$storage" --ssh-key "$BATS_TEST_TMPDIR/key.pub" --timezone Europe/Berlin
		silent
		works timeout 30 "$ISLE" start evil
		works timeout 20 "$ISLE" exec evil -- /bin/busybox true
		works timeout 20 "$ISLE" exec --user root evil -- /bin/busybox true
		works timeout 20 "$ISLE" exec evil -- tar
		works timeout 20 "$ISLE" list --long
		works timeout 20 "$ISLE" info evil
		works timeout 20 "$ISLE" log evil
		isle freeze evil
		isle unfreeze evil
		works timeout 20 "$ISLE" config evil set limits.processes=100
		works timeout 30 "$ISLE" restart --kill evil
		! isle exec evil -- /bin/busybox test -e /loaded || flunk 'isle has loaded a library of the guest'
		run timeout 30 "$ISLE" stop --timeout 1 evil
		works isle rename evil clone
		works isle destroy --force clone
		silent
	done
	works isle image list
	silent
}
