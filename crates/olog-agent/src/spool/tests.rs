use std::path::PathBuf;

use olog_proto::event::Id128;
use olog_proto::{Epoch, EventContent, Note, OwnPush, Timestamp};
use proptest::prelude::*;

use super::*;

#[test]
fn the_spool_is_readable_by_its_owner_only_whatever_the_umask_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = spool_path(folder.path());
    let (spool, _) = Spool::open(&path, Id128([1; 16])).unwrap();
    spool.put_note(Note { code: "x".into(), path: None, text: "x".into(), over: false, once: true }, stamp()).unwrap();
    let mut n = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        n += 1;
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(n >= 2, "{n}: the log of the database too");
}

#[test]
fn a_link_in_the_place_of_the_spool_is_not_followed() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = outside.path().join("made");
    std::os::unix::fs::symlink(&target, spool_path(folder.path())).unwrap();
    assert!(Spool::open(&spool_path(folder.path()), Id128([1; 16])).is_err());
    assert!(!target.exists());
}

fn stamp() -> Stamp {
    Stamp { at: Timestamp(1), boot: Id128([1; 16]), up: 2 }
}

fn note(text: &str) -> Note {
    Note { code: "x".to_owned(), path: None, text: text.to_owned(), over: false, once: true }
}

fn memory(size: u64) -> FileState {
    FileState {
        inode: u64::MAX,
        size,
        mtime: -5,
        seen: Some(Timestamp(7000)),
        offset: size / 2,
        head: Some(u64::MAX),
        tail: None,
        content: Some(3),
        began: Some(Timestamp(9)),
        encoding: Some(encoding_rs::GB18030),
        has_text: true,
        open: false,
        history: true,
        held: 2,
        origin: Some(b"x.err".to_vec()),
        born: Some(-7),
    }
}

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    Place { path: dir.path().join("spool.db"), _dir: dir }
}

fn open(place: &Place, epoch: u8) -> Spool {
    Spool::open(&place.path, Id128([epoch; 16])).unwrap().0
}

#[test]
fn what_is_known_of_a_file_comes_back_as_it_was() {
    let place = place();
    let spool = open(&place, 1);
    let folder = spool.folder(b"/a\xff", 5, 6, |_| false).unwrap();
    assert!(!folder.known);
    let key = FileKey { folder: folder.id, name: b"n\xff.err".to_vec() };
    let mut batch = Batch::default();
    batch.remember(key.clone(), memory(10));
    assert_eq!(spool.put(&batch).unwrap(), 0);
    assert_eq!(spool.memory(&key).unwrap(), Some(memory(10)));
    assert_eq!(spool.rows(folder.id, None, 10).unwrap().len(), 1);
    assert_eq!(spool.rows(folder.id, Some(&key.name), 10).unwrap().len(), 0);
    let mut batch = Batch::default();
    batch.forget(key.clone());
    spool.put(&batch).unwrap();
    assert_eq!(spool.memory(&key).unwrap(), None);
}

#[test]
fn a_folder_that_moved_keeps_its_files() {
    let place = place();
    let spool = open(&place, 1);
    let id = spool.folder(b"/a", 5, 6, |_| true).unwrap().id;
    assert_ne!(spool.folder(b"/b", 5, 6, |_| false).unwrap().id, id, "a copy, or a bind mount");
    assert_eq!(spool.folder(b"/c", 5, 6, |old| old == b"/a").unwrap().id, id);
    assert!(spool.folder(b"/c", 9, 6, |_| true).unwrap().other_device);
}

#[test]
fn own_pushes_travel_with_their_event_and_change_nothing_else() {
    let place = place();
    let spool = open(&place, 1);
    spool.put_note(note("a"), stamp()).unwrap();
    let before = spool.after(0, 1, 0).unwrap()[0].digest();
    let push = OwnPush { tried_at: Timestamp(5), accepted_at: Some(Timestamp(6)) };
    spool.mark_pushed(&[1, 99], &push).unwrap();
    let event = spool.after(0, 1, 0).unwrap().remove(0);
    assert_eq!((event.digest(), event.pushed), (before, Some(push)));
}

#[test]
fn a_hub_that_acknowledges_what_was_never_made_releases_nothing() {
    let place = place();
    let spool = open(&place, 1);
    spool.put_note(note("a"), stamp()).unwrap();
    assert!(matches!(spool.release(2), Err(SpoolError::NeverMade { through: 2, last: 1 })));
    assert_eq!(spool.held().events, 1);
}

