#!/usr/bin/env bats
# isle checkpoint and restore of Debian guests with systemd, E2E_CYCLES times in a row (3 when it is not set): after each, all is as before.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	has_criu && [ "$E2E_DEBIAN" = yes ] || return 0
	build_zoo
	mkdir -p "$E2E_ROOT/data"
	echo outside >"$E2E_ROOT/data/file"
	chmod 711 "$E2E_ROOT"
}

setup() {
	needs_criu
	needs_debian
}

teardown() {
	local names
	names=$(isle list -1)
	# shellcheck disable=SC2086 # names have no blanks
	[ -z "$names" ] || isle destroy --force $names
	rm -f "$ISLE_PATH/networks/second"
	[ ! -e /sys/class/net/e2esecond ] || ip link del e2esecond
}

teardown_file() { end_of_file; }

# How long each stood still and took to wake, for whoever reads the log.
note() {
	printf '# %s\n' "$*" >&3
}

is_up() {
	[ "$(isle exec "$1" -- systemctl is-system-running 2>/dev/null)" = running ]
}

# up GUEST: started, with services that sandbox themselves and something that counts, and connected to.
up() {
	isle start --wait --timeout 120 "$1"
	wait_until 60 is_up "$1"
	isle exec "$1" -- systemd-run -q -u sandboxed -p DynamicUser=yes -p ProtectSystem=strict -p PrivateTmp=yes -p PrivateDevices=yes \
		-p NoNewPrivileges=yes -p StateDirectory=sandboxed sh -c 'while :; do date >/var/lib/sandboxed/now; sleep 1; done'
	isle exec "$1" -- systemd-run -q -u netless -p PrivateNetwork=yes sleep infinity
	isle exec "$1" -- systemd-run -q -u trusted -p DynamicUser=yes -p PrivateTmp=yes -p SetCredential=word:hidden -p StateDirectory=trusted sh -c '
		while :; do cat "$CREDENTIALS_DIRECTORY/word" >/var/lib/trusted/seen; sleep 0.3; done'
	isle exec "$1" -- systemd-run -q -u noisy sh -c 'while sleep 0.3; do i=$((i + 1)); echo "noise $i"; done'
	# Groups that systemd gives to a user, with limits of theirs.
	isle exec "$1" -- systemd-run -q -u given -p User=daemon -p Delegate=yes -p TasksMax=50 -p MemoryMax=200M -p CPUWeight=50 sh -c '
		mkdir "/sys/fs/cgroup/system.slice/given.service/own" && exec sleep infinity'
	given() { isle exec -q "$1" -- test -d /sys/fs/cgroup/system.slice/given.service/own; }
	wait_until 10 given "$1"
	bring_zoo "$1"
	is echo ready "$(hold "$1" echo)"
	begin_count "$1"
	connect "$1"
}

# What must be the same afterwards. Numbers of devices and mounts are the kernel's own business.
picture() {
	isle exec "$1" -- sh -c '
		hostname
		ip -o address | sed "s/ tentative//; s/ *[\\\\] *valid_lft.*//; s/^[0-9]*: //"
		ip route; ip -6 route | grep -v "^fe80\|expires" | sort
		cut -d" " -f4- /proc/1/mountinfo | sed "s|\(/run/credentials/[^ ]*\) .*|\1|; s|^/[0-9]* /dev/console|/dev/console|; s/ shared:[0-9]*//; s/ master:[0-9]*//; /console-getty/d" | sort
		find /sys/fs/cgroup -mindepth 1 -printf "%y %m %u %g %p\n" | grep -v "\.scope\|user.slice\|systemd-tmpfiles" | sort
		find /sys/fs/cgroup -mindepth 1 \( -name "*.max" -o -name "*.weight" -o -name "*.subtree_control" -o -name "*.controllers" \) \
			-exec grep -H "" {} + | grep -v "\.scope\|user.slice\|systemd-tmpfiles" | sort
		stat -c "%a %u %g %t %n" /dev/* /dev/pts/* | grep -v "/dev/pts/[0-9]" | sort
		ulimit -a; id'
	nsenter -t "$(init_pid "$1")" -n nft -s list ruleset
	nft list ruleset | grep "is$E2E_TAG-$1" | sed 's/ packets [0-9]* bytes [0-9]*//' # what it may send
	field "$1" '.links[] | [.name, .inside, .mac, .address, .address6]'
	for file in memory.max pids.max cpu.max memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us memory/memory.limit_in_bytes; do
		cat "/sys/fs/cgroup/$(field "$1" .cgroup)/$file" "/sys/fs/cgroup/${file%/*}/$(field "$1" .cgroup)/${file#*/}" 2>/dev/null || :
	done
}

