# Texts for phones, in English. Both catalogues have the same keys; a test compares them with the code.
# The reader may just have been woken up, and sees 20 characters first.

## States: the first word of a title
state-err = ERR
state-msg = MSG
state-lost = LOST
state-lost-task = LOST
state-runs = SLOW
state-back = BACK
state-over = OVER
state-quiet = QUIET
state-remind = REMIND
state-system = OLOG
state-late = LATE
title-telling = { $title } — { $telling }

## Names and counts in titles
count-state = { $state } { $n }
count-devices = { $n } devices
count-tasks = { $n } tasks
count-signs = { $n } notices
lost-of-site = { $n }/{ $all } same site
lost-of = { $n }/{ $all } devices
devices-short = { $n } dev.
back-part = { $n }/{ $all } dev.
away = { $span } away
short-s = { $n }s
short-min = { $n }m
short-h = { $n }h
short-d = { $n }d

## Times
format-day = %-d %b %H:%M
format-day-seconds = %-d %b %H:%M:%S
span-s = { $n } s
span-min = { $n } min
span-h = { $n } h
span-h-min = { $h } h { $min } min
span-d = { $n } { $n ->
    [one] day
   *[other] days
}
span-d-h = { $n } { $n ->
    [one] day
   *[other] days
} { $h } h
span-range = { $from } to { $to }
late = { $span } late: { $what }
late-then = { $span } late.
list-comma = ,
telling-comma = ;{ " " }
sentence-space = { " " }

## An error
failed = { $when ->
    [now] { $subject } has failed.
   *[late] { $subject } failed at { $time }.
}
failed-otherwise = { $when ->
    [now] { $subject } reported a different error.
   *[late] { $subject } reported a different error at { $time }.
}
failed-again = { $when ->
    [now] { $subject } has failed again, soon after recovering.
   *[late] { $subject } failed again at { $time }, soon after recovering.
}
began-again = Failure number { $n } of this incident; the first was at { $time }.
recovered-meanwhile = It has recovered since, at { $time }.
history = It recovered at { $over } and failed again at { $again }.
in-a-row = { $subject } has failed { $n } times in a row.
run-failed = { $how ->
    [signal] Ended by signal { $code } after { $span }.
    [unmeasured] Exit code { $code }.
   *[exit] Exit code { $code } after { $span }.
}
comes-and-goes = { $subject } is flapping: it has failed { $n } times. From now on you are notified every 6 h, until it has been stable for 24 h.
known-first = Never seen before.
known-again = Seen before.
last-good = Last OK { $time } ({ $span } ago).
open-since = Open since { $time }, { $n } { $n ->
    [one] error
   *[other] errors
} so far.
more-errors = { $n } more new { $n ->
    [one] error followed; it is
   *[other] errors followed; they are
} listed below.
left-out = … { $n } bytes left out …
device-itself = Olog

## A message
msg-times = The same text was received { $n } times.

## Something went missing, something is back
lost-one = Nothing heard from { $devices } since { $time }.
lost-many = { $n } devices offline since { $time }.
lost-many-site = { $n } devices offline since { $time }, all behind { $behind }.
lost-others = { $n ->
    [one] The other one is connected.
   *[other] The other { $n } are connected.
}
lost-bye = A shutdown, stop or upgrade was announced.
lost-no-bye = No shutdown was announced.
lost-comes-and-goes = It is flapping: it went offline { $n } times within 24 h. From now on you are notified every 6 h, and when it has been offline for 1 h, until it has stayed online for 24 h.
lost-tasks = { $n ->
    [one] No separate alerts for its tasks; missed runs are checked when it reconnects.
   *[other] No separate alerts for their tasks; missed runs are checked when they reconnect.
}
lost-summary-site = power or network?
lost-summary = silent since { $time }
back-one = { $devices } is connected again after { $span } offline (since { $time }).
back-calm = { $devices } has stayed online for 24 h, after going offline { $n } times.
back-many = { $n ->
    [one] 1 device is
   *[other] { $n } devices are
} connected again after { $span } offline (since { $time }).
back-all = All are back.
back-missing = Still offline: { $devices }.
back-summary-all = { $how ->
    [unknown] all back
    [all] all back, all rebooted
    [none] all back, no reboot
   *[some] all back, { $n } rebooted
}
back-summary-one = { $how ->
    [unknown] connected again
    [none] no reboot
   *[all] rebooted
}
back-summary-missing = { $devices } still offline
back-rebooted = { $how ->
    [it] It rebooted meanwhile.
    [all] All of them rebooted.
    [none] No reboot.
   *[some] { $n } rebooted.
}
back-bye = The disconnect had been announced.
back-missed-run = { $name } ({ $due })
back-missed-more = { $n } more
back-missed = Missed meanwhile: { $runs }. { $how ->
    [one] You are alerted if it has not run by { $late }.
   *[several] You are alerted of each that does not run in time.
}
back-missed-summary = missed { $run }{ $n ->
    [0] { "" }
   *[other] {" "}and { $n } more
}