#[test]
fn open_troubles_outlive_the_process() {
    let place = place();
    let trouble =
        |over| Note { code: "log_dir_missing".into(), path: Some("/x".into()), text: "t".into(), over, once: false };
    let spool = open(&place, 1);
    spool.put_note(trouble(false), stamp()).unwrap();
    spool.put_note(note("once"), stamp()).unwrap();
    drop(spool);
    let spool = open(&place, 1);
    assert_eq!(spool.open_notes().unwrap(), [trouble(false)]);
    spool.put_note(trouble(true), stamp()).unwrap();
    assert!(spool.open_notes().unwrap().is_empty());
}

#[test]
fn what_can_be_read_of_a_damaged_spool_is_carried_over() {
    let place = place();
    let spool = open(&place, 1);
    let id = spool.folder(b"/a", 5, 6, |_| false).unwrap().id;
    let mut batch = Batch::default();
    batch.emit(stamp(), EventContent::Note(note("kept")), None);
    batch.remember(FileKey { folder: id, name: b"x.err".to_vec() }, memory(4));
    spool.put(&batch).unwrap();
    spool.set_meta("scanned:/a", "yes").unwrap();
    drop(spool);
    super::open::mark_damaged(&place.path);
    let (spool, opened) = Spool::open(&place.path, Id128([2; 16])).unwrap();
    assert!(matches!(opened, Opened::Recovered { .. }));
    assert_eq!((spool.epoch(), spool.last(), spool.n_files().unwrap()), (Id128([2; 16]), 1, 1));
    assert!(spool.meta("scanned:/a").unwrap().is_some() && spool.meta("recovered_aside").unwrap().is_some());
    drop(spool);
    assert_eq!(Spool::open(&place.path, Id128([3; 16])).unwrap().1, Opened::Kept);
}

#[derive(Debug, Clone)]
enum Do {
    Put(u8),
    Release(u64),
    Renew(u8),
    Reopen,
}

fn deeds() -> impl Strategy<Value = Vec<Do>> {
    let deed = prop_oneof![
        4 => (0..5_u8).prop_map(Do::Put),
        3 => (0..20_u64).prop_map(Do::Release),
        1 => any::<u8>().prop_map(Do::Renew),
        1 => Just(Do::Reopen),
    ];
    prop::collection::vec(deed, 1..25)
}

/// What the spool must be, in the simplest words.
#[derive(Default)]
struct Model {
    held: Vec<(u64, String)>,
    acked: u64,
    last: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn it_agrees_with_a_simple_model(deeds in deeds()) {
        let place = place();
        let mut epoch: Epoch = Id128([0; 16]);
        let mut spool = open(&place, 0);
        let mut model = Model::default();
        for (i, deed) in deeds.into_iter().enumerate() {
            match deed {
                Do::Put(n) => {
                    let mut batch = Batch::default();
                    for j in 0..n {
                        let text = format!("{i} {j}");
                        model.last += 1;
                        model.held.push((model.last, text.clone()));
                        batch.emit(stamp(), EventContent::Note(note(&text)), None);
                    }
                    prop_assert_eq!(spool.put(&batch).unwrap(), model.last);
                }
                Do::Release(n) => {
                    let good = spool.release(n).is_ok();
                    prop_assert_eq!(good, n <= model.last);
                    if good && n > model.acked {
                        model.acked = n;
                        model.held.retain(|(held, _)| *held > n);
                    }
                }
                Do::Renew(e) => {
                    epoch = Id128([e; 16]);
                    prop_assert_eq!(spool.renew(epoch).unwrap(), model.held.len() as u64);
                    model.held.iter_mut().for_each(|(n, _)| *n -= model.acked);
                    (model.last, model.acked) = (model.held.len() as u64, 0);
                }
                Do::Reopen => {
                    drop(spool);
                    spool = open(&place, 99);
                }
            }
            let events = spool.after(0, 1000, usize::MAX).unwrap();
            let held: Vec<(u64, String)> = events.into_iter().map(|event| match event.what {
                EventContent::Note(note) => (event.n, note.text),
                _ => (0, String::new()),
            }).collect();
            prop_assert_eq!(&held, &model.held);
            prop_assert_eq!((spool.epoch(), spool.last(), spool.acked()), (epoch, model.last, model.acked));
            let bytes = spool.held().bytes;
            prop_assert_eq!(bytes == 0, model.held.is_empty());
        }
    }
}

