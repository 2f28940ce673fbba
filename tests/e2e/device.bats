#!/usr/bin/env bats
# isle device: devices of the host given to a guest and taken back, live and at starts.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	truncate -s 4M "$E2E_ROOT/disk"
	LOOP=$(losetup --find --show "$E2E_ROOT/disk")
	printf 'what is on the disk' | dd of="$LOOP" conv=notrunc status=none
	export LOOP
}

teardown_file() {
	end_of_file
	losetup -d "$LOOP"
}

teardown() {
	local name
	for name in $(isle device one list --json | jq -r '.[].name'); do
		isle device one remove "$name"
	done
}

# Every test begins with a running guest without devices.
running() {
	[ "$(state one)" = running ] || isle start one
}

inside() {
	isle exec one -- sh -c "$1"
}

# For what the guest's root, or the host, must not be able to do or find.
cannot() {
	run "$@"
	[ "$status" -ne 0 ] || flunk "it worked: $*"
}

opens() {
	inside "dd if=$1 of=/dev/null bs=1 count=1 2>/dev/null"
}

# isle device one ARGUMENT..., killed after DELAY.
killed() {
	local delay=$1
	shift
	{ timeout -s KILL "$delay" "$ISLE" device one "$@" || :; } 2>/dev/null
}

# What the config, the record and the guest say of device NAME at PATH is the same: yes or no.
agree() {
	local config=no record=no guest=no
	isle config one show | grep -q "^device\.$1\.source" && config=yes
	[ "$(field one ".devices[] | select(.name == \"$1\") | .name")" = "$1" ] && record=yes
	opens "$2" && guest=yes
	is "config, record and guest" "$config $config $config" "$config $record $guest"
}

@test "device: a block device comes into a running guest, and goes" {
	running
	cannot opens "$LOOP"
	works isle device one add disk --source "$LOOP" --target /dev/vd/disk --access r
	is contents 'what is on the disk' "$(inside 'head -c 19 /dev/vd/disk')"
	is node 'block special file 660 0 0' "$(inside 'stat -c "%F %a %u %g" /dev/vd/disk')"
	cannot inside 'echo x >/dev/vd/disk'
	is info "disk /dev/vd/disk block r" "$(field one '.devices[] | "\(.name) \(.target) \(.kind) \(.access)"')"
	works isle info one
	says '/dev/vd/disk'
	works isle device one remove disk
	cannot inside '[ -e /dev/vd/disk ] || [ -e /dev/vd ]'
	is record '' "$(field one '.devices[]')"
	is config '' "$(isle config one show | grep ^device || :)"
}

@test "device: the guest's node is its own, the host's stays as it is" {
	running
	before=$(stat -c '%a %u %g' "$LOOP")
	isle device one add disk -s "$LOOP" -m 0640 --uid 5 --gid 6
	is node '640 5 6' "$(inside "stat -c '%a %u %g' $LOOP")"
	inside "chmod 777 $LOOP; chown 7:7 $LOOP"
	is 'changed node' '777 7 7' "$(inside "stat -c '%a %u %g' $LOOP")"
	is host "$before" "$(stat -c '%a %u %g' "$LOOP")"
}

@test "device: without m no further nodes of it, without w no writing" {
	running
	isle device one add log -s /dev/loop-control -t /dev/hostlog -a r
	inside 'exec 3</dev/hostlog'
	cannot inside 'exec 3>/dev/hostlog'
	cannot inside 'mknod /root/log c 10 237'
}

@test "device: what a guest has copied elsewhere opens no more once it is removed" {
	running
	isle device one add log -s /dev/loop-control -a r
	inside 'mkdir -p /run/away; touch /run/away/log; mount --bind /dev/loop-control /run/away/log; exec 3</run/away/log'
	isle device one remove log
	inside '[ -c /run/away/log ]'
	cannot inside 'exec 3</run/away/log'
	inside 'umount /run/away/log'
}

@test "device: a section lives through restarts, in the order of the file" {
	isle stop --kill one || :
	isle device one add disk -s "$LOOP" -t /dev/d0
	isle device one add log -s /dev/loop-control -t /dev/sub/log -a r
	is 'not live' 'false false' "$(isle device one list --json | jq -r 'map(.live) | join(" ")')"
	isle start one
	opens /dev/d0
	inside 'exec 3</dev/sub/log'
	is live 'true true' "$(isle device one list --json | jq -r 'map(.live) | join(" ")')"
	isle restart --kill one
	opens /dev/d0
	isle exec one -- reboot -f || :
	wait_until 20 eval '[ "$(field one .starts)" = 2 ]'
	wait_until 20 opens /dev/d0
	isle device one remove log
	cannot inside '[ -e /dev/sub ]'
	isle restart --kill one
	opens /dev/d0
	cannot inside '[ -e /dev/sub ]'
}

@test "device: list shows what waits and what is there" {
	running
	isle device one add disk -s "$LOOP" -t /dev/d0
	isle config one set device.later.source=/dev/loop-control
	works isle device one list
	says 'in use'
	says 'at the next start'
	isle config one unset device.disk
	works isle device one
	says 'until the stop'
	opens /dev/d0
	isle device one remove disk
	cannot opens /dev/d0
}

@test "device: what is missing is refused, or passed over when it is optional" {
	running
	fails 1 isle device one add gone --source /dev/there-is-none
	is config '' "$(isle config one show | grep ^device || :)"
	isle config one set device.gone.source=/dev/there-is-none
	isle stop --kill one
	fails 1 isle start one
	says 'one/config:'
	says 'find device /dev/there-is-none'
	isle config one set device.gone.optional=yes
	isle start one
	is devices '' "$(field one '.devices[]')"
}

@test "device: bad input changes nothing" {
	running
	cp "$ISLE_PATH/guests/one/config" "$BATS_TEST_TMPDIR/before"
	fails 2 isle device one add
	fails 2 isle device one add x
	fails 2 isle device one add ../x --source /dev/loop-control
	fails 2 isle device one add a.b --source /dev/loop-control
	fails 2 isle device one add x --source kmsg
	fails 2 isle device one add x --source /srv/kmsg
	fails 2 isle device one add x --source /dev/loop-control --target /etc/passwd
	fails 2 isle device one add x --source /dev/loop-control --target /dev/../etc/passwd
	fails 2 isle device one add x --source /dev/loop-control --target /dev/pts/0
	fails 2 isle device one add x --source /dev/loop-control --access rwx
	fails 2 isle device one add x --source /dev/loop-control --mode 4755
	fails 2 isle device one add x --source /dev/loop-control --uid 70000
	fails 2 isle device one add x --source $'/dev/km\nsg'
	fails 2 isle device one add x --source lo --type nic
	fails 2 isle device one remove
	fails 2 isle device one remove x --source /dev/loop-control
	fails 2 isle device one list x
	fails 2 isle device one lst
	says "did you mean 'list'"
	fails 1 isle device one add x --source /etc/passwd --target /dev/x
	says 'no device node'
	fails 1 isle device one remove x
	fails 3 isle device nobody list
	isle device one add log --source /dev/loop-control
	fails 4 isle device one add log --source /dev/loop-control --target /dev/y
	fails 2 isle device one add log2 --source /dev/loop-control
	says 'both have the target'
	isle device one remove log
	cmp "$BATS_TEST_TMPDIR/before" "$ISLE_PATH/guests/one/config"
	is devices '' "$(field one '.devices[]')"
}

@test "device: the guest cannot choose where it goes" {
	running
	inside 'ln -s /etc /dev/link; mkdir -p /dev/over; mount -t tmpfs none /dev/over; echo mine >/dev/taken'
	fails 1 isle device one add a -s /dev/loop-control -t /dev/link/passwd
	fails 1 isle device one add a -s /dev/loop-control -t /dev/over/x
	fails 1 isle device one add a -s /dev/loop-control -t /dev/taken
	says 'the guest has something there'
	is 'its file' mine "$(inside 'cat /dev/taken')"
	is passwd 'regular file' "$(inside 'stat -c %F /etc/passwd')"
	is config '' "$(isle config one show | grep ^device || :)"
	is devices '' "$(field one '.devices[]')"
	inside 'umount /dev/over; rmdir /dev/over; rm /dev/link /dev/taken'
}

@test "device: a guest without its own /dev gets nothing, and keeps nothing" {
	running
	isle device one add disk -s "$LOOP" -t /dev/d0
	inside 'mkdir /run/hidden; mount --move /dev /run/hidden; rmdir /dev; ln -s /run/hidden /dev'
	fails 1 isle device one add log -s /dev/loop-control
	isle device one remove disk
	cannot opens /run/hidden/d0
	inside 'rm /dev; mkdir /dev; mount --move /run/hidden /dev'
	isle device one add log -s /dev/loop-control -a r
	isle restart --kill one
}

@test "device: adding and removing, killed at any moment, is whole after the next command" {
	running
	isle device one add log -s /dev/loop-control -a r
	local delay
	for delay in 0.001 0.002 0.003 0.004 0.005 0.006 0.007 0.008 0.01 0.012 0.014 0.017 0.02 0.025 0.03; do
		killed "$delay" add disk -s "$LOOP" -t /dev/d0
		isle config one set guest.description="$delay"
		agree disk /dev/d0
		[ -z "$(isle config one show | grep ^device.disk)" ] || isle device one remove disk
		isle device one add disk -s "$LOOP" -t /dev/d0
		agree disk /dev/d0
		killed "$delay" remove disk
		isle config one set guest.description="$delay"
		agree disk /dev/d0
		[ -z "$(isle config one show | grep ^device.disk)" ] || isle device one remove disk
	done
	inside 'exec 3</dev/loop-control'
}

# What the run record has of disk: = there, + being added, - being removed. As a command would leave it that was killed there.
phase() {
	sed -i "s/^device=disk [-=+]/device=disk $1/" "$ISLE_PATH/run/one/record"
	grep -q "^device=disk $1 " "$ISLE_PATH/run/one/record"
}

@test "device: the config decides what becomes of a command that was killed in the middle" {
	running
	isle device one add disk -s "$LOOP" -t /dev/d0
	cp "$ISLE_PATH/guests/one/config" "$BATS_TEST_TMPDIR/with"
	for mark in + -; do
		phase "$mark"
		isle config one set guest.description="$mark"
		agree disk /dev/d0
		opens /dev/d0
		phase '='
	done
	for mark in + -; do
		phase "$mark"
		sed -i '/^\[device disk\]/,$d' "$ISLE_PATH/guests/one/config"
		isle config one set guest.description="$mark"
		agree disk /dev/d0
		cannot opens /dev/d0
		cannot inside '[ -e /dev/d0 ]'
		[ "$mark" = - ] || isle device one add disk -s "$LOOP" -t /dev/d0
	done
}

@test "device: a frozen guest takes them too" {
	running
	isle freeze one
	isle device one add disk -s "$LOOP" -t /dev/d0
	isle unfreeze one
	opens /dev/d0
}

@test "device: as many as there may be" {
	running
	for n in $(seq 32); do
		isle device one add "d$n" -s "$LOOP" -t "/dev/many/d$n"
	done
	opens /dev/many/d1
	opens /dev/many/d32
	fails 2 isle device one add d33 -s "$LOOP" -t /dev/many/d33
	isle restart --kill one
	opens /dev/many/d1
	opens /dev/many/d32
}

@test "device: an interface moves in, and comes back when it is removed or the guest ends" {
	ip link add nic0 type veth peer name nic1
	isle stop --kill one || :
	isle start one
	isle device one add lan --type nic -s nic0 -t lan0
	inside 'ip link show lan0' >/dev/null
	cannot ip link show nic0
	inside 'ip link set lan0 up; ip link set lan0 down; ip link set lan0 name other'
	isle device one remove lan
	ip link show nic0
	# At a start, at a stop, killed, by itself, rebooted.
	isle config one set device.lan.type=nic device.lan.source=nic0
	isle restart --kill one
	inside 'ip link set nic0 up'
	cannot ip link show nic0
	isle stop --kill one
	ip link show nic0
	isle start one
	isle stop one
	ip link show nic0
	isle start one
	inside 'poweroff -f' || :
	wait_until 20 eval '[ "$(state one)" = stopped ]'
	ip link show nic0
	isle start one
	inside 'reboot -f' || :
	wait_until 20 eval '[ "$(field one .starts)" = 2 ]'
	wait_until 20 inside 'ip link show nic0'
	# The monitor killed, then the guest.
	kill -9 "$(monitor_pid one)"
	isle stop --kill one
	ip link show nic0
	# A start that fails behind it.
	run env ISLE_FAULT='run record:fail' "$ISLE" start one
	ip link show nic0
	run env ISLE_FAULT='host interfaces:kill' "$ISLE" start one
	isle config one set guest.description=x
	ip link show nic0
	run env ISLE_FAULT='host interfaces:kill-after' "$ISLE" start one
	# What is no hardware ends with the guest's network when nobody is left to take it back; the next command says so and goes on.
	fails 1 isle start one
	says 'find link nic0'
	isle config one unset device.lan
	isle start one
}

@test "device: an interface that is not free is refused" {
	running
	ip link add nic0 type veth peer name nic1
	ip link add br9 type bridge
	ip link set nic0 master br9
	fails 1 isle device one add lan --type nic -s nic0
	says 'port of a bridge'
	fails 1 isle device one add lan --type nic -s none9
	inside 'ip link add taken type dummy || ip link add taken type veth peer name taken1'
	fails 1 isle device one add lan --type nic -s nic1 -t taken
	ip link show nic1
	is devices '' "$(field one '.devices[]')"
	ip link del nic0
	ip link del br9
}

@test "device: a mount of a device that is none of the usual is refused with the way to do it" {
	isle stop --kill one || :
	isle config one set mount.k.source=/dev/loop-control mount.k.target=/dev/loop-control mount.k.options=create=file
	fails 1 isle start one
	says '[device NAME]'
	isle config one set mount.k.source=/dev/null
	isle start one
	isle stop --kill one
	isle config one unset mount.k
}

@test "device: completion knows guests, actions and devices" {
	running
	isle device one add disk -s "$LOOP" -t /dev/d0
	is guests one "$("$ISLE" _complete -- isle device o)"
	is actions $'add\nremove\nlist' "$("$ISLE" _complete -- isle device one '')"
	is devices disk "$("$ISLE" _complete -- isle device one remove d)"
}

@test "device: a path in the name's place, as lxc-device has it" {
	running
	ln -sf "$ISLE" "$BATS_TEST_TMPDIR/isle-device"
	"$BATS_TEST_TMPDIR/isle-device" -n one add "$LOOP"
	opens "$LOOP"
	"$BATS_TEST_TMPDIR/isle-device" -n one add /dev/loop-control /dev/other
	is devices "${LOOP##*/} loop-control" "$(isle device one list --json | jq -r 'map(.name) | join(" ")')"
	inside 'exec 3</dev/other'
	"$BATS_TEST_TMPDIR/isle-device" -n one del "$LOOP"
	cannot opens "$LOOP"
	fails 2 isle device one add a b --source /dev/loop-control
	fails 2 isle device one remove a b
}

@test "device: the plan names the steps" {
	isle stop --kill one || :
	works isle start --plan one
	says 'device program'
	says 'core program'
	[ ! -e /proc/modules ] || says 'module program'
	says_not 'device nodes'
	isle config one set device.x.type=nic device.x.source=nic0
	works isle start --plan one
	says 'device nodes'
	says 'host interfaces'
	isle config one unset device.x
}