## A task that did not come
task-lost = { $how ->
    [first] { $subject } was due at { $due } and has not run.
   *[still] { $subject } was due at { $due } and still has not run, { $span } later.
}
task-device-offline = Cause: its device was offline from { $from } to { $to }, when the run was due.
task-last-seen = Last run { $time } ({ $span } ago).
task-never-seen = It has never run.
task-missed = Missed { $n } times.
task-lost-summary = due at { $due }
task-stop-expecting = Stop watching this task:
task-came = { $how ->
    [late] { $subject } ran at { $time }, { $span } after it was due.
    [in-time] { $subject } ran on time, at { $time }; the hub heard of it only now.
   *[failed] { $subject } ran at { $time } and failed (see the separate error). It was due at { $due }.
}
task-came-summary = ran { $time }
task-unexpected = { $subject } is no longer expected to run.
task-unexpected-summary = no longer expected
over-untold-lost = The alert that it was missing had not been sent yet; this message covers both.
why-task-schedule = hub.toml schedules it: { $schedule }.
schedule-words = { $words } ({ $line })
task-runs = { $how ->
    [known] { $subject } has been running since { $time }, for { $span }; usually it takes { $usual }.
   *[unknown] { $subject } has been running since { $time }, for { $span }.
}
task-runs-summary = { $how ->
    [known] for { $span }, usually { $usual }
   *[unknown] for { $span }
}
why-task-learnt = learnt from its past runs: { $cadence }.
why-task-read = read from the schedules of its machine: { $schedule }.
why-task-runs = this run is taking far longer than usual. You are told only once.
proposal = { $cadence } (learnt from { $n } runs in { $span }). From tomorrow it is reported LOST if it does not run. To decline: { $command }
proposal-read = { $schedule } (read from the schedules of its machine). From tomorrow it is reported LOST if it does not run. To decline: { $command }
schedule-zone = { $words }, { $zone } time
cadence-every = every { $span }
cadence-daily = daily { $when }
weekday = { $n ->
    [0] Mon
    [1] Tue
    [2] Wed
    [3] Thu
    [4] Fri
    [5] Sat
   *[6] Sun
}
why-task-report = hub.toml expects at least one run between two reports.

## An end
over-was = { $range }, { $n } { $n ->
    [one] error
   *[other] errors
}.
over-were = { $range }, { $n } { $n ->
    [one] error
   *[other] errors
} { $how ->
    [each] each.
   *[total] in total.
}
over-summary = after { $span }, { $n } { $n ->
    [one] error
   *[other] errors
}
over-acknowledged = Acknowledged { $time }.
over-untold-devices = The alert that it was offline had not been sent yet; this message covers both.
over-said-by = Another user reported this: { $end }. The error came from { $error }.
over-untold = The failure itself had not been sent yet; this message covers both.
ground = Reason: { $ground }
ground-run-ended = a run ended with exit code 0.
ground-new-log = a new log appeared, with no error since.
ground-cleared = its error file was emptied.
ground-log-grew = the log kept growing without errors for a while.
ground-closed = closed manually.
ground-resolved = the alert was resolved, or is no longer sent.
ground-quiet = No error since { $time }, but nothing proves that it is healthy.
quiet-summary = no error since { $time }

## Still open
remind = { $subject } is still failing, for { $span } now.
remind-last = { $n } { $n ->
    [one] error
   *[other] errors
}, the last at { $time }.
remind-summary = for { $span }

