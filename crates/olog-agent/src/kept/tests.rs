use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn run<'a>(task: &'a TaskName, output: &'a [u8]) -> KeptRun<'a> {
    KeptRun {
        task,
        run: "0123456789abcdef",
        is_reported: true,
        is_good: false,
        output: KeptOutput { head: output, n_left_out: 0, tail: b"" },
        last_lines: &[],
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_is_kept_whole_with_its_last_lines() {
    let folder = tempfile::tempdir().unwrap();
    let task: TaskName = "backup".parse().unwrap();
    let last_lines = ["exit status 3 after 2s".to_owned(), "user root (0): rsync".to_owned()];
    let output = KeptOutput { head: b"first\nsec", n_left_out: 7, tail: b"last" };
    let kept = keep(&[folder.path().to_owned()], &KeptRun { output, last_lines: &last_lines, ..run(&task, b"") });
    let text = std::fs::read_to_string(kept.unwrap()).unwrap();
    let expected = "# olog-agent exec: reported run 0123456789abcdef of backup\nfirst\nsec\n\
                    # … 7 bytes are left out here …\nlast\n# exit status 3 after 2s\n# user root (0): rsync\n";
    assert_eq!(text, expected);
    assert!(is_reported(text.as_bytes()));
    assert_eq!(names(folder.path()), ["backup.err"]);
}

#[test]
fn only_what_exec_wrote_is_known_as_reported() {
    for (text, expected) in [
        ("# olog-agent exec: reported run 0123456789abcdef of a b\nx", true),
        ("# olog-agent exec: reported run 0123456789abcdef of a", true),
        ("# olog-agent exec: run 0123456789abcdef of a\n", false),
        ("# olog-agent exec: reported run 0123 of a\n", false),
        ("# olog-agent exec: reported run 0123456789abcdef of \n", false),
        ("x\n# olog-agent exec: reported run 0123456789abcdef of a\n", false),
        ("", false),
    ] {
        assert_eq!(is_reported(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn an_earlier_run_of_the_task_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let log_dirs = [folder.path().to_owned()];
    let task: TaskName = "backup".parse().unwrap();
    let first = keep(&log_dirs, &run(&task, b"first")).unwrap();
    assert_eq!(keep(&log_dirs, &run(&task, b"second")).unwrap(), first);
    assert!(std::fs::read_to_string(&first).unwrap().contains("second"));

    let uid = rustix::process::geteuid().as_raw();
    let own = folder.path().join(format!("exec-{uid}")).join("backup.err");
    let lies_elsewhere = |what: &str| {
        assert_eq!(keep(&log_dirs, &run(&task, b"third")).unwrap(), own, "{what}");
        std::fs::remove_dir_all(own.parent().unwrap()).unwrap();
        std::fs::remove_file(&first).unwrap();
    };
    std::fs::write(&first, "the job's own log\n").unwrap();
    lies_elsewhere("a file that exec did not write");
    std::os::unix::fs::symlink("/etc/passwd", &first).unwrap();
    lies_elsewhere("a link");
    keep(&log_dirs, &run(&task, b"x")).unwrap();
    std::fs::hard_link(&first, folder.path().join("other")).unwrap();
    lies_elsewhere("a file with two names");
    if uid == 0 {
        keep(&log_dirs, &run(&task, b"x")).unwrap();
        std::os::unix::fs::chown(&first, Some(12_345), None).unwrap();
        lies_elsewhere("a file of another user");
    }
    let mut other = run(&task, b"x");
    let other_task: TaskName = "other".parse().unwrap();
    other.task = &other_task;
    let of_other = keep(&log_dirs, &other).unwrap();
    std::fs::rename(of_other, &first).unwrap();
    lies_elsewhere("a run of another task");
}

#[test]
fn a_folder_of_ones_own_is_passed_over_if_another_user_could_have_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let log_dirs = [folder.path().to_owned()];
    let task: TaskName = "backup".parse().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    std::fs::write(folder.path().join("backup.err"), "not ours\n").unwrap();
    let open = folder.path().join(format!("exec-{uid}"));
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let kept = keep(&log_dirs, &run(&task, b"x")).unwrap();
    assert_eq!(kept, folder.path().join(format!("exec-{uid}-0123456789abcdef")).join("backup.err"));
    assert_eq!(names(&open), [""; 0]);
    let mut again = run(&task, b"y");
    again.run = "fedcba9876543210";
    assert_eq!(keep(&log_dirs, &again).unwrap(), kept, "the folder of the earlier run is used again");
}

#[test]
fn a_good_run_that_only_its_file_reports_removes_the_error_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let log_dirs = [folder.path().to_owned()];
    let task: TaskName = "backup".parse().unwrap();
    keep(&log_dirs, &run(&task, b"broken")).unwrap();
    keep(&log_dirs, &KeptRun { is_good: true, ..run(&task, b"fine") }).unwrap();
    assert_eq!(names(folder.path()), ["backup.err", "backup.log"], "for whoever looks into what failed");
    keep(&log_dirs, &KeptRun { is_good: true, is_reported: false, ..run(&task, b"fine") }).unwrap();
    assert_eq!(names(folder.path()), ["backup.log"]);
}

#[test]
fn where_no_log_dir_takes_it_the_error_says_why_and_nothing_stays() {
    let task: TaskName = "backup".parse().unwrap();
    let error = keep(&["/no/such/folder".into()], &run(&task, b"x")).unwrap_err().to_string();
    assert!(error.starts_with("/no/such/folder: ") && error.contains("No such file"), "{error}");
    assert!(keep(&[], &run(&task, b"x")).is_err());
}

#[test]
fn every_task_has_a_file_name() {
    let long = "长".repeat(300);
    for (task, expected) in [("a/b", "a%2fb.err"), ("a b", "a b.err"), ("-rf", "-rf.err"), ("..", "...err")] {
        assert_eq!(file_name(&task.parse().unwrap(), LogKind::Err), expected);
    }
    let name = file_name(&long.parse().unwrap(), LogKind::Err);
    assert!(name.len() <= FILE_NAME_MAX && name.ends_with("长.err"), "{name}");
}

#[test]
fn a_command_line_can_be_read_and_moves_no_terminal() {
    let words = ["rsync", "-a", "my files/", "it's", "a\nb", ""].map(Into::into);
    assert_eq!(command_line(&words), "rsync -a 'my files/' 'it'\\''s' 'a\\x0ab' ''");
}
