# Options of Cinch's programs, as each says them itself.
_cinch() {
  local current=${COMP_WORDS[COMP_CWORD]}
  case ${COMP_WORDS[COMP_CWORD - 1]} in
    --data | --output) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    --config | --log) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null | grep -oE -- '--[a-z-]+')" -- "$current") ;;
  esac
}
complete -F _cinch "$(basename -- "${1:-${BASH_SOURCE[0]}}")"
