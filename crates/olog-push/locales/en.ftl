# Words for phones, in English. Every key stands in every catalogue; a test compares them with the code.
# The person was woken up and sees 20 characters first.

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

## Names and counts in titles
count-state = { $state } { $n }
count-devices = { $n } devs
count-tasks = { $n } tasks
count-signs = { $n } msgs
lost-of-site = { $n }/{ $all } same site
lost-of = { $n }/{ $all } devices
back-of = { $n } devs
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
late = { $span } late: { $what }
list-comma = ,
sentence-space = { " " }

## An error
failed = { $when ->
    [now] { $subject } has just failed.
   *[late] { $subject } failed at { $time }.
}
failed-otherwise = { $when ->
    [now] { $subject } shows another error.
   *[late] { $subject } showed another error at { $time }.
}
failed-again = { $when ->
    [now] { $subject } has failed again, soon after it was over.
   *[late] { $subject } failed again at { $time }, soon after it was over.
}
in-a-row = { $subject } has failed { $n } times in a row.
comes-and-goes = { $subject } comes and goes: it has failed and recovered { $n } times. Told every 6 h from now on, until it has been calm for a day.
known-first = First time seen.
known-again = Seen before.
last-good = Last good { $time } ({ $span } ago).
open-since = Open since { $time }, { $n } { $n ->
    [one] error
   *[other] errors
} so far.
more-errors = { $n } more new { $n ->
    [one] error
   *[other] errors
} came after it, below with the first.
left-out = … { $n } bytes left out …
device-itself = Olog

## A message
msg-times = The same text came { $n } times.

## Something went missing, something is back
lost-one = Nothing heard from { $devices } since { $time }.
lost-many = { $n } devices gone since { $time }.
lost-many-site = { $n } devices gone since { $time }, all behind { $behind }.
lost-others = The other { $n } are connected.
lost-bye = Shutdown, stop or upgrade was announced.
lost-no-bye = No shutdown announced.
lost-comes-and-goes = It comes and goes: gone { $n } times within a day. Told every 6 h from now on, or when it stays away for an hour, until it has been here for a day.
lost-tasks = { $n ->
    [one] Its
   *[other] Their
} tasks stay quiet; missed runs are checked on return.
lost-summary-site = power or network?
lost-summary = silent since { $time }
back-one = { $devices } is connected again, away { $span } since { $time }.
back-calm = { $devices } has been here for a whole day, after it had gone { $n } times.
back-many = { $n } devices connected again, away { $span } since { $time }.
back-all = All back.
back-missing = Still missing: { $devices }
back-summary-all = { $how ->
    [all] all back, all rebooted
    [none] all back, no reboot
   *[some] all back, { $n } rebooted
}
back-summary-one = { $how ->
    [none] no reboot
   *[all] rebooted
}
back-summary-missing = { $n } still missing
back-rebooted = { $how ->
    [it] It rebooted.
    [all] All rebooted.
    [none] No reboot.
   *[some] { $n } rebooted.
}
back-bye = It was announced.

## A task that did not come
task-lost = { $how ->
    [first] { $subject } was due { $due } and has not run.
   *[still] { $subject } was due { $due } and still has not run, { $span } later.
}
task-last-seen = Last seen { $time } ({ $span } ago).
task-never-seen = It was never seen.
task-missed = Missed { $n } times.
task-lost-summary = due { $due }
task-stop-expecting = Stop expecting it:
task-came = { $how ->
    [late] { $subject } ran at { $time }, { $span } after it was due.
    [in-time] { $subject } had run in time, at { $time }; it was heard of only now.
   *[failed] { $subject } ran at { $time }, and failed: that is told by itself. It was due { $due }.
}
task-came-summary = ran { $time }
task-unexpected = Nothing is expected of { $subject } any more.
task-unexpected-summary = no longer expected
over-untold-lost = That it was missing was still waiting to be told: this tells both.
why-task-schedule = it has to run by { $schedule } (hub.toml).
task-runs = { $how ->
    [known] { $subject } has been running since { $time }, for { $span }; usually it takes { $usual }.
   *[unknown] { $subject } has been running since { $time }, for { $span }.
}
task-runs-summary = { $how ->
    [known] for { $span }, usually { $usual }
   *[unknown] for { $span }
}
why-task-learnt = it does so by habit: { $cadence }.
why-task-runs = a run takes far longer than usual. Told once.
proposal = { $cadence } (learnt from { $n } runs in { $span }). From tomorrow it is LOST when it does not come. To refuse: { $command }
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
why-task-report = hub.toml expects it between two reports.

