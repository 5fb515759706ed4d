use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    list::{Here, Job, JobList, Kind, Reports, Suggestion, find},
    switch::{SwitchError, Switched, switch},
    systemd::Systemd,
    timer::NoSchedule,
    *,
};

/// 2026-11-22, a Sunday.
const HERE: Here = Here { now: olog_proto::Timestamp(1_795_305_600_000), zone: chrono_tz::Europe::Berlin };

/// A made-up machine: a folder as its root, and scripts as its service manager, which note how they were called.
pub(super) struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    pub(super) fn new() -> Machine {
        let machine = Machine { root: tempfile::tempdir().unwrap() };
        fs::create_dir_all(machine.path("run/systemd/system")).unwrap();
        machine.answers("exit 0");
        machine.write("bin/journalctl", "[ \"$1\" = --sync ] || cat \"${0%/bin/*}/journal\"");
        machine
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What `systemctl` does, as a shell script.
    pub(super) fn answers(&self, script: &str) {
        self.write("bin/systemctl", &format!("echo \"$*\" >>\"${{0%/bin/*}}/calls\"\n{script}\n"));
    }

    /// How `systemctl` was called since the last look.
    pub(super) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        self.write("calls", "");
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn systemd(&self) -> Systemd {
        let of = |name: &str| vec!["sh".into(), self.path("bin").join(name).into()];
        Systemd { systemctl: of("systemctl"), journalctl: of("journalctl") }
    }

    async fn find(&self) -> JobList {
        find(self.root(), &self.systemd(), &[PathBuf::from("/var/log/olog")], HERE).await
    }
}

#[test]
fn a_command_that_runs_exec_is_known() {
    for (command, expected) in [
        ("olog-agent exec --task x -- y", true),
        ("nice /usr/bin/olog-agent --config /x exec --task x -- y", true),
        ("cd / && (olog-agent exec --task x -- y)", true),
        ("olog-agent status", false),
        ("exec olog-agent status", false),
        ("my-olog-agent exec x", false),
    ] {
        assert_eq!(is_exec(command), expected, "{command}");
    }
}

#[tokio::test]
async fn crontabs_and_scripts_are_listed_with_the_line_that_makes_each_report() {
    let machine = Machine::new();
    machine
        .write("etc/crontab", "25 6 * * * root cd / && run-parts --report /etc/cron.daily\n61 * * * * root broken\n");
    machine.write("etc/cron.d/app", "0 1 * * * www /opt/dump >/var/log/olog/dump.log 2>&1\n");
    machine.write("etc/cron.d/app.dpkg-old", "0 1 * * * www ignored\n");
    machine.write(
        "var/spool/cron/crontabs/alice",
        "@hourly olog-agent exec --task sync -- rsync a b\n5 4 * * * /opt/dump\n6 4 * * * /opt/dump\n",
    );
    for (name, text, mode) in
        [("clean", "#!/bin/sh\nrm -rf /tmp/x\n", 0o755), ("binary", "\x7fELF", 0o755), ("off", "#!/bin/sh\n", 0o644)]
    {
        let path = format!("etc/cron.daily/{name}");
        machine.write(&path, text);
        fs::set_permissions(machine.path(&path), fs::Permissions::from_mode(mode)).unwrap();
    }
    machine.answers("echo '[]'");
    let found = machine.find().await;
    let shown: Vec<_> = found
        .jobs
        .iter()
        .map(|job| (job.task.as_str(), job.source.as_str(), job.user.as_deref(), job.schedule.as_str(), job.reports))
        .collect();
    let alice = "/var/spool/cron/crontabs/alice";
    assert_eq!(
        shown,
        [
            ("dump", "/etc/cron.d/app", Some("www"), "0 1 * * *", Some(Reports::LogDir)),
            ("sync", alice, Some("alice"), "@hourly", Some(Reports::Exec)),
            ("dump-2", alice, Some("alice"), "5 4 * * *", None),
            ("dump-3", alice, Some("alice"), "6 4 * * *", None),
            ("binary", "/etc/cron.daily/binary", None, "25 6 * * *", None),
            ("clean", "/etc/cron.daily/clean", None, "25 6 * * *", None),
        ]
    );
    let suggestions: Vec<_> = found.jobs.iter().filter_map(|job| job.suggestion.clone()).collect();
    assert_eq!(
        suggestions[0],
        Suggestion::CrontabLine("5 4 * * * olog-agent exec --task dump-2 -- /opt/dump".to_owned())
    );
    assert_eq!(
        suggestions[2..],
        [
            Suggestion::RunBy("olog-agent exec --task binary -- /etc/cron.daily/binary".to_owned()),
            Suggestion::ScriptLine(
                r#"[ "$OLOG_RUN" = clean ] || OLOG_RUN=clean exec olog-agent exec --task clean -- "$0" "$@""#
                    .to_owned()
            ),
        ]
    );
    let problems: Vec<_> = found.problems.iter().map(|found| (found.source.as_str(), found.line)).collect();
    assert_eq!(problems, [("/etc/crontab", Some(2))]);
}

