# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_olog_agent_global_optspecs
    string join \n config= h/help V/version
end

function __fish_olog_agent_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_olog_agent_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_olog_agent_using_subcommand
    set -l cmd (__fish_olog_agent_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c olog-agent -n "__fish_olog_agent_needs_command" -l config -d 'The configuration [default: /etc/olog/agent.toml]; more may stand in agent.d/*.toml beside it' -r -F
complete -c olog-agent -n "__fish_olog_agent_needs_command" -s h -l help -d 'Print help'
complete -c olog-agent -n "__fish_olog_agent_needs_command" -s V -l version -d 'Print version'
complete -c olog-agent -n "__fish_olog_agent_needs_command" -f -a "run" -d 'Run the daemon, in the foreground'
complete -c olog-agent -n "__fish_olog_agent_needs_command" -f -a "check" -d 'Check the configuration: print it as it is understood, and what is found'
complete -c olog-agent -n "__fish_olog_agent_needs_command" -f -a "join" -d 'Join a hub with the line that `olog-hub join-link` printed'
complete -c olog-agent -n "__fish_olog_agent_needs_command" -f -a "status" -d 'Print how the running agent is'
complete -c olog-agent -n "__fish_olog_agent_needs_command" -f -a "exec" -d 'Run a command whose end is the state of a task: good with exit code 0, else an error'
complete -c olog-agent -n "__fish_olog_agent_needs_command" -f -a "scan" -d 'Look at every log file once and print what would be told'
complete -c olog-agent -n "__fish_olog_agent_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand run" -l log-format -d 'Log to stderr as "text" or "json" (default: to the journal when systemd reads it, else text)' -r
complete -c olog-agent -n "__fish_olog_agent_using_subcommand run" -l config -d 'The configuration [default: /etc/olog/agent.toml]; more may stand in agent.d/*.toml beside it' -r -F
complete -c olog-agent -n "__fish_olog_agent_using_subcommand run" -s h -l help -d 'Print help'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand run" -s V -l version -d 'Print version'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand check" -l config -d 'The configuration [default: /etc/olog/agent.toml]; more may stand in agent.d/*.toml beside it' -r -F
complete -c olog-agent -n "__fish_olog_agent_using_subcommand check" -s h -l help -d 'Print help'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand check" -s V -l version -d 'Print version'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand join" -l config -d 'The configuration [default: /etc/olog/agent.toml]; more may stand in agent.d/*.toml beside it' -r -F
complete -c olog-agent -n "__fish_olog_agent_using_subcommand join" -s h -l help -d 'Print help'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand join" -s V -l version -d 'Print version'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand status" -l config -d 'The configuration [default: /etc/olog/agent.toml]; more may stand in agent.d/*.toml beside it' -r -F
complete -c olog-agent -n "__fish_olog_agent_using_subcommand status" -l json -d 'As JSON'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand status" -s h -l help -d 'Print help'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand status" -s V -l version -d 'Print version'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand exec" -l task -d 'The task\'s name' -r
complete -c olog-agent -n "__fish_olog_agent_using_subcommand exec" -l timeout -d 'End it after this time, e.g. "10m"' -r
complete -c olog-agent -n "__fish_olog_agent_using_subcommand exec" -l config -d 'The configuration [default: /etc/olog/agent.toml]; more may stand in agent.d/*.toml beside it' -r -F
complete -c olog-agent -n "__fish_olog_agent_using_subcommand exec" -l lock -d 'Do not start it while an earlier run of the same task is still going on'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand exec" -s h -l help -d 'Print help'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand exec" -s V -l version -d 'Print version'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand scan" -l config -d 'The configuration [default: /etc/olog/agent.toml]; more may stand in agent.d/*.toml beside it' -r -F
complete -c olog-agent -n "__fish_olog_agent_using_subcommand scan" -l dry-run -d 'Write nothing, send nothing (required: a running agent scans by itself)'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand scan" -s h -l help -d 'Print help'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand scan" -s V -l version -d 'Print version'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand help; and not __fish_seen_subcommand_from run check join status exec scan help" -f -a "run" -d 'Run the daemon, in the foreground'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand help; and not __fish_seen_subcommand_from run check join status exec scan help" -f -a "check" -d 'Check the configuration: print it as it is understood, and what is found'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand help; and not __fish_seen_subcommand_from run check join status exec scan help" -f -a "join" -d 'Join a hub with the line that `olog-hub join-link` printed'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand help; and not __fish_seen_subcommand_from run check join status exec scan help" -f -a "status" -d 'Print how the running agent is'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand help; and not __fish_seen_subcommand_from run check join status exec scan help" -f -a "exec" -d 'Run a command whose end is the state of a task: good with exit code 0, else an error'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand help; and not __fish_seen_subcommand_from run check join status exec scan help" -f -a "scan" -d 'Look at every log file once and print what would be told'
complete -c olog-agent -n "__fish_olog_agent_using_subcommand help; and not __fish_seen_subcommand_from run check join status exec scan help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