## An end
over-was = { $range }, { $n } { $n ->
    [one] error
   *[other] errors
}.
over-summary = after { $span }, { $n } { $n ->
    [one] error
   *[other] errors
}
over-acknowledged = Acknowledged { $time }.
over-untold-devices = That it was gone was still waiting to be told: this tells both.
over-untold = Its begin was still waiting: this tells both.
ground = Ground: { $ground }
ground-run-ended = a run ended with 0.
ground-new-log = a new log came, no error since.
ground-cleared = the error file was cleared.
ground-log-grew = the log goes on, no error for a while.
ground-closed = closed by a person.
ground-quiet = Not seen since { $time }; no proof of health.
quiet-summary = not seen since { $time }

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
acknowledge = #{ $n } · acknowledge:
silence = Silence it for 2 h:
acknowledge-n = Acknowledge one (N as above):
why = Why: { $why }
why-first = first sign.
why-known = first sign of a known error.
why-new = another error in an open incident.
why-more = new errors in an open incident; there were many within an hour, so these come together.
why-reopened = began again within a day.
why-comes-and-goes = it comes and goes.
why-in-a-row = so many in a row, as hub.toml asks for.
was-silenced = Silence { $n } held it back until now.
why-msg = a message, not an error; every .msg is pushed.
why-lost = nothing heard for too long.
why-back = its loss was pushed.
why-over = its begin was pushed.
why-came = that it was missing was pushed.
why-over-both = begin and end together.
why-remind = still open; a reminder.
why-system = Olog's own affair.
why-merged = { $n } together.
error-times = Error { $at }, sent { $now }.
event-times = { $at }, sent { $now }.
event-now = Sent { $now }.
budget-waited = { $n ->
    [1] It waited
   *[other] { $n } notices of these waited
} for the budget{ $used ->
    [0] .
   *[other] : { $used } of { $all } messages of 24 h were sent.
}
budget-low = { $n ->
    [0] None of the { $all } messages of 24 h is left: what comes now waits
   *[other] { $n } of { $all } messages of 24 h are left, for new incidents and the report; the rest waits
} for a slot, or until a person rearms the channel (read inside WeChat: write to the bot first): olog-hub channel rearm { $channel }
by-device = Sent by the device itself: its hub cannot be reached.
by-device-again = Sent by the device itself.

## Several together
merged = { $n } things to tell, worst first.
merged-same = One error, { $where }, { $range }, { $n } { $n ->
    [one] time
   *[other] times
}.
merged-digest = { $n } things waited until now. Still open first, each with its own time.
where-devices = { $n } devices
where-tasks = { $n } tasks
where-both = { $devices } devices, { $tasks } tasks
and-more = and { $n } more, in the next message
names-more = { $n } more (olog-hub incident list --all)
counted = { $n } more are only counted here: { $devices }.
counted-devices = { $n } more devices
counted-where = So much came at once that this message tells the worst and counts the rest. Each stands in: olog-hub incident list --all; the texts of messages (.msg) in their files.

