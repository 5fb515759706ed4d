//! What others can do to a log dir while it is read: links, hard links, and folders that are swapped for links.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

const SECRET: &str = "root:$6$secret";

/// Stops a thread also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Place {
    folder: tempfile::TempDir,
    log_dir: PathBuf,
    outside: PathBuf,
}

/// A log dir with `job/x.err`, and a folder outside with a file of the same name.
fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (log_dir, outside) = (folder.path().join("logs"), folder.path().join("outside"));
    fs::create_dir_all(log_dir.join("job")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(log_dir.join("job/x.err"), "inside").unwrap();
    fs::write(outside.join("x.err"), SECRET).unwrap();
    Place { folder, log_dir, outside }
}

fn text(place: &Place, path: &str) -> Result<String, ReadError> {
    let read = read(LogPath { log_dir: &place.log_dir, path: Path::new(path) }, None, true)?;
    Ok(String::from_utf8(read.head).unwrap())
}

#[test]
fn no_link_on_the_way_or_at_its_end_is_followed_with_and_without_openat2() {
    let place = place();
    symlink(&place.outside, place.log_dir.join("away")).unwrap();
    symlink(place.outside.join("x.err"), place.log_dir.join("job/y.err")).unwrap();
    for path in ["away/x.err", "job/y.err", "../outside/x.err", "job/../../outside/x.err"] {
        assert!(text(&place, path).is_err(), "{path}");
        let root = rustix::fs::open(&place.log_dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        assert!(open_stepwise(root, Path::new(path), OFlags::RDONLY | OFlags::NOFOLLOW).is_err(), "{path}");
    }
    let root = rustix::fs::open(&place.log_dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    assert!(open_stepwise(root, Path::new("job/x.err"), OFlags::RDONLY | OFlags::NOFOLLOW).is_ok());
}

/// Swaps `job` for a link to the folder outside and back, until told to stop.
fn swap(place: &Place, stop: &AtomicBool) -> u64 {
    let (job, kept, link) = (place.log_dir.join("job"), place.log_dir.join("kept"), place.log_dir.join("link"));
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        symlink(&place.outside, &link).unwrap();
        fs::rename(&job, &kept).unwrap();
        fs::rename(&link, &job).unwrap();
        fs::remove_file(&job).unwrap();
        fs::rename(&kept, &job).unwrap();
        n += 1;
    }
    n
}

#[test]
fn a_folder_that_is_swapped_for_a_link_again_and_again_never_leads_outside() {
    let place = place();
    let stop = AtomicBool::new(false);
    let (n_swaps, n_read) = std::thread::scope(|threads| {
        let swapping = threads.spawn(|| swap(&place, &stop));
        let (mut n_read, stopping) = (0, Stop(&stop));
        for _ in 0..5_000 {
            match text(&place, "job/x.err") {
                Ok(text) => {
                    assert_eq!(text, "inside");
                    n_read += 1;
                }
                Err(ReadError::Gone | ReadError::NotAFile) => {}
                Err(error) => panic!("{error}"),
            }
            if let Ok(names) = siblings(LogPath { log_dir: &place.log_dir, path: Path::new("job") }, |_, _| true) {
                let file = fs::metadata(place.outside.join("x.err")).unwrap();
                let foreign = std::os::linux::fs::MetadataExt::st_ino(&file);
                assert!(names.iter().all(|name| name.inode != foreign), "the folder outside is not listed");
            }
        }
        drop(stopping);
        (swapping.join().unwrap(), n_read)
    });
    assert!(n_swaps > 0 && n_read > 0, "{n_swaps} swaps, {n_read} reads: both took place");
    drop(place.folder);
}

#[test]
fn a_hard_link_in_a_folder_into_which_others_may_write_is_not_read() {
    let place = place();
    let shared = place.log_dir.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::hard_link(place.outside.join("x.err"), shared.join("x.err")).unwrap();
    let own = |mode| fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
    own(0o755);
    assert_eq!(text(&place, "shared/x.err").unwrap(), SECRET, "its owner alone made the link: rotation does so");
    own(0o1777);
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        assert!(matches!(text(&place, "shared/x.err"), Err(ReadError::ForeignLink)), "root's files are foreign here");
        let memory = FileState { offset: 4, ..FileState::default() };
        let place = LogPath { log_dir: &place.log_dir, path: Path::new("shared/x.err") };
        assert!(matches!(holds(place, &memory), Err(ReadError::ForeignLink)));
        std::os::unix::fs::chown(&shared, Some(64001), None).unwrap();
    }
    assert_eq!(text(&place, "shared/x.err").is_err(), is_root, "the folder is another user's");
    fs::remove_file(place.outside.join("x.err")).unwrap();
    assert_eq!(text(&place, "shared/x.err").unwrap(), SECRET, "the only name");
}

#[test]
fn a_hard_link_that_is_made_and_removed_while_it_is_read_is_never_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: the files are the folder's owner's");
        return;
    }
    let place = place();
    let shared = place.log_dir.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let (stop, n_links) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::hard_link(place.outside.join("x.err"), shared.join("x.err")).unwrap();
                // From there for a while, or the file is never met.
                for _ in 0..n_links.fetch_add(1, Ordering::Relaxed) % 64 {
                    std::hint::spin_loop();
                }
                fs::remove_file(shared.join("x.err")).unwrap();
            }
        });
        let _stopping = Stop(&stop);
        while n_links.load(Ordering::Relaxed) < 20_000 {
            assert!(text(&place, "shared/x.err").is_err(), "a file of root was read by a link");
        }
    });
}
