# What the hub's command line says. Keys are the same as in terminal.zh-CN.ftl; a test of olog-hub compares them.

## Verbs: one sentence each
cli-unknown = no { $what } is called "{ $name }"; it is kept in case one appears
cli-unknown-near = no { $what } is called "{ $name }": did you mean "{ $nearest }"?
cli-acknowledged = { $count ->
    [one] Acknowledged { $one }: no reminders for 7 days or until it ends. New errors and its end are still pushed.
   *[other] Acknowledged { $count } incidents ({ $numbers }): no reminders for 7 days or until they end. New errors and their ends are still pushed.
}
cli-closed = { $count ->
    [one] Closed { $one }. If it fails again, that is pushed again.
   *[other] Closed { $count } incidents ({ $numbers }). What fails again is pushed again.
}
cli-incident-over = incident #{ $n } is over already
cli-incident-unknown = there is no incident #{ $n }: see olog-hub incident list --all
cli-none-open = None of these incidents is open.
cli-no-incident = No incident is open.
cli-acknowledged-mark = * acknowledged
cli-legacy = { $name } (old client)
cli-device-accepted = Accepted { $name }. It connects by itself within 10 seconds.
cli-device-forgotten = Removed { $name }: its key is rejected from now on. To let it back in: olog-hub join-link --device { $name }
cli-device-renamed = { $old } is now called { $name }.
cli-task-forgotten = Removed { $task } from lists and reports until it is seen again.
cli-task-renamed = { $old } is now called { $task }. Events under the old name go to the new one.
cli-task-merged = { $old } is now part of { $task }. Events under the old name go there too.
cli-task-expected = { $task } is expected again, as hub.toml says, as its machine has it, or as learnt; what is proposed counts from now on.
cli-task-not-expected = { $task } is no longer expected: if it does not run, nobody is notified. Undo with "on" instead of "off".
cli-channel-rearmed = Channel { $name }: paused and refused receivers are tried again now, and its daily message budget is full.
cli-password = Password (at least 10 characters)
cli-no-password = olog-hub: no password was given: nothing was changed
cli-user-added = Added { $name }. Sign in on the hub's page.
cli-user-password = { $name } has a new password; all sessions of { $name } have ended.
cli-user-removed = Removed { $name }; all sessions of { $name } have ended.
cli-user-totp-off = { $name } signs in with the password alone. A new second factor is added on the page of the account.
cli-user-logged-out = { $n ->
    [one] Ended 1 session of { $name }.
   *[other] Ended { $n } sessions of { $name }.
}
cli-ping-key =
    A job of { $name } is pinged at { $url } (SLUG: the name of the task, in lower case; add ?create=1 to create tasks by their first ping).
    Ping key of { $name }, shown only now: { $key }
cli-ping-key-removed = Removed the ping key of { $name }: it is rejected from now on.
cli-ping-key-none = { $name } has no ping key.
cli-ping-url = Ping URL of { $task }, shown only now: { $url }
cli-ping-url-removed = Removed the ping URL of { $task }: it is rejected from now on.
cli-ping-url-none = { $task } has no ping URL of its own.
cli-token-created = Token "{ $name }", shown only now: { $token }
cli-token-revoked = Revoked "{ $name }": it is rejected from now on.
cli-silence-now = Silence { $n }: { $scope } is silent until { $until }. End it earlier with: olog-hub silence end { $n }
cli-silence-later = Silence { $n }: { $scope } will be silent from { $from } until { $until }. Cancel it with: olog-hub silence end { $n }
cli-silence-every = Silence { $n }: { $scope } is silent for { $lasts } at every "{ $every }", next from { $from } until { $until }. End it with: olog-hub silence end { $n }
cli-silence-endless = Silence { $n }: this error of { $scope } is not pushed any more. Undo with: olog-hub silence end { $n }
cli-silence-ended = { $held ->
    [0] Silence { $n } is over. It held nothing back.
    [one] Silence { $n } is over. 1 problem that it held back is notified now if it still exists.
   *[other] Silence { $n } is over. { $held } problems that it held back are notified now if they still exist.
}
cli-not-an-error = Silence { $n } for { $scope }: { $comment }. Undo with: olog-hub silence end { $n }
cli-not-an-error-closed = Incident #{ $n } is closed.
cli-report-no-channel = no channel accepts reports: nothing was pushed
cli-report-page-gone = its page is no longer stored (report.keep_days); here is its text
cli-written = written: { $file }
cli-not-written = cannot write { $file }: { $why }; here is the report's text
cli-link = On the device: sudo olog-agent join 'LINK'. The link is valid for { $span } and { $uses ->
    [one] one device
   *[other] { $uses } devices
}.
cli-link-local = On this machine: olog-hub join-link --local | olog-agent join. The link is valid for { $span } and { $uses ->
    [one] one device
   *[other] { $uses } devices
}.

