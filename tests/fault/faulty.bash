# Commands of which the Nth call into the C library fails (libfault.c).
# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.bash sets status and say

library=$E2E_ROOT/libfault.so
${CC:-cc} -std=gnu11 -O1 -shared -fPIC -o "$library" "$E2E_SOURCE/tests/fault/libfault.c" -ldl 2>/dev/null || skip 'there is no C compiler'
# A sanitizer wants to be the first library, and reports its own trouble.
if nm -D "$ISLE" 2>/dev/null | grep -q __asan_init; then skip 'isle is built with sanitizers'; fi

export FAULT_FILE=$E2E_ROOT/fault-count FAULT_SAY=$E2E_ROOT/fault-said

# faulty AT COMMAND...
faulty() {
	local at=$1
	shift
	head -c 8 /dev/zero >"$FAULT_FILE"
	: >"$FAULT_SAY"
	attempt env FAULT_AT="$at" LD_PRELOAD="$library" "$@"
}

# What was made to fail; the last numbers of a count may not come up again.
fault() {
	if [ -s "$FAULT_SAY" ]; then cat "$FAULT_SAY"; else echo "call $1 never came"; fi
}

counted() {
	od -An -tu8 "$FAULT_FILE" | xargs
}

# The calls to try of TOTAL, about SAMPLE of them, another choice in every part of the command.
numbers() {
	local total=$1 sample=$2

	if [ "${FULL:-}" = 1 ] || [ "$total" -le "$sample" ]; then
		seq "$total"
	else
		seq 1 $(((total + sample - 1) / sample)) "$total"
	fi
}

check_failure() {
	[ -s "$say" ] || flunk "status $status without a word"
	! grep -q 'Sanitizer\|Assertion\|free():' "$say" || flunk 'a crash'
}