/// A local time of the machine, with its offset.
fn local(job: &Job) -> Option<String> {
    let at = chrono::DateTime::from_timestamp_millis(job.next?).unwrap();
    Some(at.with_timezone(&HERE.zone).to_rfc3339())
}

#[tokio::test]
async fn each_line_of_a_crontab_is_listed_with_its_next_run() {
    let machine = Machine::new();
    machine.write(
        "etc/crontab",
        "30 3 * * mon-fri root a\n@daily root b\n@reboot root c\n0 12 13 * fri root d\n0 0 30 feb * root never\n\
         CRON_TZ=Asia/Shanghai\n0 9 * * * root e\nCRON_TZ=Mars/Olympus\n0 9 * * * root f\n",
    );
    machine.write("etc/cron.d/daily", "25 6 * * * root run-parts /etc/cron.daily\n");
    machine.write("etc/cron.daily/script", "#!/bin/sh\n");
    fs::set_permissions(machine.path("etc/cron.daily/script"), fs::Permissions::from_mode(0o755)).unwrap();
    machine.answers("echo '[]'");
    let runs = |found: &JobList| {
        found.jobs.iter().map(|job| (job.task.clone(), local(job), job.no_schedule)).collect::<Vec<_>>()
    };
    let at = |task: &str, time: &str| (task.to_owned(), Some(time.to_owned()), None);
    let none = |task: &str, why| (task.to_owned(), None, Some(why));
    let found = machine.find().await;
    // It is Sunday, 01:00 in Berlin. A day of the month or a weekday is enough: the 27th is a Friday.
    let (a, b, d) = (
        at("a", "2026-11-23T03:30:00+01:00"),
        at("b", "2026-11-23T00:00:00+01:00"),
        at("d", "2026-11-27T12:00:00+01:00"),
    );
    let script = at("script", "2026-11-22T06:25:00+01:00");
    let shanghai = at("e", "2026-11-22T02:00:00+01:00");
    let (boot, mars) = (none("c", NoSchedule::Once), none("f", NoSchedule::Zone));
    assert_eq!(runs(&found), [a.clone(), b.clone(), boot.clone(), d.clone(), shanghai, mars, script.clone()]);
    let problems: Vec<_> = found.problems.iter().map(|problem| (problem.line, problem.problem.as_str())).collect();
    assert_eq!(
        problems,
        [
            (Some(5), "\"0 0 30 feb *\" does not run within 5 years: no such day comes"),
            (Some(8), "CRON_TZ: no such time zone: Mars/Olympus"),
        ]
    );

    // Debian's cron does not know CRON_TZ, and with anacron nobody knows when the scripts run.
    machine.write("usr/sbin/cron", "MAILTO SHELL");
    machine.write("usr/sbin/anacron", "");
    let found = machine.find().await;
    let here = |task| at(task, "2026-11-22T09:00:00+01:00");
    assert_eq!(runs(&found), [a, b, boot, d, here("e"), here("f"), none("script", NoSchedule::Anacron)]);
    assert!(found.problems.iter().any(|found| found.problem.contains("does not know it")), "{:?}", found.problems);
    machine.write("usr/sbin/cron", "MAILTO CRON_TZ SHELL");
    assert_eq!(runs(&machine.find().await)[4].1.as_deref(), Some("2026-11-22T02:00:00+01:00"));
}

#[tokio::test]
async fn a_next_run_on_the_night_when_clocks_change_is_crons() {
    let machine = Machine::new();
    machine.write("etc/crontab", "30 2 * * * root fixed\n*/30 * * * * root often\n");
    let next = async |at: &str| {
        let now = olog_proto::Timestamp(chrono::DateTime::parse_from_rfc3339(at).unwrap().timestamp_millis());
        let found = find(machine.root(), &machine.systemd(), &[], Here { now, ..HERE }).await;
        found.jobs.iter().map(|job| local(job).unwrap()).collect::<Vec<_>>()
    };
    // 02:30 does not exist: what runs once a day runs at 03:00, what runs every half hour goes on.
    assert_eq!(next("2026-03-29T01:45:00+01:00").await, ["2026-03-29T03:00:00+02:00", "2026-03-29T03:00:00+02:00"]);
    // 02:30 comes twice and runs once.
    assert_eq!(next("2026-10-25T02:00:00+02:00").await[0], "2026-10-25T02:30:00+02:00");
    assert_eq!(next("2026-10-25T02:45:00+02:00").await[0], "2026-10-26T02:30:00+01:00");
}

