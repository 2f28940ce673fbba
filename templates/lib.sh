# What isle's templates share; sourced, never run. POSIX sh.
# shellcheck shell=sh disable=SC2034,SC2094

template=${0##*/}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

die() {
	printf '%s: %s\n' "$template" "$*" >&2
	exit 1
}

say() {
	printf '%s: %s\n' "$template" "$*"
}

# usage_error TEXT: what a wrong option ends with.
usage_error() {
	printf '%s: %s; --help lists the options\n' "$template" "$1" >&2
	exit 2
}

# Reads the arguments of LXC's template interface and hands any other to the template's own function `option NAME VALUE`,
# which returns 0 for one that took a value, 1 for a plain flag, 2 for an unknown one. Sets path, name, rootfs, mapped_uid, mapped_gid.
# Values come as --option=value or as the next argument.
parse_arguments() {
	path='' name='' rootfs='' mapped_uid='' mapped_gid='' label_only=''
	while [ $# -gt 0 ]; do
		case $1 in
		--) break ;;
		--*=*) opt=${1%%=*} value=${1#*=} joined=yes has=yes ;;
		-*)
			opt=$1 joined=no
			if [ $# -gt 1 ]; then value=$2 has=yes; else value='' has=no; fi
			;;
		*) usage_error "what is '$1'?" ;;
		esac
		takes=yes
		case $opt in
		-h | --help) usage; exit 0 ;;
		-p | --path) path=$value ;;
		-n | --name) name=$value ;;
		--rootfs) rootfs=$value ;;
		--mapped-uid) mapped_uid=$value ;;
		--mapped-gid) mapped_gid=$value ;;
		--label) takes=no label_only=yes ;;
		*)
			code=0
			option "$opt" "$value" || code=$?
			case $code in
			0) ;;
			1) takes=no ;;
			*) usage_error "unknown option $opt" ;;
			esac
			;;
		esac
		if [ "$takes" = no ]; then
			[ "$joined" = no ] || usage_error "$opt takes no value"
			shift
		else
			[ "$has" = yes ] || usage_error "$opt needs a value"
			if [ "$joined" = yes ]; then shift; else shift 2; fi
		fi
	done
}

# After parse_arguments, for everything but --label: the folders are there. lxc-create may leave the root file system's
# place to the config.
need_place() {
	[ -n "$path" ] || usage_error '--path is needed'
	[ -n "$name" ] || usage_error '--name is needed'
	if [ -z "$rootfs" ]; then
		rootfs=$(sed -n 's/^lxc\.rootfs\.path[[:blank:]]*=[[:blank:]]*//p' "$path/config" 2>/dev/null | tail -n 1)
		rootfs=${rootfs#dir:}
		[ -n "$rootfs" ] || rootfs=$path/rootfs
	fi
	mkdir -p "$rootfs" || die "cannot make the folder $rootfs"
	[ "$(cd "$rootfs" && pwd -P)" != / ] || die "refuses to fill the host's own root folder"
}

# Debian's name for an architecture, from uname's.
host_arch() {
	machine=$(uname -m)
	case $machine in
	x86_64) echo amd64 ;;
	i?86) echo i386 ;;
	aarch64) echo arm64 ;;
	armv7l) echo armhf ;;
	armv*) echo armel ;;
	ppc64le) echo ppc64el ;;
	*) echo "$machine" ;;
	esac
}

# write_config ARCH: the lines in LXC's syntax that make the result a guest, added to the config that is there.
write_config() {
	config=$path/config
	{
		grep -q '^lxc\.rootfs\.path' "$config" 2>/dev/null || printf 'lxc.rootfs.path = dir:%s\n' "$rootfs"
		printf 'lxc.uts.name = %s\n' "$name"
		printf 'lxc.arch = %s\n' "$1"
	} >>"$config" || die "cannot write $config"
}

# Under lxc-create's own id maps the caller owns the config, the guest's root the files.
give_to_mapped() {
	if [ -n "$mapped_uid" ] && [ "$mapped_uid" != -1 ]; then
		chown "$mapped_uid" "$path/config" 2>/dev/null || :
	fi
	if [ -n "$mapped_gid" ] && [ "$mapped_gid" != -1 ]; then
		chgrp "$mapped_gid" "$path/config" 2>/dev/null || :
	fi
}
