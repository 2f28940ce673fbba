#!/usr/bin/env bats
# isle checkpoint of guests with odd objects of the kernel: those that sleep and wake with it, and those that are refused by name.
load lib
bats_require_minimum_version 1.5.0

carried='ghost ghostmap linked flock ofd posix lease memfd inotify zombie vfork pidfd niced shared mlock shm msg sem flight pipe
	timers epoll tcp unix udp netlink packet icmp netns mntns bindns proc nsfd echo'

setup_file() {
	has_criu || return 0
	build_zoo
	make_guest one
	isle start one
	bring_zoo one
}

setup() {
	needs_criu
	[ "$(state one)" = running ] || isle start --cold one
}

teardown_file() { end_of_file; }

@test "zoo: files, locks, leases, IPC, descriptors in flight, sockets, namespaces: all are whole after three sleeps" {
	for object in $carried; do
		is "$object at first" ready "$(hold one "$object")"
	done
	connect one
	for _ in 1 2 3; do
		works isle checkpoint one
		isle start one
	done
	talks
	disconnect
	for object in $carried; do
		is "$object afterwards" whole "$(holds one "$object")"
	done
	isle restart one
}

@test "zoo: fanotify in a privileged guest" {
	make_guest two --set security.privileged=yes
	isle start two
	bring_zoo two
	is fanotify ready "$(hold two fanotify)"
	is ghost ready "$(hold two ghost)"
	works isle checkpoint two
	isle start two
	is fanotify whole "$(holds two fanotify)"
	is ghost whole "$(holds two ghost)"
	isle destroy --force two
}

# refused OBJECT REASON REMEDY
refused() {
	is "$1" ready "$(hold one "$1")"
	fails 1 isle checkpoint --check one
	says "$2"
	fails 1 isle checkpoint one
	says "(zoo): $2"
	says "$3"
	[[ $output =~ carry\ process\ [0-9]+\ \(zoo\) ]] || flunk "$output"
	is state running "$(state one)"
	counts one
	let_go one "$1"
	works isle checkpoint --check one
}

@test "zoo: what cannot be carried is named with its remedy, and the guest runs on" {
	begin_count one
	refused traced 'it is traced by another process' 'detach strace'
	refused stopped 'it is stopped' 'kill -CONT'
	refused ttou 'it is stopped' 'kill -CONT'
	refused mq 'it has a POSIX message queue open' 'stop it'
	fails 1 isle checkpoint one
	says 'a POSIX message queue is not empty'
	isle exec one -- rm /dev/mqueue/zoo
	works isle checkpoint one
	isle start one
	counts one
}

# Where the kernel has the protocol at all.
# A guest that was restored lacks the power to drop nodev, one that was started has it.
@test "zoo: a mount that could not be made again" {
	isle restart one
	begin_count one
	refused barens "its mount /root/zoo-bind lacks the 'nodev'" nodev
}

@test "zoo: sockets of unknown kinds are named" {
	begin_count one
	for object in vsock alg sctp mptcp; do
		answer=$(hold one "$object")
		case $answer in
		refused*) continue ;;
		esac
		let_go one "$object"
		refused "$object" 'it ' 'stop it'
	done
}

@test "zoo: what no checkpoint could carry is kept from coming to be" {
	for object in userns utsns ipcns cgroupns timens pidns uring bpf perf uffd secret; do
		answer=$(hold one "$object")
		[[ $answer == refused:* ]] || flunk "$object: $answer"
	done
	works isle checkpoint one
	isle start one
}

@test "zoo: with nesting such a guest is told from the start why it cannot be checkpointed" {
	make_guest two --set security.nesting=yes
	isle start two
	fails 1 isle checkpoint two
	says 'nesting = yes'
	is state running "$(state two)"
	isle destroy --force two
}