noise_of() { isle exec "$1" -- journalctl -q -u noisy -n 1 -o cat --no-pager; }

# No unit has failed, one can be restarted, the journal takes a line, the console answers.
healthy() {
	local mark=$RANDOM-$RANDOM
	is 'failed units' '' "$(isle exec "$1" -- systemctl --failed --no-legend --plain)"
	is system running "$(isle exec "$1" -- systemctl is-system-running)"
	isle exec "$1" -- rm -f /var/lib/private/trusted/seen
	trusted() { [ "$(isle exec "$1" -- cat /var/lib/private/trusted/seen)" = hidden ]; }
	wait_until 10 trusted "$1"
	# Many cycles are quicker than systemd lets a unit be started.
	isle exec "$1" -- systemctl reset-failed systemd-logind "${unit:-systemd-journald}"
	isle exec "$1" -- systemctl restart systemd-logind "${unit:-systemd-journald}"
	is unit active "$(isle exec "$1" -- systemctl is-active "${unit:-systemd-journald}")"
	is 'sandboxed unit' active "$(isle exec "$1" -- systemctl is-active sandboxed)"
	# Also by a journal that was started anew, what units say is heard.
	noise=$(noise_of "$1")
	more_noise() { [ "$(noise_of "$1")" != "$noise" ]; }
	wait_until 10 more_noise "$1"
	isle exec "$1" -- logger -t e2e "line $mark"
	logged() { isle exec "$1" -- journalctl -q -t e2e --no-pager | grep -q "line $mark"; }
	wait_until 10 logged "$1"
	works "$E2E_HERE/terminal" see:Connected type:'\r' see:'login:' type:'\x01q' -- "$ISLE" console "$1"
	counts "$1"
	talks
}

nothing_but_files() {
	is cgroups '' "$(cgroups_left)"
	is links '' "$(links_awake)"
	assert_no_processes
	is mounts '' "$(mount_table | grep -v '/run/\.kept-' | comm -13 "$E2E_ROOT/mounts" -)"
	is 'folders of criu' '' "$(compgen -G '/tmp/.criu*')"
	is tables '' "$(nft list tables | grep CRIU)"
}

# cycles GUEST NUMBER: the guest is alone on this host.
cycles() {
	local before frozen began woken number starts
	starts=$(field "$1" .starts)
	before=$(picture "$1")
	for number in $(seq "$2"); do
		works isle checkpoint "$1"
		frozen=$(sed -n 's/.*frozen for \([0-9]* ms, .*\)/\1/p' <<<"$output")
		is state checkpointed "$(state "$1")"
		nothing_but_files
		began=$(milliseconds)
		isle start "$1"
		woken=$(($(milliseconds) - began))
		note "$BATS_TEST_DESCRIPTION, $number: frozen $frozen; isle start $woken ms; load $(cut -d' ' -f1 /proc/loadavg)"
		diff <(printf '%s\n' "$before") <(picture "$1") >"$E2E_ROOT/differs" || flunk "$(<"$E2E_ROOT/differs")"
		healthy "$1"
	done
	is starts "$starts" "$(field "$1" .starts)"
}

@test "debian: sleeps and wakes again and again, on an overlay" {
	unit=ssh
	make_debian one
	up one
	cycles one "${E2E_CYCLES:-3}"
	isle freeze one
	isle unfreeze one
	isle exec one -- systemctl freeze given
	fails 1 isle checkpoint one
	says 'of given.service): its control group is frozen'
	isle exec one -- systemctl thaw given
	is 'who has the message queues' '1777 root root' "$(isle exec one -- stat -c '%a %U %G' /dev/mqueue)"
	isle exec one -- systemctl reboot || :
	disconnect
	wait_until 60 is_up one
	healthy_again() { isle checkpoint -q one && isle start one; }
	healthy_again
	is system running "$(isle exec one -- systemctl is-system-running)"
	isle stop --timeout 60 one
	nothing_but_files
}

@test "debian: in a folder, with limits" {
	unit=ssh
	make_debian one --storage dir --set limits.memory=512M --set limits.processes=300 --set limits.cpus=1.5
	up one
	cycles one "${E2E_CYCLES:-2}"
	isle config one set limits.processes=200
	disconnect
}