## What a service answered
sent-accepted = { $receiver }: the service accepted it ({ $answer }); look at your phone
sent-refused = { $receiver }: the service refused it: { $answer }
sent-later = { $receiver }: not accepted yet: { $answer }
sent-no-answer = no answer yet: { $channel } may be busy or unreachable. The hub keeps trying; see: olog-hub channel list
sent-check-token = What to do: check that the token belongs to { $channel } and that the receiver has subscribed; olog-hub setup asks for both again.
sent-check-network = What to do: check that this machine reaches the service (DNS, firewall, proxy). The hub keeps trying for 7 days.

## Why something was not done
cli-refused-no-task = no task "{ $task }" of "{ $device }": see olog-hub task list
cli-refused-no-device = no device "{ $device }": see olog-hub device list
cli-refused-ping-key = it has a ping key since { $time }, of which only a hash is stored: look in the jobs that use it, or replace it with --new
cli-refused-ping-url = it has a ping URL since { $time }, of which only a hash is stored: look in the jobs that use it, or replace it with --new
cli-refused-declared = hub.toml declares it: remove it there, or stop expecting it with olog-hub task expect
cli-refused-same-task = both names are one task already
cli-refused-merge-declared = hub.toml declares the task that would go: remove it there first
cli-refused-rename-declared = hub.toml declares it by that name: write "{ $task }" there, then rename it
cli-refused-name-taken = "{ $device }" has a task "{ $task }": choose another name, or forget that one
cli-refused-former-name = "{ $task }" was the name of "{ $holder }", which still gets its events: choose another name, or give it back first
cli-refused-no-scope = name a device or a task; --device '*' is all of them
cli-refused-silence-over = silence { $n } is over already
cli-refused-no-silence = there is no silence { $n }: see olog-hub silence list
cli-refused-no-task-incident = incident #{ $n } is not about a task: only errors of tasks can be marked as not an error
cli-refused-no-such-error = incident #{ $n } has no such error; it has: { $known }

