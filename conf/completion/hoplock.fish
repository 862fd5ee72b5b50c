# Completion of hoplock for fish: the commands are those that `hoplock help` lists.
function __hoplock_commands
    hoplock help 2>/dev/null | string match -r '^  [a-z]+(?: [a-z]+)?(?= |$)' | string trim
end
complete -c hoplock -n '__fish_use_subcommand' -f -a '(__hoplock_commands | string replace -r " .*" "" | sort -u)'
complete -c hoplock -n 'not __fish_use_subcommand' -a '(__hoplock_commands | string replace -f -r "^"(commandline -opc)[2]" " "")'
complete -c hoplock -l config -r -d 'configuration file'
complete -c hoplock -l json -d 'for programs'