@test "debian: privileged" {
	unit=ssh
	(($((16#$(sed -n 's/^CapBnd:\t//p' /proc/self/status))) >> 24 & 1)) ||
		skip 'this host has no CAP_SYS_RESOURCE, without which criu cannot dump processes of several users'
	make_debian one --set security.privileged=yes
	up one
	cycles one "${E2E_CYCLES:-2}"
	disconnect
}

@test "debian: with mounts of its own and of the host's" {
	unit=ssh
	make_debian one --set "mount.data.source=$E2E_ROOT/data" --set mount.data.target=/srv/data --set mount.data.options=create=dir \
		--set "mount.one.source=$E2E_ROOT/data/file" --set mount.one.target=/srv/file --set mount.one.options=ro,create=file \
		--set mount.scratch.type=tmpfs --set mount.scratch.source=none --set mount.scratch.target=/srv/scratch --set mount.scratch.options=create=dir
	up one
	isle exec one -- sh -c 'echo kept >/srv/scratch/file; mount -t tmpfs mine /mnt; echo own >/mnt/file; mount --bind /etc /srv/scratch 2>/dev/null || :
		exec 7</srv/data/file; sleep 1000 <&7 >/dev/null 2>&1 &'
	cycles one "${E2E_CYCLES:-2}"
	is outside outside "$(isle exec one -- cat /srv/data/file)"
	is 'a file' outside "$(isle exec one -- cat /srv/file)"
	is own own "$(isle exec one -- cat /mnt/file)"
	disconnect
}

@test "debian: with a packet filter of its own" {
	unit=ssh
	make_debian one
	up one
	nsenter -t "$(init_pid one)" -n nft -f - <<-END
		table inet own {
			chain in { type filter hook input priority 0; policy accept; tcp dport { 22, 80 } counter accept; ip saddr 192.0.2.0/24 drop; ct state established accept; }
		}
	END
	rules=$(nsenter -t "$(init_pid one)" -n nft -s list ruleset)
	isle checkpoint -q one
	isle start one
	is rules "$rules" "$(nsenter -t "$(init_pid one)" -n nft -s list ruleset)"
	healthy one
	isle checkpoint -q one
	isle start one
	is rules "$rules" "$(nsenter -t "$(init_pid one)" -n nft -s list ruleset)"
	disconnect
}

@test "debian: with two interfaces" {
	unit=ssh
	printf '[network]\ntype = bridge\nbridge = e2esecond\naddress4 = 10.231.7.1/24\nnat = no\n' >"$ISLE_PATH/networks/second"
	chmod 644 "$ISLE_PATH/networks/second"
	make_debian one --set network.eth0.type=bridge --set network.eth1.link=second --set network.eth1.address6=none
	up one
	second=$(field one '.links[] | select(.inside == "eth1" or .name == "eth1") | .address' | cut -d/ -f1)
	cycles one "${E2E_CYCLES:-2}"
	for address in "$(address one)" "$second"; do
		timeout 10 bash -c "exec 6<>/dev/tcp/$address/7777; echo there >&6; read -r line <&6; [ \"\$line\" = there ]" || flunk "$address does not answer"
	done
	disconnect
}

@test "debian: a connection from another guest carries data all the time, none is lost" {
	make_debian one
	make_guest two
	up one
	disconnect
	isle start two
	isle exec two -- sh -c "(while :; do echo \$((i=i+1)); usleep 20000; done) | nc $(address one) 7777 >/tmp/out 2>/tmp/err & echo \$! >/tmp/nc"
	wait_until 10 isle exec -q two -- test -s /tmp/out
	for _ in 1 2 3; do
		isle checkpoint -q one
		isle start one
		seen=$(isle exec two -- sh -c 'wc -l </tmp/out')
		further() { [ "$(isle exec two -- sh -c 'wc -l </tmp/out')" -gt $((seen + 5)) ]; }
		wait_until 30 further
	done
	is errors '' "$(isle exec two -- cat /tmp/err)"
	isle exec two -- cat /tmp/out | awk '$0 != NR { print "line " NR " is " $0; bad = 1 } END { exit bad }' || flunk 'data was lost'
}

@test "debian: the release 13" {
	needs_release trixie
	isle create -q -t debian one -- --release trixie
	up one
	cycles one "${E2E_CYCLES:-3}"
	disconnect
}

@test "debian: the release 11" {
	needs_release bullseye
	isle create -q -t debian one -- --release bullseye
	up one
	cycles one "${E2E_CYCLES:-1}"
	disconnect
}

@test "debian: unstable" {
	needs_release sid
	isle create -q -t debian one -- --release sid
	up one
	cycles one "${E2E_CYCLES:-1}"
	disconnect
}
