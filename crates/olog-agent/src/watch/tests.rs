//! Watching without the files thread.

use super::*;

#[test]
fn changes_beyond_the_bound_become_one_scan() {
    let inbox = Inbox::<()>::default();
    for i in 0..=CHANGES_MAX {
        inbox.change(PathBuf::from(format!("{i}.err")), Change::Written);
        inbox.change(PathBuf::from(format!("{i}.err")), Change::Written);
    }
    let taken = inbox.take(None, false);
    assert!(taken.overflow && taken.arrivals.len() == 1);
    assert!(!inbox.take(Some(Duration::ZERO), true).overflow);
}

#[test]
fn whoever_hears_the_kernel_is_missed_when_gone() {
    let inbox = Arc::new(Inbox::<()>::default());
    let watch = Watch::new(&inbox).unwrap();
    assert!(!inbox.take(Some(Duration::ZERO), false).watcher_gone);
    drop(watch);
    assert!(inbox.take(None, false).watcher_gone);
}

#[test]
fn which_folders_are_watched_is_the_same_at_each_walk() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b", "a/z", "c", "a/y"] {
        std::fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    let walk = Walk {
        root: 0,
        log_dir: dir.path().to_owned(),
        path: PathBuf::new(),
        watched: HashMap::from([(u32::MAX, FOLDERS_MAX - 4)]),
        own: PathBuf::from("/nowhere"),
        pulse: Pulse::default(),
    };
    let mut met = Vec::new();
    let walked = list(&walk, &mut |listing| met.push(listing.path.display().to_string()));
    assert_eq!(met, ["", "a", "a/y", "a/z"]);
    assert!(walked.too_many, "that the others are not watched is told");
}

#[test]
fn names_that_rotation_makes_matter() {
    for name in ["a.err", "A.LOG", "svc.err.1", "svc.log-20261122.gz", "svc.err_old"] {
        assert!(may_matter(name.as_bytes()), "{name}");
    }
    for name in ["a.txt", "errors", "a.error", "log.txt", ".errx.1"] {
        assert!(!may_matter(name.as_bytes()), "{name}");
    }
}
