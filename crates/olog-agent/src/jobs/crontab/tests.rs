use super::*;

fn only(line: &str, layout: Layout) -> Entry {
    let (entries, mistakes) = read(&format!("{line}\n"), layout);
    assert_eq!(mistakes, [], "{line}");
    assert_eq!(entries.len(), 1, "{line}");
    entries.into_iter().next().unwrap()
}

#[test]
fn a_job_gets_a_line_that_reports_and_means_the_same() {
    for (line, expected) in [
        (
            "10 2 * * *  /usr/local/bin/backup.sh --all",
            "10 2 * * * olog-agent exec --task backup -- /usr/local/bin/backup.sh --all",
        ),
        (
            "@daily cd /srv && make -s >/dev/null",
            "@daily olog-agent exec --task make -- /bin/sh -c 'cd /srv && make -s >/dev/null'",
        ),
        (
            "*/5 * * * * echo 'a b' | mail -s x me",
            r"*/5 * * * * olog-agent exec --task echo -- /bin/sh -c 'echo '\''a b'\'' | mail -s x me'",
        ),
        // `%` with a backslash stays in the command, the first one without begins the input.
        (
            r"0 3 * * 1 tar cf /b/$(date +\%F).tar /srv",
            r"0 3 * * 1 olog-agent exec --task tar -- /bin/sh -c 'tar cf /b/$(date +\%F).tar /srv'",
        ),
        ("0 3 * * mon mail me%hello%you", "0 3 * * mon olog-agent exec --task mail -- mail me %hello%you"),
        ("0 3 1,15 jan-mar 7 FOO=1 job", "0 3 1,15 jan-mar 7 olog-agent exec --task job -- /bin/sh -c 'FOO=1 job'"),
    ] {
        let entry = only(line, Layout::User);
        assert_eq!(entry.reporting(&entry.task()), expected, "{line}");
    }
    let entry = only("17 * * * * root nice -n 19 /opt/x.py", Layout::System);
    assert_eq!(entry.user.as_deref(), Some("root"));
    assert_eq!(entry.reporting("x"), "17 * * * * root olog-agent exec --task x -- nice -n 19 /opt/x.py");
}

#[test]
fn the_shell_of_the_crontab_runs_the_command() {
    let (entries, _) = read("SHELL = \"/bin/bash\"\nMAILTO=\n@daily a && b\n", Layout::User);
    assert_eq!(entries[0].reporting("a"), "@daily olog-agent exec --task a -- /bin/bash -c 'a && b'");
}

#[test]
fn a_line_that_cron_refuses_is_named_and_the_others_are_read() {
    let text = "# comment\n61 * * * * root a\n* * * * *\n@dialy root x\n* * * * * root\n*/0 * * * * root a\n5-1 * * * * root a\n\
                * * * foo * root a\n1 2 3 * * root good\n1 2 * * * root cut";
    let (entries, mistakes) = read(text, Layout::System);
    let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 10]);
    assert_eq!(mistakes[0].problem, "minute: expected 0 to 59, lists and ranges of them, or *, found \"61\"");
    assert_eq!(mistakes[1].problem, "expected a user and a command after the schedule");
    assert_eq!(mistakes[7].problem, "the last line has no line end: cron ignores it");
    assert_eq!(entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [9, 10]);
    assert_eq!(read("", Layout::User), (vec![], vec![]));
}

#[test]
fn a_task_is_named_as_its_program() {
    for (command, expected) in [
        ("/usr/bin/certbot -q renew", "certbot"),
        ("sudo -u www nice /srv/app/clean-up.sh", "clean-up"),
        ("test -x /usr/bin/x || /usr/bin/y.pl", "y"),
        ("[ -x /usr/lib/php/clean ] && if [ ! -d /run ]; then /usr/lib/php/clean; fi", "clean"),
        ("python3 /opt/etl/run.py", "run"),
        ("ionice -c 3 bash -c 'rsync a b'", "rsync"),
        ("*", "job"),
    ] {
        assert_eq!(task_of(command), expected, "{command}");
    }
}

#[test]
fn cron_tz_is_the_zone_of_the_lines_below_it_and_tz_is_none() {
    let text = "@daily a\nCRON_TZ = Asia/Shanghai\n@daily b\nTZ=UTC\n@daily c\nCRON_TZ=\n@daily d\nCRON_TZ=Mars/Olympus\n@daily e\n";
    let (entries, mistakes) = read(text, Layout::User);
    let zones: Vec<Option<&str>> = entries.iter().map(|entry| entry.zone.as_deref()).collect();
    let shanghai = Some("Asia/Shanghai");
    assert_eq!(zones, [None, shanghai, shanghai, None, Some("Mars/Olympus")]);
    assert_eq!(mistakes, [Mistake { line: 8, problem: "CRON_TZ: no such time zone: Mars/Olympus".into() }]);
}
