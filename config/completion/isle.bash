# bash completion for isle and its isle-VERB links. All knowledge is in 'isle _complete'.

_isle()
{
	local IFS=$'\n' cur joined='' word i
	local -a words=() found=()

	# bash takes --option=value for three words.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == '=' && $i -gt 1 && ${words[${#words[@]} - 1]} == --* ]]; then
			words[${#words[@]} - 1]+='='
			joined=1
		elif [[ $joined ]]; then
			words[${#words[@]} - 1]+=$word
			joined=''
		else
			words+=("$word")
		fi
	done
	cur=${words[${#words[@]} - 1]}
	mapfile -t found < <(isle _complete -- "${words[@]}" 2>/dev/null)

	case ${found[0]-} in
	@files)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "${cur#--*=}")
		;;
	@commands)
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		;;
	*)
		COMPREPLY=("${found[@]#--*=}")
		;;
	esac
}

complete -F _isle isle
for _isle_name in $(isle help --names 2>/dev/null); do
	complete -F _isle "isle-$_isle_name"
done
unset _isle_name