## What to do, why, facts
log-in = Log in
copy = copy
address = Address: { $address }
details = Details #{ $n }
details-all = Details of { $n } incidents
acknowledge = Acknowledge #{ $n }:
silence = Silence it for 2 h:
acknowledge-button = Acknowledge
acknowledge-all = Acknowledge all:
why = Why: { $why }
why-first = first sign.
why-known = first sign of a known error.
why-new = a different error in an open incident.
why-more = more new errors in an open incident; after several alerts within an hour the rest are grouped.
why-reopened = the incident reopened within 24 h.
why-comes-and-goes = it is flapping.
why-in-a-row = the number of consecutive errors set in hub.toml was reached.
was-silenced = Silence { $n } held this back until now.
why-msg = a message, not an error; every .msg is pushed.
why-lost = nothing heard for longer than offline_after.
why-back = you were alerted that it was offline.
why-over = you were alerted when it began.
why-came = you were alerted that it was missing.
why-over-both = start and end in one message.
why-remind = still open; a reminder.
why-system = about Olog itself.
why-merged = { $n } notices in one message.
error-times = Error { $at }, sent { $now }.
event-times = { $at }, sent { $now }.
event-now = Sent { $now }.
budget-waited = { $whose ->
    [all] This message
   *[some] { $n ->
        [one] 1 of these notices
       *[other] { $n } of these notices
    }
} waited for the message budget{ $used ->
    [0] .
   *[other] { " " }({ $used } of { $all } used in 24 h).
}
budget-low = { $n ->
    [0] The budget of { $all } messages per 24 h is used up; new notices wait.
    [one] 1 of { $all } messages per 24 h is left, reserved for new incidents and the report; other notices wait.
   *[other] { $n } of { $all } messages per 24 h are left, reserved for new incidents and the report; other notices wait.
} To reset the budget (inside WeChat, first send the bot a message): olog-hub channel rearm { $channel }
by-device = Sent by the device itself: its hub cannot be reached.
by-device-again = Sent by the device itself.

## Several together
merged = { $n } notices, worst first.
merged-same = One error, { $where }, { $range }, { $n } { $n ->
    [one] time
   *[other] times
}.
merged-errors = { $n } different errors, the newest last ({ $times }).
merged-digest = { $n } notices were delayed until now. Open incidents first; each shows its own time.
where-devices = { $n } devices
where-tasks = { $n } tasks
where-both = { $devices } devices, { $tasks } tasks
and-more = and { $n } more in the next message
names-more = { $n } more (olog-hub incident list --all)
counted = { $n ->
    [one] 1 more is
   *[other] { $n } more are
} only counted here: { $devices }.
counted-devices = { $n ->
    [one] 1 more device
   *[other] { $n } more devices
}
counted-where = Too much arrived at once: the worst is shown, the rest is only counted. Full list: olog-hub incident list --all. The texts of messages (.msg) are in their files.

