#!/usr/bin/env bats
# A host of isle's own, with its default instance, units and sessions: changes the whole machine, so it runs in a VM only.
#   tests/vm/run bats tests/vm/host.bats
bats_require_minimum_version 1.5.0

# The helpers ask for a place of their own; this is about the place that isle has without being told.
export E2E_ROOT=$BATS_RUN_TMPDIR ISLE_PATH=/var/lib/isle ISLE=/usr/bin/isle
load ../e2e/lib
unset ISLE_PATH

setup_file() {
	[ "${ISLE_VM-}" = 1 ] || flunk 'not in a VM of tests/vm/run' || return 1
	make_guest one
	make_guest two
}

teardown() {
	[ -z "${HELD-}" ] || kill -CONT "$HELD" || :
	isle stop -q --all --kill || :
}

teardown_file() {
	isle destroy -q --force one two
	is 'scopes left' '' "$(systemctl list-units --all --no-legend --plain 'isle-*.scope')"
}

# A guest that was ended by force has "stopped (killed)" there.
not_killed() {
	works isle log --events "$1"
	[[ ${lines[-1]} == *Z\ stopped ]] || flunk "expected a clean stop of $1 at the end of" "$output"
}

# Started, and far enough to be asked to stop.
started() {
	isle start -q "$@"
	for name; do wait_until 20 isle exec "$name" -- pidof init; done
}

@test "host: a guest outlives the SSH session that started it although logind kills what is left" {
	mkdir -p /run/systemd/logind.conf.d
	# Root is spared by default.
	printf '[Login]\nKillUserProcesses=yes\nKillExcludeUsers=nobody\n' >/run/systemd/logind.conf.d/e2e.conf
	systemctl restart systemd-logind
	works ssh -o BatchMode=yes -o StrictHostKeyChecking=no localhost '
		cat /proc/self/cgroup
		isle start one
		setsid sleep 1000 >/dev/null 2>&1 </dev/null &
		echo "left $!"'
	[[ $output =~ /user.slice/user-0.slice/session-.*.scope ]] || flunk 'that was no session of logind' "$output"
	[[ $output =~ left\ ([0-9]+) ]]
	wait_until 20 gone "${BASH_REMATCH[1]}"
	is state running "$(state one)"
	monitor=$(monitor_pid one)
	[ -d "/proc/$monitor" ]
	is "the monitor's group" /isle.slice/isle-one.scope/monitor "$(sed -n s/^0:://p "/proc/$monitor/cgroup")"
	works isle exec one -- echo answers
	rm /run/systemd/logind.conf.d/e2e.conf
	systemctl restart systemd-logind
}

@test "host: machinectl and systemctl show a guest" {
	started one
	wait_until 10 machinectl show one
	works machinectl list --no-legend
	says 'one'
	says 'isle'
	works machinectl status one --no-pager
	says 'isle-one.scope'
	works systemctl status isle-one.scope --no-pager
	says "active (running)"
}

@test "host: stopping isle.slice ends all guests in their own manner, and they start again" {
	started one two
	systemctl stop isle.slice
	is 'state of one' stopped "$(state one)"
	is 'state of two' stopped "$(state two)"
	not_killed one
	not_killed two
	is 'scopes left' '' "$(systemctl list-units --all --no-legend --plain 'isle-*.scope')"
	isle start one
	is 'state of one' running "$(state one)"
	is 'the unit that ends guests first' active "$(systemctl is-active isle-shutdown.service)"
}

@test "host: isle.service starts what is marked, and its own end is no end of guests" {
	isle config one set guest.autostart=yes
	systemctl start isle.service
	is 'state of one' running "$(state one)"
	is 'state of two' stopped "$(state two)"
	is "init's group" /isle.slice/isle-one.scope/limits/guest "$(sed -n s/^0:://p "/proc/$(init_pid one)/cgroup")"
	systemctl stop isle.service
	is 'state of one' running "$(state one)"
	# One that fails is told, and the unit has not failed for it.
	isle stop --kill one
	isle config two set guest.autostart=yes guest.init=/no/such/init
	systemctl start isle.service
	is 'state of one' running "$(state one)"
	is unit active "$(systemctl is-active isle.service)"
	works journalctl -b -u isle.service --no-pager
	says "guest 'two'"
	systemctl stop isle.service
	isle config two unset guest.init
}

