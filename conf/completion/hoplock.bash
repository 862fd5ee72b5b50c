# Completion of hoplock for bash: the commands are those that `hoplock help` lists.
_hoplock() {
  local current=${COMP_WORDS[COMP_CWORD]} first= word i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    case $word in --config) ((++i)) ;; -*) ;; *) first=$word && break ;; esac
  done
  local commands options
  commands=$(hoplock help 2>/dev/null | sed -nE 's/^  ([a-z]+( [a-z]+)?)( .*)?$/\1/p')
  if [ "${COMP_WORDS[COMP_CWORD - 1]}" = --config ]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ $current == -* ]]; then
    options=$(hoplock help "$first" 2>/dev/null | grep -oE -- '--[a-z0-9-]+' | sort -u)
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [ -z "$first" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(cut -d' ' -f1 <<<"$commands" | sort -u)" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$(sed -n "s/^$first //p" <<<"$commands")" -- "$current")
  fi
}
complete -o default -F _hoplock hoplock