## Olog's own affairs
system-hub-first-start-title = HUB started
system-hub-first-start = The hub runs for the first time. From now on this channel hears of trouble.
system-hub-unclean-title = HUB restarted
system-hub-unclean = The hub starts after an unclean stop (crash, kill or power). It was last alive { $since }. Devices have kept what happened since and send it now.
system-hub-away-title = HUB is back
system-hub-away = The hub was away since { $since }. Devices have kept what happened since and send it now.
system-hub-down-title = HUB down
system-hub-down = { $code ->
    [watchdog] It did not answer for too long, systemd ended it
    [signal] It was killed: { $text }
    [core-dump] It crashed: { $text }
    [oom-kill] The machine ran out of memory and the kernel killed it
    [timeout] It did not start or stop in time
    [exit] It ended with code { $text } and left no words
    [unknown] It does not run, and nothing says why
   *[other] { $text }
}. The hub does not run: until it does, nothing is pushed. Devices keep what happens. See: journalctl -u olog-hub
system-new-devices-title = NEW device
system-new-devices = Joined: { $devices }.
system-pending-devices-title = JOIN waits
system-pending-devices = Waiting to be accepted: { $devices }. See: olog-hub device list --pending
system-config-refused-title = CONFIG refused
system-config-refused = { $findings }. So the old configuration stays in force{ $n ->
    [one] .
   *[other] ; the new one has { $n } mistakes.
}
system-epoch-renewed-title = SPOOL renewed
system-epoch-renewed = { $device } numbers its events anew: { $why }. What it holds is sent again; nothing is lost, something may come twice.
system-gap-title = GAP
system-gap = { $n } { $n ->
    [one] event
   *[other] events
} of { $device } are missing: the hub may have been restored from a backup.
system-two-machines-title = TWO machines
system-two-machines = Two machines use the key of { $device }: { $addresses }. One is a copy: on it, delete state_dir and join again.
system-unreadable-title = UNREADABLE
system-unreadable = The store could not take event { $n } of { $device }. It is recorded as unreadable; the next ones go on.
system-agent-note-title = AGENT
system-agent-note = The agent on { $device } has trouble: { $code ->
    [log_dir_missing] a log dir is missing
    [log_dir_unreadable] a log dir cannot be read
    [log_dir_hidden] a log dir is hidden by the sandbox
    [log_dir_full] the disk of a log dir is over 90 % full
    [file_unreadable] a file cannot be read
    [watch_limit] not all folders can be watched at once, so it looks at them from time to time
    [too_many_folders] there are more folders than are watched
    [spool_full] the spool is full, reading waits
    [disk_full] the disk does not take what is seen
    [not_cleanable] old logs cannot be deleted
    [spool_damaged] the spool was damaged and is kept aside
    [spool_unreadable] a part of the spool could not be read
    [epoch_renewed] the numbering began anew
    [config_refused] a new configuration was refused, the old one stays in force
   *[other] see its own words
}{ $at }. In its words: { $text }
system-agent-note-over-title = AGENT ok
system-agent-note-over = The agent on { $device } is rid of this trouble: { $code ->
    [log_dir_missing] a log dir is missing
    [log_dir_unreadable] a log dir cannot be read
    [log_dir_hidden] a log dir is hidden by the sandbox
    [log_dir_full] the disk of a log dir is over 90 % full
    [file_unreadable] a file cannot be read
    [watch_limit] not all folders can be watched at once, so it looks at them from time to time
    [too_many_folders] there are more folders than are watched
    [spool_full] the spool is full, reading waits
    [disk_full] the disk does not take what is seen
    [not_cleanable] old logs cannot be deleted
    [spool_damaged] the spool was damaged and is kept aside
    [spool_unreadable] a part of the spool could not be read
    [epoch_renewed] the numbering began anew
    [config_refused] a new configuration was refused, the old one stays in force
   *[other] see its own words
}{ $at }. It had said: { $text }
system-channel-failing-title = CHANNEL fails
system-channel-failing = Channel { $channel } does not take messages. Its answer: { $answer }. What waits there is kept for 7 days.
system-channel-back-title = CHANNEL ok
system-channel-back = { $since ->
    [none] Channel { $channel } takes messages again.
   *[other] Channel { $channel } takes messages again. It took none since { $since }; what waited is sent now.
}
system-receiver-refused-title = RECEIVER refused
system-receiver-refused = Channel { $channel } refuses { $receiver } for good: { $answer }. The other receivers go on. Subscribe again, or take it out of the configuration.
system-expired-title = EXPIRED
system-expired = { $n } { $n ->
    [one] notification
   *[other] notifications
} for channel { $channel } were given up after 7 days. They stand in the list of incidents.
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
system-store-trouble-title = DISK was in trouble
system-store-trouble = The hub could not store for a while, and can again: { $text }. Devices have kept what happened meanwhile.
system-store-recovered-title = DATABASE damaged
system-store-recovered = The database was damaged and is kept aside as { $path }. The hub goes on with a new one: what was only in the old one is missing here.
system-report-page-title = REPORT page
system-report-page = There is no page of the report that a link could open, so it comes whole in the message: { $why }
system-report-listing-title = REPORTS listed
system-report-listing = { $path } shows the list of its files: whoever finds it reads every report. Turn the listing off (nginx: autoindex off).
system-watchdog-failing-title = WATCHDOG fails
system-watchdog-failing = { $host }, which expects the hub's heartbeat, has not taken it three times in a row: { $why }. The hub itself is well; but whoever waits there will call it dead, and nobody would notice if it were.
system-watchdog-back-title = WATCHDOG ok
system-watchdog-back = { $host } takes the hub's heartbeat again.
system-hub-unreachable-title = HUB gone
system-hub-unreachable = { $device } has not reached its hub since { $since }: { $why }. Until it does, it pushes its own errors and messages; nobody reports what is LOST.
system-hub-reachable-title = HUB back
system-hub-reachable = { $device } reaches its hub again, after { $span } (since { $since }). What the hub had not heard, it hears now.
system-channel-test-title = TEST
system-channel-test = This is a test of channel { $channel }. It took the same road as an alert.