## Olog's own affairs
system-hub-first-start-title = HUB started
system-hub-first-start = The hub started for the first time. Alerts will arrive on this channel from now on.
system-hub-unclean-title = HUB restarted
system-hub-unclean = The hub restarted after an unclean stop (crash, kill or power loss). It was last alive at { $since }. Devices kept what happened meanwhile and are sending it.
system-hub-away-title = HUB is back
system-hub-away = The hub was down from { $since } until now. Devices kept what happened meanwhile and are sending it.
system-hub-down-title = HUB down
system-hub-down = { $code ->
    [watchdog] The hub stopped responding and systemd killed it
    [signal] The hub was killed: { $text }
    [core-dump] The hub crashed: { $text }
    [oom-kill] The machine ran out of memory and the kernel killed the hub
    [timeout] The hub did not start or stop in time
    [exit] The hub exited with code { $text } and no message
    [unknown] The hub is not running, for an unknown reason
   *[other] { $text }
}. Nothing is pushed until it is back; devices keep what happens. See: journalctl -u olog-hub
system-new-devices-title = NEW device
system-new-devices = Joined: { $devices }.
system-pending-devices-title = JOIN pending
system-pending-devices = Waiting to be accepted: { $devices }. See: olog-hub device list --pending
system-config-refused-title = CONFIG rejected
system-config-refused = { $findings }. The old configuration stays in force{ $n ->
    [one] .
   *[other] ; the new one has { $n } mistakes.
}
system-epoch-renewed-title = EVENTS renumbered
system-epoch-renewed = { $device } restarts its event numbering: { $why }. Unacknowledged events are sent again; nothing is lost, but some may arrive twice.
system-gap-title = EVENTS missing
system-gap = { $n ->
    [one] 1 event of { $device } is
   *[other] { $n } events of { $device } are
} missing: the hub may have been restored from a backup.
system-certificate-refused-title = CERTIFICATE refused
system-certificate-refused = The changed certificate is not used, the old one stays in force: { $why }
system-device-limit-title = LIMIT reached
system-device-limit = { $limit ->
    [events_per_day] { $device } has reached its limit of events for today ({ $n }). Further events still open and close incidents, but their texts are not stored.
    [bytes_per_day] { $device } has reached its limit of bytes for today ({ $n }). Further events still open and close incidents, but their texts are not stored.
    [tasks] { $device } has reached its limit of tasks ({ $n }). Events of further tasks are only counted: look for a program that makes a new file name each time.
    [open_incidents] Too many errors on { $device }: it has reached its limit of open incidents ({ $n }). Further errors are stored and open no incident until fewer are open.
    [open_incidents_of_user] One user of { $device } has caused half of the incidents that may be open on it ({ $n }), or half of what its other users leave. Further errors of this user are stored and open no incident until fewer are open; errors of other users and of root are told.
   *[notes_per_hour] { $device } has reached its limit of messages in an hour ({ $n }). Further ones of this hour are stored and not pushed.
} The limit is the key limits.{ $limit ->
    [open_incidents_of_user] open_incidents
   *[other] { $limit }
} of hub.toml.
system-device-renamed-title = RENAMED
system-device-renamed = The device { $name } calls itself { $device } from now on. If that was not you: olog-hub device rename { $device } { $name }
system-two-machines-title = SAME key twice
system-two-machines = Two machines use the key of { $device }: { $addresses }. One is a clone: on that one, delete state_dir and join again.
system-legacy-client-title = OLD client
system-legacy-client = { $code ->
    [legacy_name] An old client (olog.py) at { $addresses } uses the name of { $name }, a device with olog-agent. The hub rejects it. If both run on the same machine, stop olog.py there and remove it from crontab; otherwise give that client another name.
    [legacy_twice] Two old clients (olog.py) use the name { $name }: the hub rejects the second one, at { $addresses }. Give one of them another name.
    [legacy_clock] The clock of old client { $name } (olog.py, at { $addresses }) differs from the hub's by { $n } s. The old protocol allows 10 s, so the hub rejects it. Correct its clock, for example with: timedatectl set-ntp true
   *[other] Old client { $name } (olog.py) sends more than the hub accepts: { $text }. Clean up its log dirs, or install olog-agent there.
}
system-unreadable-title = EVENT not stored
system-unreadable = The database rejected event { $n } of { $device }. It is recorded as unreadable; later events are not affected.
agent-problem = { $code ->
    [log_dir_missing] the log dir { $path } is missing
    [log_dir_unreadable] the log dir { $path } cannot be read
    [log_dir_hidden] the log dir { $path } is hidden by the sandbox
    [log_dir_full] the disk of { $path } is over 90 % full
    [file_unreadable] { $path } cannot be read
    [watch_limit] the inotify limit is reached, so some folders are only polled
    [too_many_folders] there are more folders than it can watch
    [spool_full] the spool is full; reading is paused
    [disk_full] the disk cannot be written to
    [not_cleanable] old logs in { $path } cannot be deleted
    [spool_damaged] the spool was damaged and has been set aside
    [spool_unreadable] a part of the spool could not be read
    [epoch_renewed] the event numbering was restarted
    [config_refused] a new configuration was rejected; the old one stays in force
    [run_not_started] job { $path } was not started, because its earlier run still goes on
   *[other] see the details
}
system-agent-note-title = AGENT
system-agent-note = The agent on { $device } has a problem: { $problem }. Details: { $text }
system-agent-note-over-title = AGENT ok
system-agent-note-over = The agent on { $device } has recovered from: { $problem }. It had reported: { $text }
system-channel-failing-title = CHANNEL failing
system-channel-failing = Channel { $channel } does not accept messages: { $answer }. Waiting messages are kept for 7 days and sent when it works again.
system-channel-back-title = CHANNEL ok
system-channel-back = { $since ->
    [none] Channel { $channel } accepts messages again.
   *[other] Channel { $channel } works again since { $time }. It had accepted nothing since { $since }; what waited was sent then.
}
system-receiver-refused-title = RECEIVER rejected
system-receiver-refused = Channel { $channel } permanently rejects { $receiver }: { $answer }. Other receivers are not affected. Subscribe it again, or remove it from the configuration.
system-expired-title = NOTICES expired
system-expired = { $n ->
    [one] 1 notification for channel { $channel } was
   *[other] { $n } notifications for channel { $channel } were
} given up after 7 days. See: olog-hub incident list --all
system-ghost-tasks-title = TASKS by rotation
system-ghost-tasks = { $n ->
    [one] 1 task looks like an old name of another task
   *[other] { $n } tasks look like old names of other tasks
}, made by log rotation: { $what }. To merge the first: { $command }. To drop a task instead: olog-hub task forget
system-values-unreadable-title = NOT READABLE
system-values-unreadable = This version of Olog cannot read { $n ->
    [one] 1 stored value
   *[other] { $n } stored values
} ({ $what }): { $why }. It is kept and everything else goes on. If you went back to an older version, install the newer one again: it sends what is still waiting. List: olog-hub status
system-store-trouble-title = DISK had errors
system-store-trouble = For a while the hub could not write to its database; it can again: { $text }. Devices kept what happened meanwhile.
system-store-recovered-title = DATABASE damaged
system-store-recovered = The database was damaged and has been moved to { $path }. The hub continues with a new one; data that was only in the old one is missing.
system-report-page-title = REPORT page
system-report-page = The report's page cannot be opened by a link, so this message contains the whole report: { $why }
system-report-listing-title = REPORTS listed
system-report-listing = Directory listing is enabled for { $path }: anyone who finds it can read every report. Disable it (nginx: autoindex off).
system-watchdog-failing-title = HEARTBEAT failing
system-watchdog-failing = The heartbeat to { $host } has failed three times in a row: { $why }. The hub itself is running, but { $host } will report it as down, and a real failure would go unnoticed.
system-watchdog-back-title = HEARTBEAT ok
system-watchdog-back = { $host } accepts the hub's heartbeat again.
system-duty-failing-title = HUB failing
system-duty-failing = A part of the hub has failed for 10 minutes ({ $duty }): { $error }. Its other parts go on. Details: `olog-hub status`, `journalctl -u olog-hub`.
system-duty-back-title = HUB ok
system-duty-back = The part of the hub that failed ({ $duty }) works again.
system-hub-unreachable-title = HUB unreachable
system-hub-unreachable = { $device } has not reached its hub since { $since } ({ $why }). Until it does, it sends its own errors and messages itself; LOST devices and tasks are not reported.
system-hub-reachable-title = HUB back
system-hub-reachable = { $device } reaches its hub again after { $span } (since { $since }). The hub now receives what it missed.
system-channel-test-title = TEST
system-channel-test = This is a test of channel { $channel }, sent the same way as an alert.

