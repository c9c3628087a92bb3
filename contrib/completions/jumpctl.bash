# bash completion for jumpctl. It asks jumpctl itself, which knows its verbs and options, the hosts of ssh_config,
# and the forwards that there are.

_jumpctl() {
  # Words as typed: bash's own would be cut at each ':' and '='.
  local line=${COMP_LINE:0:COMP_POINT} candidate
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local current=${words[-1]}

  # What bash is going to replace is the last piece only.
  local piece=${COMP_WORDS[COMP_CWORD]}
  [[ $piece == [:=]* ]] && piece=
  local kept=${current%"$piece"}

  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    COMPREPLY+=("$(printf %q "${candidate#"$kept"}")")
  done < <("$1" complete "${words[@]:1}" 2>/dev/null)

  local before=
  ((${#words[@]} > 1)) && before=${words[-2]}
  if [[ $before == --socket || $current == --socket=* ]]; then
    compopt -o default 2>/dev/null  # a file
  fi
}

complete -F _jumpctl jumpctl
