# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_olog_hub_global_optspecs
    string join \n config= h/help V/version
end

function __fish_olog_hub_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_olog_hub_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_olog_hub_using_subcommand
    set -l cmd (__fish_olog_hub_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c olog-hub -n "__fish_olog_hub_needs_command" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_needs_command" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "run" -d 'Run the daemon, in the foreground'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "check" -d 'Check the configuration: print it as it is understood, and what is found'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "setup" -d 'Ask for what the hub needs to reach your phone, write it down, and send the first push'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "join-link" -d 'Print a link with which one device may join'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "device" -d 'Devices: who belongs to the hub'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "task" -d 'Tasks: what the devices told of'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "incident" -d 'Incidents: what is or was wrong'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "silence" -d 'Silences: what is not pushed for a while'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "report" -d 'Reports: made every day, or now'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "channel" -d 'Channels: where notifications go'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "simulate" -d 'Play a scenario and print what would have been pushed when, what was held back, and why. Needs no hub that runs'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "status" -d 'Print how the running hub is'
complete -c olog-hub -n "__fish_olog_hub_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand run" -l log-format -d 'Log to stderr as "text" or "json" (default: to the journal when systemd reads it, else text)' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand run" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand run" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand run" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand check" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand check" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand check" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand setup" -l api-url -d 'Scheme and host of a WxPusher that is not at its usual address' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand setup" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand setup" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand setup" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand join-link" -l device -d 'For this device only: a new one, or one that it replaces' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand join-link" -l expires -d 'How long it holds, like "1h" or "7d"' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand join-link" -l uses -d 'How many devices may join by it' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand join-link" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand join-link" -l local -d 'For the agent on this machine: `olog-hub join-link --local | olog-agent join`'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand join-link" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand join-link" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and not __fish_seen_subcommand_from list accept forget rename help" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and not __fish_seen_subcommand_from list accept forget rename help" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and not __fish_seen_subcommand_from list accept forget rename help" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and not __fish_seen_subcommand_from list accept forget rename help" -f -a "list" -d 'Print the devices'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and not __fish_seen_subcommand_from list accept forget rename help" -f -a "accept" -d 'Accept a device that waits'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and not __fish_seen_subcommand_from list accept forget rename help" -f -a "forget" -d 'Forget a device: its key is refused from now on'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and not __fish_seen_subcommand_from list accept forget rename help" -f -a "rename" -d 'Give a device another name'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and not __fish_seen_subcommand_from list accept forget rename help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from list" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from list" -l pending -d 'Those that wait to be accepted'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from list" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from accept" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from accept" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from accept" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from forget" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from forget" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from rename" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from rename" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from rename" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "list" -d 'Print the devices'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "accept" -d 'Accept a device that waits'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Forget a device: its key is refused from now on'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "rename" -d 'Give a device another name'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -f -a "list" -d 'Print the tasks'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -f -a "show" -d 'Print why a task is what it is, since when, and what would change it'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -f -a "forget" -d 'Forget a task: it is gone from lists and reports until it comes again'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -f -a "rename" -d 'Give a task another name; what comes under the old one goes on to it'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -f -a "expect" -d 'Say whether a task is expected to come: "off" until you say "on"'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and not __fish_seen_subcommand_from list show forget rename expect help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from list" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from list" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from show" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from show" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from forget" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from forget" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from rename" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from rename" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from rename" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from expect" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from expect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from expect" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "list" -d 'Print the tasks'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print why a task is what it is, since when, and what would change it'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Forget a task: it is gone from lists and reports until it comes again'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "rename" -d 'Give a task another name; what comes under the old one goes on to it'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "expect" -d 'Say whether a task is expected to come: "off" until you say "on"'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -f -a "list" -d 'Print the open incidents'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -f -a "show" -d 'Print one incident: what was told of it and why, what the services answered, and what was held back by what'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -f -a "ack" -d 'Acknowledge an incident: no reminders until its end'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -f -a "not-an-error" -d 'Never push its errors again: silences without an end, as `silence list` shows them and `silence end` undoes them'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -f -a "close" -d 'Close an incident: it is over because you say so'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and not __fish_seen_subcommand_from list show ack not-an-error close help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from list" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from list" -l all -d 'Those that are over too'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from list" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from show" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from show" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from ack" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from ack" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from ack" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from not-an-error" -l fingerprint -d 'Only this one of its errors' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from not-an-error" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from not-an-error" -l for-device -d 'For every task of the device'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from not-an-error" -l for-fleet -d 'For every device'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from not-an-error" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from not-an-error" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from close" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from close" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from close" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "list" -d 'Print the open incidents'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print one incident: what was told of it and why, what the services answered, and what was held back by what'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "ack" -d 'Acknowledge an incident: no reminders until its end'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "not-an-error" -d 'Never push its errors again: silences without an end, as `silence list` shows them and `silence end` undoes them'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "close" -d 'Close an incident: it is over because you say so'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand incident; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and not __fish_seen_subcommand_from add list end help" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and not __fish_seen_subcommand_from add list end help" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and not __fish_seen_subcommand_from add list end help" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and not __fish_seen_subcommand_from add list end help" -f -a "add" -d 'Hold notifications back for a while, or again and again. What is still wrong when it ends is told then'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and not __fish_seen_subcommand_from add list end help" -f -a "list" -d 'Print the silences: what each holds now, and until when, or when next'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and not __fish_seen_subcommand_from add list end help" -f -a "end" -d 'End a silence now. What it held and is still wrong is told'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and not __fish_seen_subcommand_from add list end help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l device -d 'Of these devices: a name, or a pattern like \'web-*\' (\'*\': all of them)' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l task -d 'Of these tasks only, not of the devices themselves: a name, or a pattern' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l fingerprint -d 'Of this error only, as `incident show` prints it. It needs no end' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l from -d 'From then on, like "02:00" or "2026-11-24 02:00" (default: from now on)' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l for -d 'For so long, like "2h" or "3d"; of windows: each' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l until -d 'Until then, like "06:00" or "2026-11-24 06:00"' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l every -d 'Again and again, when a crontab(5) line like "0 2 * * 0" says so' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l zone -d 'Of which time zone the schedule is (default: the hub\'s)' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l comment -d 'What for' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from list" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from list" -l all -d 'Those that are over too'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from list" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from end" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from end" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from end" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from help" -f -a "add" -d 'Hold notifications back for a while, or again and again. What is still wrong when it ends is told then'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from help" -f -a "list" -d 'Print the silences: what each holds now, and until when, or when next'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from help" -f -a "end" -d 'End a silence now. What it held and is still wrong is told'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand silence; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and not __fish_seen_subcommand_from now list show help" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and not __fish_seen_subcommand_from now list show help" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and not __fish_seen_subcommand_from now list show help" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and not __fish_seen_subcommand_from now list show help" -f -a "now" -d 'Print a report of the last 24 hours. The next one comes as if nobody had asked'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and not __fish_seen_subcommand_from now list show help" -f -a "list" -d 'Print which reports were made'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and not __fish_seen_subcommand_from now list show help" -f -a "show" -d 'Print a report that was made'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and not __fish_seen_subcommand_from now list show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from now" -l html -d 'Write its page here ("-": print it)' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from now" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from now" -l push -d 'Keep it, and push it to every channel that takes reports'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from now" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from now" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from now" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from list" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from list" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from show" -l html -d 'Write its page here ("-": print it), while it is kept' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from show" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from show" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "now" -d 'Print a report of the last 24 hours. The next one comes as if nobody had asked'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "list" -d 'Print which reports were made'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print a report that was made'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand report; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and not __fish_seen_subcommand_from list test rearm help" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and not __fish_seen_subcommand_from list test rearm help" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and not __fish_seen_subcommand_from list test rearm help" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and not __fish_seen_subcommand_from list test rearm help" -f -a "list" -d 'Print the channels'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and not __fish_seen_subcommand_from list test rearm help" -f -a "test" -d 'Send a test by the road that every notification takes, and print what the service answers'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and not __fish_seen_subcommand_from list test rearm help" -f -a "rearm" -d 'Try a paused channel, and receivers that were refused, again now'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and not __fish_seen_subcommand_from list test rearm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from list" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from list" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from test" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from rearm" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from rearm" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from rearm" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from help" -f -a "list" -d 'Print the channels'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from help" -f -a "test" -d 'Send a test by the road that every notification takes, and print what the service answers'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from help" -f -a "rearm" -d 'Try a paused channel, and receivers that were refused, again now'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand channel; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand simulate" -l language -d 'The language of the messages: "zh-CN" or "en"' -r
complete -c olog-hub -n "__fish_olog_hub_using_subcommand simulate" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand simulate" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand simulate" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand status" -l config -d 'The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it' -r -F
complete -c olog-hub -n "__fish_olog_hub_using_subcommand status" -l json -d 'As JSON'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand status" -s h -l help -d 'Print help'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand status" -s V -l version -d 'Print version'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "run" -d 'Run the daemon, in the foreground'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "check" -d 'Check the configuration: print it as it is understood, and what is found'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "setup" -d 'Ask for what the hub needs to reach your phone, write it down, and send the first push'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "join-link" -d 'Print a link with which one device may join'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "device" -d 'Devices: who belongs to the hub'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "task" -d 'Tasks: what the devices told of'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "incident" -d 'Incidents: what is or was wrong'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "silence" -d 'Silences: what is not pushed for a while'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "report" -d 'Reports: made every day, or now'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "channel" -d 'Channels: where notifications go'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "simulate" -d 'Play a scenario and print what would have been pushed when, what was held back, and why. Needs no hub that runs'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "status" -d 'Print how the running hub is'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and not __fish_seen_subcommand_from run check setup join-link device task incident silence report channel simulate status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "list" -d 'Print the devices'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "accept" -d 'Accept a device that waits'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "forget" -d 'Forget a device: its key is refused from now on'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "rename" -d 'Give a device another name'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from task" -f -a "list" -d 'Print the tasks'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from task" -f -a "show" -d 'Print why a task is what it is, since when, and what would change it'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from task" -f -a "forget" -d 'Forget a task: it is gone from lists and reports until it comes again'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from task" -f -a "rename" -d 'Give a task another name; what comes under the old one goes on to it'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from task" -f -a "expect" -d 'Say whether a task is expected to come: "off" until you say "on"'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "list" -d 'Print the open incidents'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "show" -d 'Print one incident: what was told of it and why, what the services answered, and what was held back by what'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "ack" -d 'Acknowledge an incident: no reminders until its end'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "not-an-error" -d 'Never push its errors again: silences without an end, as `silence list` shows them and `silence end` undoes them'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from incident" -f -a "close" -d 'Close an incident: it is over because you say so'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from silence" -f -a "add" -d 'Hold notifications back for a while, or again and again. What is still wrong when it ends is told then'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from silence" -f -a "list" -d 'Print the silences: what each holds now, and until when, or when next'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from silence" -f -a "end" -d 'End a silence now. What it held and is still wrong is told'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "now" -d 'Print a report of the last 24 hours. The next one comes as if nobody had asked'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "list" -d 'Print which reports were made'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from report" -f -a "show" -d 'Print a report that was made'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from channel" -f -a "list" -d 'Print the channels'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from channel" -f -a "test" -d 'Send a test by the road that every notification takes, and print what the service answers'
complete -c olog-hub -n "__fish_olog_hub_using_subcommand help; and __fish_seen_subcommand_from channel" -f -a "rearm" -d 'Try a paused channel, and receivers that were refused, again now'