## The report's push
state-report = REPORT
state-ok = OK
state-task-lost = LOST
state-note = AGENT
state-channel = CHANNEL
report-all-ok = all OK
report-all-ok-of = all OK { $devices } dev.
report-ok-now = OK, { $n } over
report-no-devices = no device yet
report-n-err = { $n } ERR
report-n-lost = { $n } LOST
report-n-task-lost = { $n } LOST
report-n-ok = { $n } OK
report-n-to-do = { $n } to do
report-telling-task-lost = { $name } has not run for { $span }
report-telling-task-err = { $name } has been failing for { $span }
report-telling-device-lost = { $name } has been offline for { $span }
report-telling-devices-lost = { $n } devices have been offline for { $span }
report-telling-note = the agent on { $name } is not fully working
report-telling-channel = channel { $name } does not accept messages
report-window-good = { $span } up to { $to }: no errors, nothing lost. { $devices } { $devices ->
    [one] device
   *[other] devices
}, { $tasks } { $tasks ->
    [one] task
   *[other] tasks
}.
report-window-over = { $span } up to { $to }: there were problems, all resolved. { $devices } { $devices ->
    [one] device
   *[other] devices
}, { $tasks } { $tasks ->
    [one] task
   *[other] tasks
}.
report-window-bad = { $span } up to { $to }: { $devices } { $devices ->
    [one] device
   *[other] devices
}, { $tasks } { $tasks ->
    [one] task
   *[other] tasks
}.
report-to-do = To do now ({ $n }):
report-over = Resolved since the last report: { $n }.
report-last-done = Last completed run: { $time }, { $name }.
report-changed = New: { $new }, gone: { $gone }.
report-sent = Sent { $sent }, refused { $refused }.
report-waiting = Waiting: { $n }.
report-channels-failing = Channels not working: { $channels }.
report-open = Open the report
report-comes-and-goes = comes and goes
report-begun = failure number { $n }, the first { $time }
report-recovered = recovered { $time }
report-telling-comes-and-goes = { $name } comes and goes: it has failed { $n } times
report-with-tasks = { $name } ({ $tasks })
report-devices-ok = OK { $n }: { $devices }{ $more ->
    [0] { "" }
   *[other] , and { $more } more
}
report-due = due at { $time }
report-last-good = last OK { $time }
report-not-acknowledged = not acknowledged
report-more = and { $n } more
report-head-over = Resolved
report-head-new = New
report-head-gone = Gone
report-head-devices = Devices
report-inline = To save a report's page: olog-hub report show { $number } --html report.html