## task show
cli-task-head = { $task } is { $state }{ $since ->
    [none] { "" }
   *[other] {" "}since { $since }
}{ $incident ->
    [none] .
   *[other] {" "}(#{ $incident }).
}
cli-task-why-lost = It was due at { $due } and has not run{ $n ->
    [one] .
   *[other] ; { $n } runs are missing.
}
cli-task-why-error = { $n ->
    [one] An error was seen once
   *[other] Errors were seen { $n } times
}, and nothing shows that it is over.
cli-task-why-inherited = An error was already there when the agent first looked; nobody was notified of it.
cli-task-why-device-lost = Its device is LOST: nothing newer is known of it. It was OK before.
cli-task-why-waiting = It has never run and is not due yet.
cli-task-why-ok = No error is open, and no expected run is missing.
cli-task-running = A run has been under way since { $time }.
cli-task-good = Last OK { $time }.
cli-task-failed = Last error { $time }.
cli-task-seen = Last seen { $time }.
cli-task-was = Former names: { $names }
cli-task-expects-schedule = Expected by hub.toml: { $schedule }, at most { $grace } late.
cli-task-expects-report = Expected by hub.toml: once between two reports, or within 26 h if that is longer. Once it has come without ever writing a .log, its silence counts as OK.
cli-task-expects-alarm = Nothing is expected: hub.toml declares it, but it never wrote a .log, so its silence counts as OK.
cli-task-expects-learnt = Expected { $habit }, learnt from { $n } runs in { $span }; in force since { $time }.
cli-task-expects-proposed = Nothing is expected yet; the next report proposes { $habit } (learnt from { $n } runs in { $span }).
cli-task-expects-read = Expected { $schedule }, with { $grace } of grace, as its agent read it on the machine; in force since { $time }.
cli-task-expects-offered = The next report proposes { $schedule }, as its agent read it on the machine. To accept it now: { $command }
cli-task-expects-dropped = Nothing is expected: its learnt schedule was dropped at { $time }, because it no longer kept it.
cli-task-expects-nothing = Nothing is expected: hub.toml does not declare it, and { $n ->
    [one] 1 run shows no schedule.
   *[other] { $n } runs show no schedule.
}
cli-task-expects-off = Nothing is expected: that was turned off by hand. Turn it on again with: { $command }
cli-task-next = Next due { $time }.
cli-task-change-lost = It is OK again as soon as it runs. If it need not run: { $command }
cli-task-change-error = It is OK again after a run that ends well, or with: olog-hub incident close { $n }
cli-task-change-inherited = It is OK again after a run that ends well.
cli-task-change-late = If it has not run by { $time }, it is LOST.

## incident show
cli-incident-since = Open since { $began }.
cli-incident-ended = Over since { $ended }; it began { $began }. Reason: { $ground }
cli-incident-seen = { $n ->
    [one] Seen once, at { $last }.
   *[other] Seen { $n } times, the last at { $last }.
}
cli-incident-begun = It began { $n } times.
cli-incident-acknowledged = Acknowledged { $time }.
cli-incident-not-acknowledged = Not acknowledged.
cli-ground-ran = the task ran.
cli-ground-unexpected = nothing is expected of it any more.
cli-ground-back = the devices are back.
cli-ground-forgotten = it was removed by hand.
cli-ground-accepted = the channel accepts messages again.
cli-ground-merged = its task was merged into another one.
cli-next-reminder = Next reminder: { $time }.
cli-no-reminder = No reminder: { $why }
cli-no-reminder-untold = nobody was notified of it.
cli-no-reminder-due = none is due.
cli-no-reminder-report = only tasks have reminders; the report lists it until it is over.
cli-latest-text = Latest text:
cli-fingerprints = Fingerprints (what stands between ‹ and › is ignored):
cli-notifications = Notifications:
cli-no-notifications = No notification was sent.
cli-told-with = {" "}{ $time } in message { $id }{ $n ->
    [0] { "" }
    [one] , with 1 other notice
   *[other] , with { $n } other notices
}
cli-told-accepted = sent{ $with }
cli-told-refused = refused for good{ $with }, even as short plain text
cli-told-expired = given up after 7 days; olog-hub incident list --all still has it
cli-told-silenced = { $n ->
    [0] held back by a silence: see olog-hub silence list
   *[other] held back by silence { $n }: see olog-hub silence list
}
cli-told-calls = { $words } ({ $n } attempts)
cli-error-by = The error came from { $user }.
cli-end-by = Another user reported that it is over: { $user }.
cli-waits-turn = waits: it is the next to go
cli-waits-call = waits: it is being sent (until { $until } at the latest)
cli-waits-pause = waits: the channel is paused ({ $why }), next attempt { $until }; or run olog-hub channel rearm
cli-waits-back-off = waits: the channel accepts nothing ({ $why }), next attempt { $until }
cli-waits-budget = waits: { $used } of { $all } messages of the day are sent; it goes with the next message, or by itself at { $until }
cli-waits-quiet = waits: quiet hours; it goes with the next message, or by itself at { $until }
cli-waits-receivers = accepted, but not yet by { $receivers }; next attempt { $until }
cli-waits-refused = waits: the service refused it while it accepted others; next attempt { $until }
cli-waits-gone = waits: the channel is not in the configuration; it is given up after 7 days

## status: what needs attention, worst first
status-good = All well: { $connected } of { $devices } devices connected.
status-to-do = { $n ->
    [one] 1 thing needs attention:
   *[other] { $n } things need attention:
}
status-store = The database { $store } does not answer, so nothing is recorded. Check the disk (df -h) and the journal: journalctl -u olog-hub -n 50
status-refused = The changed configuration was refused; the old one is in force: { $why }. Correct it, then check with: olog-hub check
status-no-channel = No channel is configured, so nobody is notified of anything: run olog-hub setup
status-channel-paused = Channel { $name } is paused, because the service refused its credentials: { $why }. { $waiting ->
    [one] 1 message waits
   *[other] { $waiting } messages wait
}. Correct the token, then: olog-hub channel rearm { $name }
status-channel-failing = Channel { $name } is failing: { $why }. { $waiting ->
    [one] 1 message waits
   *[other] { $waiting } messages wait
}. What waits is sent when the service accepts messages again. Test it with: olog-hub channel test { $name }
status-channel-gone = { $waiting ->
    [one] 1 message waits
   *[other] { $waiting } messages wait
} for channel { $name }, which is not in the configuration any more. What waits is given up after 7 days.
status-channel-budget = Channel { $name } has used its daily message budget; { $waiting ->
    [one] 1 message waits
   *[other] { $waiting } messages wait
} until { $next }. If the service has reset it: olog-hub channel rearm { $name }
status-channel-refused = Channel { $name }: the service refused { $receivers } for good. Correct the receivers, then: olog-hub channel rearm { $name }
status-incidents = { $n ->
    [one] 1 open incident is not acknowledged. Look with olog-hub incident show { $ids }, acknowledge with olog-hub incident ack { $ids }
   *[other] { $n } open incidents are not acknowledged. All of them: olog-hub incident list. Acknowledge with: olog-hub incident ack { $ids }
}
status-worker = { $name } has been failing since { $since }: { $why }
cli-identity-next = The next key is { $key }. Restart olog-hub: it announces the key to every agent that connects. From { $from } on: olog-hub identity rotate
cli-identity-rotated = The key of this hub is { $key } from its next restart on. Links that were made before name the old key: make new ones.
status-limit = { $device } has reached limits.{ $limit } ({ $max }): { $n } came beyond it, the last at { $last }
status-set-aside = { $n ->
    [one] 1 value of the database could not be read and was set aside; a newer version may read it. Details: olog-hub status --json
   *[other] { $n } values of the database could not be read and were set aside; a newer version may read them. Details: olog-hub status --json
}
status-pending = { $n ->
    [one] 1 device waits to be accepted: olog-hub device list --pending
   *[other] { $n } devices wait to be accepted: olog-hub device list --pending
}
status-no-device = No device has joined yet. Make a link with: olog-hub join-link (for this machine: olog-hub join-link --local | olog-agent join)
status-no-link = The last report came without a link: { $why }
status-declared = hub.toml declares device "{ $name }", but no device of that name has joined. Did you mean "{ $nearest }"?
status-without-effect = hub.toml has { $table }, which this version does not support yet: it has no effect.

## status: how things are
status-devices = Devices: { $connected } of { $devices } connected.
status-legacy = { $n ->
    [one] One of them is an old client (olog.py).
   *[other] { $n } of them are old clients (olog.py).
}
status-away = Not connected: { $names }{ $more ->
    [0] .
   *[other] {" "}and { $more } more.
}
status-open = { $n ->
    [0] Incidents: none open.
    [one] Incidents: 1 open, { $acknowledged } acknowledged.
   *[other] Incidents: { $n } open, { $acknowledged } acknowledged.
}
status-channels = Channels that work: { $names }.
status-one-channel = { $name } is the only channel: if it fails, nobody is notified of that.
status-reports = Reports: the last at { $last }, the next at { $next }.
status-first-report = Reports: none yet, the first at { $next }.
status-url = Address: { $url } (listening on { $listen }).
status-no-url = Address: listening on { $listen }; public_url is not set, so pushes carry no links.
status-program = Version { $version }, database { $store }.

## setup
setup-language = Language / 语言: zh-CN or en
setup-language-expected = expected / 应为: zh-CN or en
setup-begin = This writes { $file } and a secret file. Press Enter to keep the value in [brackets].
setup-zone-utc = The system's time zone is UTC. Times in pushes and the hour of the report follow the zone below.
setup-zone = Time zone
setup-zone-expected = expected a name like Asia/Shanghai, Europe/Berlin or UTC
setup-url-about =
    public_url: the address by which devices and browsers reach this hub, e.g. https://hub.example.com:8765.
    Join links and links in pushes need it. "-" for none.
setup-url = public_url
setup-url-in-hub-toml = hub.toml sets one: change it there
setup-where =
    Where do you read messages? The WxPusher app has no limit; inside WeChat at most 10 messages arrive in 24 h, so the
    hub budgets them.
setup-where-ask = 1: the WxPusher app, 2: inside WeChat
setup-one-or-two = expected 1 or 2
setup-way =
    How should WxPusher reach you?
    1: simple push, a token SPT_… for one phone: scan the code for it on https://wxpusher.zjiecode.com/docs/
    2: your own application: its token AT_… from https://wxpusher.zjiecode.com/admin/, and the UID_… of everybody who
       subscribed to it, listed on the application's page
setup-way-ask = 1: SPT, 2: application
setup-token = Application token AT_…
setup-spt = SPT_… (several with spaces)
setup-begins-with = expected something that begins with { $mark }
setup-uids = UID_… of the receivers, with spaces
setup-uids-expected = expected UID_…, one or several
setup-there = keep the saved one
setup-replace = { $file } exists with other content. Replace it
setup-replace-edited = { $file } was edited by hand; its comments would be lost. Replace it
setup-question-mark = ?
setup-yes-or-no = expected y or n
setup-written = Written: { $file }
setup-agent = The agent of this machine is configured here too ({ $file }).
setup-device = Name of this machine in alerts
setup-device-expected = expected a name without control characters, at most 64 bytes
setup-address = How do you log in to this machine by ssh, e.g. ubuntu@10.20.0.233:22 (shown in alerts; "-" for none)
setup-address-expected = expected user@host or user@host:port
setup-folder = { $folder } contains log files. Watch it too
setup-loaded = The hub has loaded it. Sending a test …
setup-hub-off = The hub does not run, so nothing was sent. Start it: systemctl enable --now olog-hub
setup-hub-off-then = Then: olog-hub channel test { $channel }
setup-next-report = The next daily report comes on { $time } ({ $zone }).
setup-only-channel = { $name } is the only channel: if it fails, nobody is notified. Consider a second [[channel]].
setup-next-here = Next, as root, for this machine's own logs: install olog-agent, then: olog-hub join-link --local | olog-agent join
setup-next-others = For other machines: install olog-agent there, and join with what this prints: olog-hub join-link
setup-invalid = { $findings }
    nothing was written
setup-before = { $findings }
    fix this first, then run olog-hub setup again
setup-not-written = cannot write { $file }: { $why }; nothing was changed
setup-rights = olog-hub setup writes { $files }: run it as root (sudo olog-hub setup)
setup-declined = nothing was changed
setup-ended = the answers ended at the question "{ $question }"; nothing was changed
setup-wrong = { $question }: { $problem }; nothing was changed
setup-cancelled = cancelled; nothing was changed
setup-unreadable = cannot read the answers: { $why }
setup-echo = the terminal may no longer show what you type; run: reset

## olog-agent: status and join, in the language of the terminal
agent-head = { $device } (olog-agent { $version }): { $hub }
agent-connected = connected to { $hub }
agent-not-connected = not connected to { $hub }: { $why }
agent-trying = trying
agent-not-joined = not joined: run `olog-agent join` with the line that `olog-hub join-link` prints
agent-not-joined-here = not joined: run `olog-agent join` with the line that `olog-hub join-link` prints; for the hub of this machine: `olog-hub join-link --local | olog-agent join`
agent-waiting = waiting for the hub: { $events ->
    [one] 1 event
   *[other] { $events } events
}, { $bytes } bytes; acknowledged through { $acked }
agent-watching = watching { $files ->
    [one] 1 file
   *[other] { $files } files
} in { $folders ->
    [one] 1 folder
   *[other] { $folders } folders
}
agent-running = running: { $task } since { $since } (user { $uid })
agent-skew = this device's clock differs from the hub's by { $span }
agent-note = problem: { $path }{ $text }
agent-stuck = stuck: { $worker } makes no step
agent-failing = failing for { $span }: { $duty } ({ $worker }): { $why }
agent-identity-rotated = The key of this device is { $key } from now on. The hub refuses the old one.
agent-identity-next = The next key is { $key }; it is not in use yet: { $why }. It is announced again whenever the agent connects.
agent-identity-waits = the agent has not reached the hub
agent-joined = { $device } joined { $hub }; { $next }
agent-joined-connected = the running agent is connected
agent-joined-not-connected = the running agent is not connected yet: { $why }
agent-joined-start = start the agent: systemctl enable --now olog-agent
agent-joined-run = start the agent; without systemd: { $command }
agent-joined-soon = the running agent connects to it within half a minute

## olog-agent: jobs, units and unit-failed
agent-jobs-none = no crontab and no systemd timer was found
agent-jobs-count = { $jobs ->
    [one] 1 job
   *[other] { $jobs } jobs
}, of which { $silent ->
    [0] all report to Olog
    [one] 1 does not report to Olog
   *[other] { $silent } do not report to Olog
}
agent-job-schedule = schedule: { $schedule }
agent-job-schedule-next = schedule: { $schedule }; next run: { $next }
agent-job-by-exec = reports to Olog: runs through `olog-agent exec`
agent-job-by-log-dir = reports to Olog: writes into a log dir
agent-job-by-units = reports to Olog: systemd reports how it ends
agent-job-silent = does not report to Olog
agent-declare-where = Put this into hub.toml on the hub, with the name that this device has there; if it has a [[device]] section already, add the tasks to that.
agent-declare-zone = A schedule applies in the hub's time zone; if this machine has another one, change the hours.
agent-declare-then = Then type on the hub: olog-hub check (it prints the next times), then systemctl reload olog-hub.
agent-declare-others = Not declared:
agent-declare-none = No job of this machine can be declared: none in a crontab runs through `olog-agent exec`.
agent-declare-file-names = reports by its files, whose names say the task; declare it by that name
agent-declare-once = runs after a boot, not by a schedule
agent-declare-several = has several schedules; a task has one. The hub learns it from the runs
agent-declare-calendar = its calendar has no equal on the hub; the hub learns it from the runs
agent-declare-anacron = when it runs is decided by anacron; the hub learns it from the runs
agent-declare-zone-unknown = its time zone is not known
agent-declare-only-failures = only its failures are reported, so a run that is missing could not be told from a good one
agent-propose-none = No job of this machine can be proposed to the hub.
agent-propose-others = Not proposed:
agent-proposed = Proposed. The hub shows it in its next report; from a day after that it is LOST if it does not run.
agent-proposed-known = The hub expects it like that already.
agent-proposed-declared = hub.toml declares this task, and that counts.
agent-proposed-refused = On the hub it was turned off, and that counts.
agent-proposed-limit = Not taken: this device has reached a limit of the hub.
agent-proposed-invalid = Not taken: { $why }
agent-proposed-unknown = The hub's answer is of a newer version than this agent.
agent-proposed-accept = to expect it from now on, type on the hub:
agent-not-proposed-connected = nothing was proposed: the agent is not connected to its hub. For hub.toml, instead:
agent-not-proposed-old = nothing was proposed: the hub is of an older version that does not take schedules. For hub.toml, instead:
agent-not-proposed-answer = nothing is known to be proposed: the hub has not answered in time. For hub.toml, instead:
agent-not-proposed = nothing was proposed: { $why }. For hub.toml, instead:
agent-declare-learnt = has no crontab schedule of its own; the hub learns it from the runs
agent-declare-no-name = the name of its task is not written in the line
agent-declare-twice = a second line of the same task; a task has one schedule
agent-job-crontab-line = to make it report, replace the line by:
agent-job-script-line = to make it report, put this below the first line of the script:
agent-job-run-by = to make it report, move it elsewhere, and put a script in its place that runs it like this:
agent-job-command = to make it report, type:
agent-units-on = on: every service of this machine reports when it fails and when it has recovered (wrote { $path })
agent-units-was-on = on already: { $path } is there; nothing was changed
agent-units-off = off: services no longer report (removed { $path })
agent-units-was-off = off already: nothing was changed
agent-units-not-root = only root can do this: sudo olog-agent units on|off
agent-units-no-systemd = this machine does not run systemd; use `olog-agent exec` in your jobs instead
agent-units-not-shipped = { $path } is missing: install the package olog-agent again
agent-unit-failed = { $unit } failed: reported
agent-unit-counted = { $unit } failed again: counted, and reported within a minute
agent-unit-good = { $unit }: a good run was reported
agent-unit-nothing = { $unit }: nothing to report

## import: comments of the TOML
import-head = Imported from { $file } of olog.py. Read it, then write it with --write.
import-unknown-key = olog.cfg: the key "{ $key }" is unknown and left out.
import-twice = olog.cfg: the key "{ $key }" stands more than once; the last one counts.
import-wrong = olog.cfg: the value of "{ $key }" is left out: expected { $expected }.
import-both-tasks = olog.cfg has "tasks" and "device_tasks": their names are put together.
import-two-addresses = olog.cfg: the device "{ $device }" has two addresses; its tasks are put together.
import-gbk = olog.cfg is encoded in GBK.
import-running = olog.py is running here (process { $pid }: { $command }). While both run, each problem is pushed twice: stop olog.py when Olog works.
import-cron = olog.py is started by { $file }, line { $line }: remove that line when Olog works.
import-bad-name = olog.cfg: "{ $name }" cannot be a name in Olog and is left out.
import-written = Written: { $files }. Check it with "check"; the running daemon takes it within 5 s.
import-agent-keys = device, log_dirs and log_keep_days belong to the agent of this machine: olog-agent import { $file }
import-public-url = The address at which the clients reached the server. It is used in join links and in the links of pushes:
import-html-dir = As before. Pages are deleted after keep_days (default 7) days, and their names cannot be guessed.
import-legacy = Clients of olog.py go on reporting to this hub, on the same port and with the same token. Delete this table when the last one has been replaced.
import-channel = The WxPusher channel of the old configuration. All pushes come from the hub now; devices with an agent need no token.
import-channel-there = This hub has a channel already, so the WxPusher channel of olog.cfg is left out.
import-no-channel = olog.cfg has no token and no uids: set up a channel with olog-hub setup
import-half-channel = olog.cfg has a token without uids, or uids without a token: nobody can be notified with it. Set up a channel with olog-hub setup
import-known = What olog.py had seen. These names are not marked [NEW] in reports. Nothing is expected of them yet:
import-known-device = olog.py had seen { $device }. Remove the # of the three lines if all of its tasks must run, one report after the other.
import-declared = Expected devices and tasks: what does not come by the next report is LOST. Give a task a schedule if it runs less often.
import-log-dirs = /var/log/olog is the folder of Olog itself (olog-agent exec uses it); the others are yours.
import-keep-days = As before, but files that have not been reported yet are never deleted.
import-not-watched = The output of olog.py itself is not watched any more.
import-push = Used only while the hub cannot be reached; otherwise the hub pushes.
import-join = The server was { $server }. To connect this device, run there: olog-hub join-link --device { $device }, and here: olog-agent join LINK
import-join-local = The server ran on this machine. To connect this device to the hub here: olog-hub join-link --local --device { $device } | olog-agent join
import-join-here = To connect this device, run on the hub: olog-hub join-link --device { $device }, and here: olog-agent join LINK
import-hub-keys = report_time, htmldir, htmlurl and device_tasks belong to the hub: olog-hub import { $file }
import-bad-address = olog.cfg: the address "{ $address }" is left out: expected [USER@]HOST[:PORT].

## Packages of the agent
cli-link-install = Run this line on the device (Debian; it needs curl: apt install curl). It installs olog-agent from this hub and joins. It is valid for { $span } and { $uses ->
    [one] one device
   *[other] { $uses } devices
}.
cli-device-behind = { $version } (behind { $newer })
cli-packages-added = { $name } is offered to new devices. SHA-256: { $sha256 }
cli-packages-removed = { $name } is no longer offered.
cli-packages-none = this hub offers no package of the agent: olog-hub packages add olog-agent_*.deb
cli-packages-none-of = no package for { $architecture } is offered: olog-hub packages list
cli-packages-no-deb = not offered: this is not a Debian package (.deb)
cli-packages-cut-off = not offered: the file is cut off; copy it again
cli-packages-control = not offered: { $why }
cli-packages-other = not offered: this is the package { $package }, expected { $expected }
cli-packages-architecture = not offered: this package is for { $architecture }, expected one of { $known }
cli-packages-too-large = not offered: the file is larger than { $mib } MiB
cli-install-no-link = no join link on standard input: nothing was installed
cli-install-root = run this line as root: nothing was installed
cli-install-debian = this is not Debian or a relative of it (there is no apt-get): nothing was installed. For other systems there is a tarball.
cli-install-installed = olog-agent is installed already and stays as it is; upgrades come by apt.
cli-install-no-curl = curl is missing: apt install curl. Nothing was installed
cli-install-architecture = the hub offers no package for this machine (it has { $known }): nothing was installed. This machine is
cli-install-download = the package could not be downloaded: nothing was installed
cli-install-hash = the package is not the one that the hub named (its SHA-256 differs): nothing was installed
cli-install-apt = apt could not install the package: see above. This machine has not joined
cli-install-not-joined = olog-agent is installed, but this machine has not joined: see above. With a new link: olog-agent join
cli-install-changed = olog: what the hub sent is not what this line expects: its packages have changed since the line was made, or somebody changed it on the way. Nothing was installed. Make a new line: olog-hub join-link --install
