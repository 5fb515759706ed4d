use std::{fs, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use olog_daemon::{
    clock::{Clock, ClockHandle},
    socket::Client,
};

use super::*;
use crate::{
    exec::Places,
    identity::SystemRandom,
    jobs::tests::Machine,
    runs::{End, How, RunEnd},
    text::Redactor,
};

struct Device {
    machine: Machine,
    client: Client,
    clock: Clock,
    hand: ClockHandle,
    told: LastEnd,
}

impl Device {
    fn new() -> Device {
        let machine = Machine::new();
        for folder in ["logs", "exec"] {
            fs::create_dir(machine.path(folder)).unwrap();
        }
        machine.write(
            "journal",
            "starting\nconnect to db with password=hunter2 failed\ndb.service: Triggering OnFailure= dependencies.\n",
        );
        let client = Client::new("olog-agent", machine.path("agent.sock"));
        let (clock, hand) = Clock::manual(Timestamp(1_795_910_400_000));
        Device { machine, client, clock, hand, told: LastEnd::default() }
    }

    /// What `systemctl show` says from now on, beside the unit's name.
    fn unit_is(&self, properties: &str) {
        let properties = properties.replace(' ', "\n");
        self.machine.write("shown", &properties);
        self.machine.answers("[ \"$1\" != show ] || { echo Id=x; cat \"${0%/bin/*}/shown\"; echo; }");
    }

    fn failed(&self) {
        self.unit_is(
            "ActiveState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=3 \
             ExecMainStartTimestampMonotonic=1000000 ExecMainExitTimestampMonotonic=3500000",
        );
    }

    async fn with_units<T>(&self, act: impl AsyncFnOnce(&Units<'_>) -> T) -> T {
        let report = Report {
            folders: vec![self.machine.path("exec")],
            log_dirs: vec![self.machine.path("logs")],
            redactor: Redactor::default(),
            locks: Places { root: self.machine.path("locks"), shared: Vec::new() },
            agent: &self.client,
            clock: &self.clock,
        };
        let systemd = self.machine.systemd();
        let monotonic = Duration::from_secs(1_000);
        act(&Units { systemd: &systemd, root: self.machine.root(), report: &report, monotonic }).await
    }

    async fn ended(&self, unit: &str) -> Done {
        let unit = unit.parse().unwrap();
        self.with_units(async |units| units.ended(&unit, self.told.clone(), &mut SystemRandom).await.unwrap()).await
    }

    async fn look_again(&self) {
        self.with_units(async |units| units.look_again(&mut SystemRandom).await.unwrap()).await;
    }

    /// The runs that wait for the agent, which reads them now.
    fn runs(&self) -> Vec<(Option<i32>, Option<i32>, u64, String)> {
        let files = fs::read_dir(self.machine.path("exec")).unwrap().map(|entry| entry.unwrap().path());
        files
            .map(|path| {
                let text = fs::read_to_string(&path).unwrap();
                fs::remove_file(path).unwrap();
                let end: End = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
                let How::RunEnd(RunEnd { exit, signal, duration, output }) = end.how else { panic!("{:?}", end.how) };
                (exit, signal, duration, String::from_utf8(BASE64.decode(output).unwrap()).unwrap())
            })
            .collect()
    }

    fn kept(&self, name: &str) -> String {
        fs::read_to_string(self.machine.path("logs").join(name)).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_failed_unit_is_a_failed_run_with_its_reason_and_its_journal_without_secrets() {
    let device = Device::new();
    device.failed();
    assert_eq!(device.ended("db").await, Done::Failed);
    let [(exit, signal, duration, output)] = device.runs().try_into().unwrap();
    assert_eq!((exit, signal, duration), (Some(3), None, 2_500));
    assert!(output.starts_with("db.service failed: exit-code (exit status 3)\nstarting\n"), "{output}");
    assert!(!output.contains("hunter2") && !output.contains("OnFailure"), "{output}");
    let kept = device.kept("db.service.err");
    assert!(kept.contains("starting\n") && kept.contains("# unit db.service") && !kept.contains("hunter2"), "{kept}");
    assert!(device.machine.calls().contains(&"start --no-block olog-units.timer".to_owned()));
}

#[tokio::test]
async fn a_unit_that_fails_every_second_is_reported_once_a_minute_with_its_count() {
    let device = Device::new();
    device.failed();
    assert_eq!(device.ended("db").await, Done::Failed);
    assert_eq!(device.runs().len(), 1);
    for _ in 0..20 {
        device.hand.advance(1_000);
        assert_eq!(device.ended("db").await, Done::Counted);
    }
    device.look_again().await;
    assert_eq!(device.runs().len(), 0, "the minute is not over");
    device.hand.advance(60_000);
    device.look_again().await;
    let [(exit, _, _, output)] = device.runs().try_into().unwrap();
    assert_eq!(exit, Some(3));
    assert!(output.contains("and 19 more times since the last report"), "{output}");
    device.hand.advance(60_000);
    device.look_again().await;
    assert_eq!(device.runs().len(), 0, "nothing new");
}

#[tokio::test]
async fn a_daemon_that_stays_active_has_recovered_and_one_that_restarts_in_a_loop_has_not() {
    let device = Device::new();
    device.failed();
    device.ended("db").await;
    device.runs();
    device.machine.calls();
    // Of 1000 s since the boot.
    device.unit_is("ActiveState=active Result=success ActiveEnterTimestampMonotonic=999000000");
    device.look_again().await;
    assert_eq!(device.runs().len(), 0);
    device.unit_is("ActiveState=active Result=success ActiveEnterTimestampMonotonic=900000000");
    device.look_again().await;
    let [(exit, signal, _, output)] = device.runs().try_into().unwrap();
    assert_eq!((exit, signal, output.as_str()), (Some(0), None, "db.service has recovered\n"));
    assert!(device.kept("db.service.log").contains("has recovered"));
    assert!(device.machine.calls().contains(&"stop --no-block olog-units.timer".to_owned()));
}

#[test]
fn only_a_run_that_ended_well_ends_what_a_look_sees() {
    let end = UnitEnd { result: "exit-code".into(), exit: Some(3), signal: None, duration: 0 };
    let open = Open { format: 1, told_at: Timestamp(0), n_untold: 0, end };
    for (shown, expected) in [
        ("ActiveState=inactive Result=success ExecMainCode=1 ExecMainStatus=0", Next::Recovered),
        // Stopped by SIGTERM.
        ("ActiveState=inactive Result=success ExecMainCode=2 ExecMainStatus=15", Next::Recovered),
        // `systemctl reset-failed`.
        ("ActiveState=inactive Result=success ExecMainCode=1 ExecMainStatus=3", Next::Wait),
        // Not run since the boot.
        ("ActiveState=inactive Result=success ExecMainCode=0 ExecMainStatus=0", Next::Wait),
        ("ActiveState=inactive LoadState=not-found Result=success ExecMainCode=0", Next::Forget),
        ("ActiveState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=3", Next::Wait),
        ("ActiveState=activating Result=exit-code ExecMainCode=1 ExecMainStatus=3", Next::Wait),
    ] {
        let properties = shown.split(' ').filter_map(|one| one.split_once('='));
        let found = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(next(&open, &found, Timestamp(1), Duration::from_secs(1_000)), expected, "{shown}");
    }
}

#[tokio::test]
async fn a_good_end_is_a_run_after_a_failure_or_of_a_timer_and_nothing_else() {
    let device = Device::new();
    let good = "ActiveState=inactive Result=success ExecMainCode=1 ExecMainStatus=0";
    device.unit_is(good);
    assert_eq!(device.ended("x").await, Done::Nothing);
    device.unit_is(&format!("{good} TriggeredBy=x.timer"));
    assert_eq!(device.ended("x").await, Done::Good);
    device.failed();
    assert_eq!(device.ended("x").await, Done::Failed);
    device.unit_is(good);
    assert_eq!(device.ended("x").await, Done::Good);
    assert_eq!(device.ended("x").await, Done::Nothing);
    assert_eq!(device.runs().len(), 3);
}

#[tokio::test]
async fn what_systemd_hands_over_counts_more_than_a_unit_that_runs_again() {
    let mut device = Device::new();
    device.unit_is("ActiveState=active Result=success ExecMainCode=0 ExecMainStatus=0");
    let some = |text: &str| Some(text.to_owned());
    device.told = LastEnd { result: some("signal"), code: some("killed"), status: some("KILL") };
    assert_eq!(device.ended("x").await, Done::Failed);
    let [(exit, signal, ..)] = device.runs().try_into().unwrap();
    assert_eq!((exit, signal), (None, Some(9)));
}

#[tokio::test]
async fn a_unit_that_systemd_has_restarted_already_is_reported_from_the_journal() {
    let device = Device::new();
    device.unit_is("ActiveState=active Result=success ExecMainCode=0 ActiveEnterTimestampMonotonic=999900000");
    device
        .machine
        .write("journal", "{\"EXIT_CODE\":\"exited\",\"EXIT_STATUS\":\"7\"}\n{\"UNIT_RESULT\":\"exit-code\"}\n");
    assert_eq!(device.ended("x").await, Done::Failed);
    let [(exit, signal, ..)] = device.runs().try_into().unwrap();
    assert_eq!((exit, signal), (Some(7), None));
    // It was restarted by hand: the last run ended well, and it has not been active for long.
    device.machine.write("journal", "{\"MESSAGE\":\"x.service: Deactivated successfully.\"}\n");
    assert_eq!(device.ended("x").await, Done::Nothing);
    device.look_again().await;
    assert_eq!(device.runs().len(), 0);
}

#[tokio::test]
async fn units_of_olog_and_units_that_report_by_exec_are_passed_over() {
    let device = Device::new();
    device.failed();
    for unit in ["olog-agent", "olog-hub.service", "olog-hub-failed.service", "olog-unit-failed@x.service.service"] {
        assert_eq!(device.ended(unit).await, Done::Nothing, "{unit}");
    }
    let exec = |status: u8| {
        // A blank would end the property.
        device.unit_is(&format!("ActiveState=failed Result=exit-code ExecMainCode=1 ExecMainStatus={status}"));
        let shown = device.machine.path("shown");
        let text =
            fs::read_to_string(&shown).unwrap() + "\nExecStart={ argv[]=/usr/bin/olog-agent exec --task x -- y ; }";
        fs::write(shown, text).unwrap();
    };
    exec(3);
    assert_eq!(device.ended("x").await, Done::Nothing);
    // EXEC: `olog-agent` itself was not started.
    exec(203);
    assert_eq!(device.ended("x").await, Done::Failed);
}

#[test]
fn a_name_of_a_unit_is_no_path_and_no_option() {
    for (text, expected) in [
        ("nginx", Some("nginx.service")),
        ("a@b\\x2dc.service", Some("a@b\\x2dc.service")),
        ("../x", None),
        ("-x", None),
        ("", None),
    ] {
        assert_eq!(text.parse::<UnitName>().ok().as_ref().map(UnitName::as_str), expected, "{text}");
    }
}