#[test]
fn a_disk_is_waited_for_and_everything_else_ends_the_process() {
    let path = PathBuf::from("/x");
    let database = |code| SpoolError::Database {
        path: path.clone(),
        source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None),
    };
    let io = |code| SpoolError::Io { path: path.clone(), source: std::io::Error::from_raw_os_error(code) };
    for (error, expected) in [
        (SpoolError::Full { path: path.clone() }, Consequence::Retry),
        (SpoolError::Busy { path: path.clone() }, Consequence::Retry),
        (database(rusqlite::ffi::SQLITE_IOERR), Consequence::Retry),
        (database(rusqlite::ffi::SQLITE_READONLY), Consequence::Retry),
        (database(rusqlite::ffi::SQLITE_CANTOPEN), Consequence::Retry),
        (database(rusqlite::ffi::SQLITE_ERROR), Consequence::End),
        (io(28), Consequence::Retry),
        (io(13), Consequence::End),
        (SpoolError::Damaged { path: path.clone() }, Consequence::End),
        (SpoolError::Newer { path: path.clone(), found: 9, known: 1 }, Consequence::End),
        (SpoolError::NeverMade { through: 2, last: 1 }, Consequence::End),
    ] {
        assert_eq!(error.consequence(), expected, "{error:?}");
    }
}

#[test]
fn a_file_is_found_by_its_inode_in_any_folder_of_its_file_system_and_where_it_was_renamed_away() {
    let place = place();
    let spool = open(&place, 1);
    let key = |folder: FolderId| FileKey { folder, name: b"x.err".to_vec() };
    let here = key(spool.folder(b"/a", 5, 6, |_| false).unwrap().id);
    let other_disk = key(spool.folder(b"/b", 7, 6, |_| false).unwrap().id);
    let away = FileKey::away(Timestamp(1_000_000_000), 5, u64::MAX);
    let mut batch = Batch::default();
    for key in [&here, &other_disk, &away, &FileKey::away(Timestamp(1_000_000_001), 7, u64::MAX)] {
        batch.remember(key.clone(), memory(10));
    }
    spool.put(&batch).unwrap();
    let mut found: Vec<FileKey> = spool.known_by_inode(5, u64::MAX).unwrap().into_iter().map(|(key, _)| key).collect();
    found.sort();
    assert_eq!(found, [away.clone(), here.clone()]);
    assert_eq!(spool.n_files().unwrap(), 2, "what was renamed away is not watched");
    spool.prune_away(Timestamp(1_000_000_000 + 24 * 3600 * 1000)).unwrap();
    assert_eq!(spool.known_by_inode(5, u64::MAX).unwrap().len(), 2);
    spool.prune_away(Timestamp(1_000_000_001 + 24 * 3600 * 1000)).unwrap();
    assert_eq!(spool.known_by_inode(5, u64::MAX).unwrap(), [(here, memory(10))]);
    assert_eq!(spool.known_by_inode(7, u64::MAX).unwrap().len(), 2);
}

#[test]
fn a_spool_of_the_first_version_is_opened_and_its_files_are_known() {
    let place = place();
    drop(open(&place, 1));
    let db = rusqlite::Connection::open(&place.path).unwrap();
    db.execute_batch(
        "DROP INDEX file_inode; ALTER TABLE file DROP COLUMN born;
         INSERT INTO folder (id, path, device, inode) VALUES (1, x'2f61', 5, 6);
         INSERT INTO file (folder, name, inode, size, mtime, seen, flags) VALUES (1, x'782e657272', 8, 9, 10, 0, 0);",
    )
    .unwrap();
    drop(db);
    let spool = open(&place, 2);
    let known = spool.known_by_inode(5, 8).unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].1.size, known[0].1.born), (9, None));
    drop(spool);
    // Damaged, it is carried over, also from a file without the column.
    let db = rusqlite::Connection::open(&place.path).unwrap();
    db.execute_batch("DROP INDEX file_inode; ALTER TABLE file DROP COLUMN born;").unwrap();
    drop(db);
    open::mark_damaged(&place.path);
    assert_eq!(open(&place, 3).known_by_inode(5, 8).unwrap().len(), 1);
}
