# fish completion for jumpctl. It asks jumpctl itself, which knows its verbs and options, the hosts of ssh_config,
# and the forwards that there are.

function __jumpctl_candidates
    set -l words (commandline -opc) (commandline -ct)
    command $words[1] complete $words[2..-1] 2>/dev/null
end

function __jumpctl_wants_file
    set -l words (commandline -opc)
    test "$words[-1]" = --socket
end

complete -c jumpctl -f -a '(__jumpctl_candidates)'
complete -c jumpctl -n __jumpctl_wants_file -F