@test "host: isle@NAME.service is one guest" {
	systemctl start isle@one.service
	is 'state of one' running "$(state one)"
	wait_until 20 isle exec one -- pidof init
	systemctl stop isle@one.service
	is 'state of one' stopped "$(state one)"
	not_killed one
}

@test "host: isle@NAME.service is content with a guest that runs or ended already, and ends with all guests" {
	isle start one
	systemctl start isle@one.service
	isle stop --kill one
	systemctl restart isle@one.service
	is 'state of one' running "$(state one)"
	systemctl stop isle.slice
	is 'state of one' stopped "$(state one)"
	wait_until 20 unit_is_inactive isle@one.service # after the slice, which systemctl has waited for
	systemctl start isle@one.service
	is 'state of one' running "$(state one)"
	isle stop --kill one
	systemctl stop isle@one.service
	is 'how it ended' inactive "$(systemctl is-active isle@one.service)"
}

@test "host: systemd finds no fault with the units" {
	works systemd-analyze verify --man=no isle.service isle@one.service isle-shutdown.service isle.slice isle-metrics.socket isle-usage.timer isle-balance.timer isle-balance.timer
	says_not isle
}

@test "host: a stop of isle.slice at any moment of a start leaves no half guest" {
	local pause
	for pause in 0 0.1 0.3 0.6 1; do
		isle start -q one two &
		sleep "$pause"
		systemctl stop isle.slice
		wait $! || :
		# Whoever came first: what runs now was started after the stop.
		isle stop -q --all --kill || :
		is "scopes left after a stop at $pause s" '' "$(systemctl list-units --all --no-legend --plain 'isle-*.scope')"
		is 'processes left' '' "$(pgrep -a isle-monitor || :)"
		is states $'stopped\nstopped' "$(isle list -q --columns state one two)"
	done
	isle start one
	is 'state of one' running "$(state one)"
}

@test "host: while systemd reads its units anew, and while it executes itself anew, guests start and run on" {
	isle start one
	(for _ in 1 2 3; do systemctl daemon-reload; done) &
	isle start two
	wait $!
	systemctl daemon-reexec
	is 'state of one' running "$(state one)"
	isle restart --kill two
	is 'state of two' running "$(state two)"
	is "init's group" /isle.slice/isle-two.scope/limits/guest "$(sed -n s/^0:://p "/proc/$(init_pid two)/cgroup")"
}

# What is stopped must not stay so when a test fails.
on_hold() {
	HELD=$(systemctl show -P MainPID "$1")
	kill -STOP "$HELD"
}

# The process of isle@one.service's start that waits to be continued.
held_one() {
	journalctl -b -u isle@one.service -u isle-one.scope --no-pager -o cat | sed -n 's/.*CONT \([0-9]*\) .*/\1/p' | tail -n 1
}

holds_one() {
	[ -n "$(held_one)" ]
}

stops_one() {
	[[ $(systemctl show -P ActiveState isle@one.service) =~ ^(deactivating|inactive|failed)$ ]]
}

unit_is_inactive() {
	[ "$(systemctl show -P ActiveState "$1")" = inactive ]
}

told_unregistered() {
	isle log --events "$1" | grep -q 'not registered with systemd-machined'
}

@test "host: a machined that is masked, or does not answer, is in no guest's way" {
	systemctl mask -q --now systemd-machined
	isle start one
	wait_until 20 isle exec one -- pidof init
	isle stop --kill one
	systemctl unmask -q systemd-machined
	systemctl start systemd-machined
	on_hold systemd-machined
	isle start one
	is answer answers "$(isle exec one -- echo answers)"
	wait_until 60 told_unregistered one
	# Nor in the way of a new monitor: who asked for it keeps nobody else waiting.
	local monitor
	monitor=$(monitor_pid one)
	kill -9 "$monitor"
	wait_until 10 gone "$monitor"
	isle exec one -- true
	isle stop --kill one
	kill -CONT "$HELD"
}

