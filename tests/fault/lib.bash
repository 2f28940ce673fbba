# What the fault tests share: TAP, a guest that must be good again after each fault.
# shellcheck shell=bash

# shellcheck source=tests/e2e/lib.bash
. "$E2E_HERE/lib.bash"

count=0
failed=0
say=$E2E_ROOT/said
trouble=

# skip is bats's; here whole programs are.
skip() {
	printf '1..1\nok 1 %s # skip %s\n' "${0##*/}" "$1"
	exit 0
}

flunk() {
	trouble+=$(printf '%s\n' "$@" | cut -c1-300 | tail -n 30)$'\n'
	return 1
}

# One result: NAME; bad when there was trouble.
result() {
	count=$((count + 1))
	if [ -z "$trouble" ]; then
		printf 'ok %d %s\n' "$count" "$1"
	else
		failed=$((failed + 1))
		printf 'not ok %d %s\n' "$count" "$1"
		{
			printf '%s' "$trouble"
			[ ! -s "$say" ] || { echo 'it said:' && tail -n 12 "$say"; }
		} | sed 's/^/# /'
		mend
	fi
	trouble=
}

# After a failed case: the next one begins with a good guest, or this all ends.
mend() {
	local name

	unset ISLE_FAULT ISLE_HOLD
	for name in $(isle list -1 2>/dev/null); do
		isle destroy -q --force "$name" >/dev/null 2>&1 || :
	done
	# What isle could not, by hand: else each further case would fail for this one's reason.
	cgroups_left | while read -r folder; do [ ! -e "$folder/cgroup.kill" ] || echo 1 >"$folder/cgroup.kill"; done 2>/dev/null
	processes_left | while read -r pid _; do kill -9 "$pid"; done 2>/dev/null
	wait_until 5 no_processes_left || :
	links_left | sed 's/@.*//' | while read -r link; do ip link del "$link"; done 2>/dev/null
	cgroups_left | sort -r | xargs -r rmdir 2>/dev/null
	find "$ISLE_PATH/guests" "$ISLE_PATH/run" "$ISLE_PATH/ids" -mindepth 1 -delete
	find "$ISLE_PATH/leases" -mindepth 2 -delete
	find "$ISLE_PATH/images" -mindepth 1 -maxdepth 1 -name '.?*' -exec rm -rf {} +
	make_guest g || exit 1
}

finish() {
	printf '1..%d\n' "$count"
	[ "$failed" -eq 0 ]
}

# attempt COMMAND...: with a bound; its output in $say, its status in $status.
attempt() {
	status=0
	timeout 60 "$@" >"$say" 2>&1 || status=$?
	[ "$status" -ne 124 ] || flunk "it hung: $*"
	# A crash is never an answer; 137 may have been asked for.
	case $status in
	132 | 134 | 135 | 136 | 139) flunk "it crashed with status $status: $*" ;;
	esac
	return 0
}

# clean [GUEST...]: nothing is left now.
clean() {
	local left

	left=$(nothing_left "$@" 2>&1) || flunk "$left"
}

# works_again: the guest g starts, answers, stops, and nothing is left. Whatever was wrong, this command repairs it.
works_again() {
	wait_until 20 starts_and_answers || flunk "it cannot be started again: state $(state g)"
	isle stop --kill g 2>>"$say" || flunk 'it cannot be stopped again'
	is state stopped "$(state g)"
	clean g
}

# A guest whose init is dying still counts as running for a moment, and as stopping while its monitor clears up.
starts_and_answers() {
	local got=0

	isle start g 2>>"$say" || got=$?
	case $got in
	0 | 4) ;;
	*)
		trouble+="the next start: status $got"$'\n'
		return 1
		;;
	esac
	[ "$(isle exec g -- echo hi 2>/dev/null)" = hi ]
}

answers() {
	is answer hi "$(isle exec g -- echo hi 2>&1)"
}

plan() {
	isle start --plan g | cut -c8-31 | sed 's/ *$//'
}