## The report's push
state-report = REPORT
state-ok = OK
state-task-lost = LOST
state-note = AGENT
state-channel = CHANNEL
report-all-ok = all OK
report-all-ok-of = all OK { $devices } dev
report-no-devices = no device yet
report-n-err = { $n } ERR
report-n-lost = { $n } LOST
report-n-task-lost = { $n } LOST
report-n-ok = { $n } OK
report-n-to-do = { $n } to do
report-telling-task-lost = { $name } has not run for { $span }
report-telling-task-err = { $name } is failing, { $span }
report-telling-device-lost = { $name } is gone, { $span }
report-telling-devices-lost = { $n } devices are gone, { $span }
report-telling-note = the agent on { $name } cannot do all of its work
report-telling-channel = channel { $name } takes nothing
report-window-good = { $span } to { $to }: no error, nothing lost. { $devices } { $devices ->
    [one] device
   *[other] devices
}, { $tasks } { $tasks ->
    [one] task
   *[other] tasks
}.
report-window-over = { $span } to { $to }: there was trouble, and all of it is over. { $devices } { $devices ->
    [one] device
   *[other] devices
}, { $tasks } { $tasks ->
    [one] task
   *[other] tasks
}.
report-window-bad = { $span } to { $to }: { $devices } { $devices ->
    [one] device
   *[other] devices
}, { $tasks } { $tasks ->
    [one] task
   *[other] tasks
}.
report-to-do = To do now, { $n }:
report-over = Over since the last report: { $n }.
report-last-done = Last run done { $time }, { $name }.
report-changed = New { $new }, gone { $gone }.
report-sent = Sent { $sent }, refused { $refused }.
report-waiting = Waiting: { $n }.
report-channels-failing = Not working: { $channels }.
report-open = Open the report
report-due = due { $time }
report-last-good = last good { $time }
report-not-acknowledged = not acknowledged
report-more = and { $n } more
report-head-over = Over
report-head-new = New
report-head-gone = Gone
report-head-devices = Devices
report-inline = The page of a report: olog-hub report show N --html FILE

## The report's page
format-day-only = %-d %b
page-all-ok = All OK
page-no-devices = No device has joined yet
page-to-do = { $n } { $n ->
    [one] thing
   *[other] things
} to do
page-made = made { $time }
page-devices = Devices
page-tasks = Tasks
page-over = Over
page-over-title = Over since the last report
page-changed = Changed
page-new = New
page-new-mark = NEW
page-gone = Gone
page-now = To do now
page-proof = Ran well
page-since = since { $time } ({ $span })
page-times = { $n } { $n ->
    [one] time
   *[other] times
}
page-acknowledged = acknowledged { $time }
page-same-site = { $n } devices (same address)
page-fleet = { $n } { $n ->
    [one] day
   *[other] days
}, { $good } of them without trouble
page-strip = 30 days: { $ok } OK, { $err } ERR, { $lost } LOST
page-proposal = Learnt
page-proposed = { $name }: { $reason }
page-disk-full = { $name }, since { $time }: { $text }
page-renamed = Renamed
page-rebooted = Rebooted
page-n-ok = { $n } OK
page-heard = last heard { $time }
page-next = next { $time }
page-last-error = last error { $time }
page-devices-left = { $n } more devices:
page-key = Each strip is 30 days, today at its right: low = OK, full = ERR, hollow = LOST, thin line = nothing came.
page-health = Is Olog itself well?
page-well = All well.
page-no-channel = No channel: nobody is told of anything.
page-one-channel = One channel only: if it fails, nobody is told that it does.
page-channel = { $sent } sent, { $refused } refused
page-waiting = { $n } waiting
page-left-today = { $n } left today
page-next-slot = the next at { $time }
page-channel-gone = { $n } waiting; it is not in the configuration any more. They wait for its return and are given up after 7 days.
page-failing = does not work: { $why }
page-no-link = There is no link to this page: { $why }
page-clock-ahead = The clock of { $name } is { $span } ahead.
page-clock-behind = The clock of { $name } is { $span } behind.
page-other-versions = Another version than the hub: { $names }
page-backup = Last backup { $time }.
page-next-report = Next report: { $time }.
page-lives = This page is kept for { $n } { $n ->
    [one] day
   *[other] days
}.
page-how = To silence something for a while: olog-hub silence add --device NAME --for 2h. No more reminders of an incident: olog-hub incident ack N. A device that is gone for good: olog-hub device forget NAME.
report-telling-never-joined = { $name } has never joined
report-never-joined = never joined
page-due-since = due { $time } ({ $span } ago)
page-missed = missed { $n } times
report-comma = ,
report-over-site = Over since the last report: { $n } ({ $devices } devices were gone for { $span }).