@test "host: a D-Bus that does not answer is told within its time, and nothing is left" {
	on_hold dbus
	local start=$SECONDS
	run timeout 100 "$ISLE" start one
	kill -CONT "$HELD"
	is status 5 "$status"
	says 'D-Bus'
	says 'systemctl status dbus'
	[ $((SECONDS - start)) -lt 60 ] || flunk "it took $((SECONDS - start)) s"
	is 'state of one' stopped "$(state one)"
	isle start one
	is 'state of one' running "$(state one)"
}

@test "host: guests go on when another target is isolated, and end for one that does not want them" {
	is isle.service disabled "$(systemctl is-enabled isle.service)"
	started one
	systemctl isolate multi-user.target
	is 'state of one' running "$(state one)"
	# As rescue.target, in which nobody would answer us.
	printf '[Unit]\nAllowIsolate=yes\nRequires=basic.target\nWants=vm-agent.service dbus.service\n' >/run/systemd/system/e2e.target
	systemctl daemon-reload
	systemctl isolate e2e.target # which waits for what it starts only
	works isle wait --timeout 120 one
	not_killed one
	systemctl isolate multi-user.target
	rm /run/systemd/system/e2e.target
	systemctl daemon-reload
	isle start one
	is 'state of one' running "$(state one)"
}

@test "host: a start of isle@NAME.service that is taken back is no start" {
	mkdir -p /run/systemd/system/isle@one.service.d
	printf '[Service]\nEnvironment="ISLE_HOLD=host name"\n' >/run/systemd/system/isle@one.service.d/e2e.conf
	systemctl daemon-reload
	systemctl start --no-block isle@one.service
	wait_until 30 holds_one
	systemctl stop --no-block isle@one.service
	wait_until 30 stops_one
	kill -CONT "$(held_one)"
	wait_until 60 unit_is_inactive isle@one.service
	rm -r /run/systemd/system/isle@one.service.d
	systemctl daemon-reload
	is 'state of one' stopped "$(state one)"
}

@test "host: a start of isle@NAME.service that fails ends no guest that runs" {
	started one
	local config=/var/lib/isle/guests/one/config
	cp -a "$config" "$BATS_TEST_TMPDIR/config"
	echo 'no such key = 1' >>"$config"
	run systemctl start isle@one.service
	cp -a "$BATS_TEST_TMPDIR/config" "$config"
	[ "$status" -ne 0 ] || flunk 'it was not made to fail'
	is unit failed "$(systemctl is-active isle@one.service)"
	is 'state of one' running "$(state one)"
	systemctl reset-failed isle@one.service
}

@test "host: AppArmor's service may reload and restart while guests run" {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || skip 'this kernel has no AppArmor'
	isle start one
	systemctl reload apparmor
	is 'label after a reload' 'isle-one (enforce)' "$(cat "/proc/$(init_pid one)/attr/current")"
	systemctl restart apparmor
	is 'label after a restart' 'isle-one (enforce)' "$(cat "/proc/$(init_pid one)/attr/current")"
	isle exec one -- true
}

# What doctor has to say of a unit.
named() {
	isle doctor --json | jq -r --arg unit "$1" '.findings[] | select(.name == $unit) | .fix'
}

@test "host: doctor names the timers that guests would need" {
	is 'nobody runs' '' "$(named isle-usage.timer)$(named isle-balance.timer)"
	isle start one
	is usage 'systemctl enable --now isle-usage.timer' "$(named isle-usage.timer)"
	is 'nobody is held to a CPU' '' "$(named isle-balance.timer)"
	systemctl start isle-usage.timer
	is 'it is active' '' "$(named isle-usage.timer)"
	systemctl stop isle-usage.timer
	isle start two
	isle limit two cpuset=0
	is 'none is placed' '' "$(named isle-balance.timer)"
	isle limit one cpuset=auto:1
	is balance 'systemctl enable --now isle-balance.timer' "$(named isle-balance.timer)"
	systemctl start isle-balance.timer
	is 'it is active' '' "$(named isle-balance.timer)"
	systemctl stop isle-balance.timer
	isle limit one cpuset=
	isle limit two cpuset=
}
