#compdef isle -P isle-*
# zsh completion for isle and its isle-VERB links. All knowledge is in 'isle _complete'.

_isle() {
	local -a found
	found=("${(@f)$(isle _complete -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")

	case $found[1] in
	'')
		return 1
		;;
	@files)
		[[ -prefix --*= ]] && compset -P '--*='
		_files
		;;
	@commands)
		_command_names -e
		;;
	*)
		compadd -a found
		;;
	esac
}

_isle "$@"