#[tokio::test]
async fn timers_are_listed_with_their_next_run_and_a_service_manager_that_does_not_answer_hides_no_crontab() {
    let machine = Machine::new();
    machine.write("etc/cron.d/a", "@daily root /opt/a\n");
    machine.answers(
        r#"case "$*" in
list-timers*) echo '[{"next":1795910400000000,"left":1,"last":null,"passed":null,"unit":"dump.timer","activates":"dump.service"},
{"next":null,"unit":"x.timer","activates":"x.service"},{"next":1,"unit":"olog-units.timer","activates":"olog-units.service"},
{"next":null,"unit":"masked.timer","activates":""}]' ;;
*Timers*) printf 'Id=dump.timer\nTimersCalendar={ OnCalendar=*-*-* 04:00:00 ; next_elapse=Sun }\nTimersMonotonic=\n\nId=x.timer\nTimersMonotonic={ OnBootUSec=15min ; next_elapse=1 }\nTimersMonotonic={ OnUnitActiveUSec=1d ; next_elapse=2 }\n' ;;
*) printf 'Id=dump.service\nExecStart={ path=/opt/dump ; argv[]=/opt/dump }\nOnFailure=\n\nId=x.service\nOnFailure=olog-unit-failed@x.service.service\n' ;;
esac"#,
    );
    let found = machine.find().await;
    assert_eq!(found.problems, []);
    let timers: Vec<_> = found.jobs.iter().filter(|job| job.kind == Kind::Timer).collect();
    let shown: Vec<_> =
        timers.iter().map(|job| (job.task.as_str(), job.schedule.as_str(), job.next, job.reports)).collect();
    assert_eq!(
        shown,
        [
            ("dump.service", "OnCalendar=*-*-* 04:00:00", Some(1_795_910_400_000), None),
            ("x.service", "OnBootUSec=15min, OnUnitActiveUSec=1d", None, Some(Reports::Units)),
        ]
    );
    assert_eq!(timers[0].suggestion, Some(Suggestion::Command("olog-agent units on".to_owned())));

    machine.answers("echo 'Failed to connect to bus' >&2; exit 1");
    let found = machine.find().await;
    assert_eq!(found.jobs.len(), 1);
    assert_eq!(found.problems[0].source, "systemd timers");
    assert!(found.problems[0].problem.contains("Failed to connect to bus"), "{:?}", found.problems);
}

#[tokio::test]
async fn units_on_and_off_write_and_remove_one_drop_in_and_twice_is_as_once() {
    let machine = Machine::new();
    machine.write("usr/share/olog-agent/50-olog.conf", "[Unit]\n");
    let (root, systemd) = (machine.root(), machine.systemd());
    let path = machine.path("etc/systemd/system/service.d/50-olog.conf");
    assert_eq!(switch(root, &systemd, true, true).await.unwrap(), Switched::On(path.clone()));
    assert_eq!(machine.calls(), ["daemon-reload", "enable --now --quiet olog-units.timer"]);
    assert!(path.exists());
    assert_eq!(switch(root, &systemd, true, true).await.unwrap(), Switched::WasOn(path.clone()));
    fs::write(&path, "an older version").unwrap();
    assert_eq!(switch(root, &systemd, true, true).await.unwrap(), Switched::On(path.clone()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "[Unit]\n");
    machine.calls();
    assert_eq!(switch(root, &systemd, true, false).await.unwrap(), Switched::Off(path.clone()));
    assert_eq!(machine.calls(), ["daemon-reload", "disable --now --quiet olog-units.timer"]);
    assert_eq!(switch(root, &systemd, true, false).await.unwrap(), Switched::WasOff);
    assert!(!path.parent().unwrap().exists());
}

#[tokio::test]
async fn units_says_why_it_cannot_and_changes_nothing() {
    let machine = Machine::new();
    let (root, systemd) = (machine.root(), machine.systemd());
    let refused = switch(root, &systemd, true, true).await.unwrap_err();
    assert!(matches!(refused, SwitchError::NotShipped(_)), "{refused}");
    machine.write("usr/share/olog-agent/50-olog.conf", "[Unit]\n");
    assert!(matches!(switch(root, &systemd, false, true).await.unwrap_err(), SwitchError::NotRoot));
    fs::remove_dir(machine.path("run/systemd/system")).unwrap();
    assert!(matches!(switch(root, &systemd, true, true).await.unwrap_err(), SwitchError::NoSystemd));
    assert!(!machine.path("etc/systemd").exists() && machine.calls().is_empty());
}