## The report's page
format-day-only = %-d %b
page-all-ok = All OK
page-ok-now = All OK now, { $n } over meanwhile
page-same-error = One error, { $n } places
page-proof-more = { $n } more done in time
page-no-devices = No device has joined yet
page-to-do = { $n } to do
page-made = made { $time }
page-devices = Devices
page-tasks = Tasks
page-over = Resolved
page-over-title = Resolved since the last report
page-changed = Changed
page-new = New
page-new-mark = NEW
page-gone = Gone
page-now = To do now
page-proof = Ran well
page-since = since { $time } ({ $span })
page-times = seen { $n } { $n ->
    [one] time
   *[other] times
}
page-acknowledged = acknowledged { $time }
page-same-site = { $n } devices (same address)
page-fleet = { $n } { $n ->
    [one] day
   *[other] days
}, { $good } without problems
page-strip = { $n } { $n ->
    [one] day
   *[other] days
}: { $ok } OK, { $err } ERR, { $lost } LOST
page-proposal = New schedules
page-proposed = { $name }: { $reason }
page-disk-full = { $name }, since { $time }: { $text }
page-renamed = Renamed
page-rebooted = Rebooted
page-n-ok = { $n } OK
page-heard = last heard { $time }
page-next = next { $time }
page-last-error = last error { $time }
page-devices-left = { $n ->
    [one] 1 more device:
   *[other] { $n } more devices:
}
page-key = Each strip shows 30 days, today on the right: short = OK, tall = ERR, hollow = LOST, thin line = no data.
page-health = Olog's own health
page-well = All OK.
page-no-channel = No channel is configured: nobody will be notified.
page-one-channel = Only one channel: if it fails, nobody will be notified.
page-channel = { $sent } sent, { $refused } refused
page-waiting = { $n } waiting
page-left-today = { $n } left today
page-next-slot = next one at { $time }
page-channel-gone = { $n } waiting. The channel is no longer configured; what waits is kept for 7 days in case it returns.
page-failing = not working: { $why }
page-no-link = There is no link to this page: { $why }
page-beyond-incidents = { $name } has reached its limit of { $max } open incidents: { $n ->
    [1] one error beyond it opened none
   *[other] { $n } errors beyond it opened none
}, so tasks shown as OK may be failing.
page-beyond-tasks = { $name } has reached its limit of { $max } tasks: { $n ->
    [1] one event of a further task was only counted
   *[other] { $n } events of further tasks were only counted
}, and those tasks are not listed.
page-clock-ahead = The clock of { $name } is { $span } ahead.
page-clock-behind = The clock of { $name } is { $span } behind.
page-legacy = old client (olog.py)
page-other-versions = Version differs from the hub's: { $names }
page-backup = Last backup { $time }.
page-next-report = Next report: { $time }.
page-lives = This page is kept for { $n } { $n ->
    [one] day
   *[other] days
}.
page-how = To silence something for a while: olog-hub silence add --device NAME --for 2h. To stop reminders of an incident: olog-hub incident ack N. To remove a device for good: olog-hub device forget NAME.
report-telling-never-joined = { $name } has never joined
report-never-joined = never joined
page-due-since = due at { $time } ({ $span } ago)
page-missed = missed { $n } { $n ->
    [one] time
   *[other] times
}
report-comma = ,
report-over-site = Resolved since the last report: { $n } ({ $devices } devices were offline, the longest for { $span }).
