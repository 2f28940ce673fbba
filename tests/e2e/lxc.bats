#!/usr/bin/env bats
# The isle-VERB forms with LXC's options.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	bin=$BATS_FILE_TMPDIR/bin
	mkdir "$bin"
	for verb in create start stop info ls list attach wait freeze unfreeze destroy console execute config rename checkconfig top; do
		ln -s "$ISLE" "$bin/isle-$verb"
	done
	export PATH=$bin:$PATH
	isle-create -q -n one -t busybox
}

setup() {
	PATH=$BATS_FILE_TMPDIR/bin:$PATH
}

teardown_file() {
	end_of_file
}

@test "lxc: a guest's whole life in LXC's words" {
	isle-create -q -n two -t busybox -B dir
	isle-start -n two -d
	isle-wait -n two -s RUNNING -t 10
	is state RUNNING "$(isle-info -n two -s -H)"
	is pid "$(field two .pid)" "$(isle-info -n two -p -H)"
	is ips "$(address two)" "$(isle-info -n two -i -H | head -n 1)"
	is id 0 "$(isle-attach -n two -- id -u)"
	works isle-ls
	says two
	works isle-ls -f
	[[ ${lines[0]} == NAME*STATE* ]]
	says two
	works isle-ls -1 --running
	is names two "$output"
	works isle-ls -f -F NAME,STATE,PID
	says two
	isle-freeze -n two
	is state FROZEN "$(isle-info -n two -s -H)"
	isle-unfreeze -n two
	isle-stop -n two -k
	isle-wait -n two -s 'STOPPED|FROZEN' -t 10
	isle-destroy -n two
	run isle-info -n two
	[ "$status" -ne 0 ]
}

@test "lxc: start in the foreground" {
	works "$E2E_HERE/terminal" see:'press Enter' type:'\r' see:'# ' type:'poweroff -f\r' -- isle-start -n one -F
	isle wait --timeout 20 one
}

@test "lxc: --lxcpath, --name=, -P" {
	isle-start --name=one --lxcpath="$ISLE_PATH"
	is state RUNNING "$(isle-info --name one -P "$ISLE_PATH" -sH)"
	isle-stop -n one -r -k
	is state RUNNING "$(isle-info -n one -s -H)"
	isle-stop -n one -t 20
	is state STOPPED "$(isle-info -n one -s -H)"
}

@test "lxc: attach's options" {
	isle-start -n one
	is var value "$(isle-attach -n one -v VAR=value -- sh -c 'echo $VAR')"
	is uid 65534 "$(isle-attach -n one -u 65534 -- id -u)"
	run isle-attach -n one -- sh -c 'exit 9'
	is status 9 "$status"
	is env '' "$(LANG=C.UTF-8 isle-attach -n one --clear-env -- sh -c 'echo $LANG')"
	isle-stop -n one -k
}

@test "lxc: -f makes destroy stop first" {
	isle-create -q -n two -t busybox
	isle-start -n two
	run isle-destroy -n two
	[ "$status" -ne 0 ]
	isle-destroy -n two -f
	run isle-info -n two
	[ "$status" -ne 0 ]
}

@test "lxc: rename, info -c, the log file" {
	isle-rename -n one -N other
	isle-rename -n other -N one
	works isle-info -n one -c guest.storage
	says storage
	isle-start -n one -o "$BATS_TEST_TMPDIR/log" -l DEBUG
	isle-stop -n one -k
	[ -e "$BATS_TEST_TMPDIR/log" ]
}

@test "lxc: every verb has its isle-VERB, and what it does not know is a usage error" {
	for verb in create start stop info ls attach wait freeze unfreeze destroy console config rename checkconfig; do
		works "isle-$verb" --help
		says usage
	done
	fails 2 isle-start -n one --no-such-option
	fails 2 isle-start
	fails 3 isle-start -n nobody
}

@test "lxc: LXC's busybox template runs unchanged" {
	path=/usr/share/lxc/templates/lxc-busybox
	[ -x "$path" ] || skip "$path is not installed (package lxc-templates or lxc)"
	isle create -q -t "$path" two
	isle start two
	is answer hi "$(isle exec two -- echo hi)"
	isle stop --kill two
	isle destroy two
}
