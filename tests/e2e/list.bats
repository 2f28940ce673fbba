#!/usr/bin/env bats
# isle list and isle info.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest alpha --set limits.memory=64M --set 'guest.description=first of all'
	make_guest beta --set guest.autostart=yes
	make_guest gamma --no-network
	isle start alpha beta
	isle freeze beta
}

teardown_file() {
	end_of_file
}

@test "list: a line a guest, sorted by name" {
	works isle list
	is lines 4 "${#lines[@]}"
	[[ ${lines[0]} == NAME*STATE*PID*ADDRESS* ]]
	[[ ${lines[1]} == alpha*running*$(address alpha)* ]]
	[[ ${lines[2]} == beta*frozen* ]]
	[[ ${lines[3]} == gamma*stopped* ]]
	works isle list --names
	is names $'alpha\nbeta\ngamma' "$output"
}

@test "list --json: an array of objects with the promised keys" {
	isle list --json >"$BATS_TEST_TMPDIR/list"
	jq -e 'type == "array" and length == 3' "$BATS_TEST_TMPDIR/list"
	jq -e 'all(.[]; has("name") and has("state") and has("pid") and has("monitor_pid") and has("addresses") and has("storage") and has("image") and has("ids") and has("started"))' "$BATS_TEST_TMPDIR/list"
	jq -e '[.[].state] == ["running", "frozen", "stopped"]' "$BATS_TEST_TMPDIR/list"
	jq -e '.[2].pid == null and .[2].monitor_pid == null and .[2].started == null' "$BATS_TEST_TMPDIR/list"
	jq -e '.[0] | (.pid | type) == "number" and (.started | type) == "number" and (.addresses | length) == 2 and .ids.count == 65536' "$BATS_TEST_TMPDIR/list"
	# Snake case throughout.
	jq -e '[.[] | keys[] | test("^[a-z][a-z0-9_]*$")] | all' "$BATS_TEST_TMPDIR/list"
	pid=$(jq .[0].pid "$BATS_TEST_TMPDIR/list")
	grep -qx 'init\|busybox' "/proc/$pid/comm"
	grep -q isle-monitor "/proc/$(jq .[0].monitor_pid "$BATS_TEST_TMPDIR/list")/cmdline"
}

@test "list --json: an empty array when there is no guest" {
	mkdir "$BATS_TEST_TMPDIR/other"
	is json '[]' "$(isle list --json -P "$BATS_TEST_TMPDIR/other" | jq -c .)"
	is text '' "$(isle list -P "$BATS_TEST_TMPDIR/other" 2>/dev/null)"
}

@test "list --columns, --sort" {
	works isle list -q --columns name,limits.memory,autostart,image
	[[ ${lines[0]} =~ ^alpha\ +64M\ +no\ +busybox- ]]
	[[ ${lines[1]} =~ ^beta\ +-\ +yes\ + ]]
	is reverse $'gamma\nbeta\nalpha' "$(isle list -q --columns name --sort -name)"
	is 'by state' $'beta\nalpha\ngamma' "$(isle list -q --columns name,state --sort state | awk '{ print $1 }')"
	fails 2 isle list --columns no-such-column
	fails 2 isle list --sort no-such-column
}

@test "list --long" {
	works isle list --long
	[[ ${lines[0]} == *MEMORY* && ${lines[0]} == *STORAGE* ]]
}

@test "list: by state, pattern and name" {
	is running alpha "$(isle list -1 --running)"
	is frozen beta "$(isle list -1 --frozen)"
	is stopped gamma "$(isle list -1 --stopped)"
	is active $'alpha\nbeta' "$(isle list -1 --active)"
	is state $'beta\ngamma' "$(isle list -1 --state frozen --state stopped)"
	is pattern $'alpha\nbeta\ngamma' "$(isle list -1 '*a')"
	is pattern alpha "$(isle list -1 'al*')"
	is filter beta "$(isle list -1 --filter '^b')"
	is none '' "$(isle list -1 'no*')"
	fails 3 isle list nobody
	fails 2 isle list --state asleep
}

@test "list: a guest whose config is broken does not hide the others" {
	cp "$ISLE_PATH/guests/gamma/config" "$BATS_TEST_TMPDIR/config"
	echo 'nonsense' >>"$ISLE_PATH/guests/gamma/config"
	works isle list -q
	is lines 3 "${#lines[@]}"
	isle list --json | jq -e '.[2].config_error | test("config:[0-9]+")'
	works isle list --long
	says gamma
	cp "$BATS_TEST_TMPDIR/config" "$ISLE_PATH/guests/gamma/config"
}

@test "list: into a full disk is a failure" {
	fails 1 bash -c "'$ISLE' list >/dev/full"
}

@test "list: a guest's terminal codes do not reach the administrator's" {
	isle config gamma set "guest.description=red"
	printf '[guest]\n' >/dev/null
	isle exec alpha -- hostname x || :
	works isle list --columns name,description
	[[ $output != *$'\033'* ]]
}

@test "info: what there is to know" {
	works isle info alpha
	for text in alpha running "$(init_pid alpha)" "$(address alpha)" eth0 '64' 'first of all' busybox; do says "$text"; done
	works isle info gamma
	says stopped
	# What AppArmor holds it by, or that there is none to do so.
	if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
		works isle info alpha
		says "isle_$E2E_TAG-alpha (enforce)"
		is label "isle_$E2E_TAG-alpha (enforce)" "$(field alpha .apparmor)"
	else
		says 'AppArmor:       not in this kernel'
		is label null "$(field alpha .apparmor)"
	fi
	fails 3 isle info nobody
	fails 3 isle info alpa
	says "alpha"
}

@test "info --json: an object, the promised keys and those of the config" {
	isle info --json alpha >"$BATS_TEST_TMPDIR/info"
	jq -e 'type == "object" and .name == "alpha" and .state == "running" and .hostname == "alpha"' "$BATS_TEST_TMPDIR/info"
	jq -e '.config.limits.memory == 67108864 or .config.limits.memory == "64M"' "$BATS_TEST_TMPDIR/info"
	jq -e '.links[0] | .name == "eth0" and (.mac | test("^..(:..){5}$"))' "$BATS_TEST_TMPDIR/info"
	jq -e '.addresses | length == 2' "$BATS_TEST_TMPDIR/info"
	isle info --json gamma | jq -e '.pid == null and .state == "stopped" and .addresses == []'
}

@test "info: parts of it, for scripts" {
	is state running "$(isle info -s -H alpha)"
	is pid "$(field alpha .pid)" "$(isle info -p -H alpha)"
	is ips "$(address alpha)" "$(isle info -i -H alpha | head -n 1)"
	is config 64M "$(isle info -H -c limits.memory alpha)"
}

@test "info: counts what the guest sends" {
	before=$(field alpha '.links[0].tx_packets')
	isle exec alpha -- ping -c 3 -W 1 "$(isle exec alpha -- ip route | awk '/^default/ { print $3 }')"
	[ "$(field alpha '.links[0].tx_packets')" -ge $((before + 3)) ]
}
