use std::path::Path;

use olog_daemon::clock::ClockHandle;
use olog_proto::event::Id128;
use tokio::sync::{Notify, watch};

use super::*;
use crate::{boot, config, spool::Spool};

const T: i64 = 1_764_201_600_000;

/// An agent's reader and its folder. `users` write into the folder as `exec` does.
struct World {
    folder: tempfile::TempDir,
    reader: Reader,
    hand: ClockHandle,
    live: watch::Sender<std::sync::Arc<config::ReloadableConfig>>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("exec")).unwrap();
        let (clock, hand) = olog_daemon::clock::Clock::manual(Timestamp(T + 3_600_000));
        let (live, seen) = watch::channel(config::defaults().live);
        let spool = Spool::open(&folder.path().join("spool.db"), Id128([7; 16])).unwrap().0;
        let reader = Reader {
            folders: vec![folder.path().join("exec")],
            spool,
            bell: std::sync::Arc::new(Notify::new()),
            live: seen,
            clock,
            running: std::sync::Arc::default(),
            shares: super::Shares::default(),
        };
        World { folder, reader, hand, live }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("exec")
    }

    fn begin(&self, n: u8) -> RunFile {
        RunFile::begin(&[self.path()], &start(n)).unwrap()
    }

    /// What the spool has, shortened: kind, minutes after [`T`], exit code.
    fn look(&self) -> Vec<String> {
        while !self.reader.inspect().unwrap().is_all {}
        self.spooled()
    }

    fn spooled(&self) -> Vec<String> {
        let events = self.reader.spool.after(0, 10_000, usize::MAX).unwrap();
        let minutes = |at: Timestamp| at.since(Timestamp(T)) / 60_000;
        let line = |event: olog_proto::Event| match event.what {
            olog_proto::EventContent::RunStarted { task, .. } => format!("{task} started {}", minutes(event.at.0)),
            olog_proto::EventContent::RunEnded { task, exit, excerpt, .. } => {
                format!("{task} ended {} {exit:?} {}", minutes(event.at.0), excerpt.head())
            }
            olog_proto::EventContent::Note(note) => format!("{} {} {}", note.code, note.path.unwrap(), note.text),
            what => panic!("{what:?}"),
        };
        events.into_iter().map(line).collect()
    }

    fn n_files(&self) -> usize {
        std::fs::read_dir(self.path()).unwrap().count()
    }

    /// The agent is stopped and started: only the disk remains.
    fn restart(self) -> World {
        let World { folder, reader, hand, live } = self;
        let Reader { folders, spool, bell, live: seen, clock, running, shares } = reader;
        drop(spool);
        let spool = Spool::open(&folder.path().join("spool.db"), Id128([8; 16])).unwrap().0;
        let reader = Reader { folders, spool, bell, live: seen, clock, running, shares };
        World { folder, reader, hand, live }
    }
}

/// A run of minute `n`.
fn start(n: u8) -> Start {
    Start {
        format: FORMAT,
        task: format!("t{n}").parse().unwrap(),
        run: format!("{n:016x}"),
        uid: 5,
        at: Timestamp(T + i64::from(n) * 60_000),
        boot: boot::id(),
        up: 1,
    }
}

fn end(n: u8, exit: i32) -> End {
    let ended = RunEnd { exit: Some(exit), signal: None, duration: 1000, output: String::new() };
    End { at: Timestamp(T + i64::from(n) * 60_000 + 60_000), up: 2, how: How::RunEnd(ended) }
}

fn skipped(n: u8, running_since: i64) -> End {
    let how = How::NotStarted { running_since: Some(Timestamp(T + running_since * 60_000)) };
    End { at: Timestamp(T + i64::from(n) * 60_000), up: 2, how }
}

#[test]
fn a_run_is_told_at_its_start_and_at_its_end_with_the_times_that_its_file_has() {
    let world = World::new();
    let file = world.begin(1);
    assert_eq!(world.look(), ["t1 started 1"]);
    assert_eq!(world.reader.running()[0].since, Timestamp(T + 60_000));
    world.hand.advance(60_000);
    assert_eq!(world.look(), ["t1 started 1"], "nothing new");
    file.end(&end(1, 2)).unwrap();
    assert_eq!(world.look(), ["t1 started 1", "t1 ended 2 Some(2) "]);
    assert_eq!((world.n_files(), world.reader.running().len()), (0, 0));
    assert_eq!(world.look().len(), 2);
}

#[test]
fn a_run_that_ended_while_the_agent_was_down_is_told_when_it_is_back() {
    let world = World::new();
    let file = world.begin(1);
    world.look();
    let world = world.restart();
    file.end(&end(1, 2)).unwrap();
    world.begin(2).end(&end(2, 0)).unwrap();
    assert_eq!(world.look(), ["t1 started 1", "t1 ended 2 Some(2) ", "t2 started 2", "t2 ended 3 Some(0) "]);
}

#[test]
fn a_run_before_the_agents_first_start_waits_for_it() {
    let world = World::new();
    std::fs::remove_dir(world.path()).unwrap();
    world.begin(1).end(&end(1, 2)).unwrap();
    assert_eq!(world.look(), ["t1 started 1", "t1 ended 2 Some(2) "]);
}

#[test]
fn a_run_whose_exec_was_killed_is_not_good() {
    let world = World::new();
    drop(world.begin(1));
    let killed = "olog-agent exec was killed during this run: how the run ended is unknown";
    assert_eq!(world.look(), ["t1 started 1".to_owned(), format!("t1 ended 60 None {killed}")]);
    assert_eq!(world.n_files(), 0);
}

#[test]
fn a_restart_of_the_machine_ends_a_run_and_is_named() {
    let world = World::new();
    drop(RunFile::begin(&[world.path()], &Start { boot: Id128([1; 16]), ..start(1) }).unwrap());
    let restarted = "the machine restarted during this run: how the run ended is unknown";
    assert_eq!(world.look(), ["t1 started 1".to_owned(), format!("t1 ended 60 None {restarted}")]);
}

#[test]
fn a_run_whose_file_was_removed_is_not_good() {
    let world = World::new();
    let _running = world.begin(1);
    world.look();
    std::fs::remove_dir_all(world.path()).unwrap();
    std::fs::create_dir(world.path()).unwrap();
    assert_eq!(world.look().len(), 2);
    assert!(world.spooled()[1].starts_with("t1 ended 60 None"), "{:?}", world.spooled());
}

#[test]
fn a_crash_between_the_event_and_the_removal_of_the_file_tells_nothing_twice() {
    let world = World::new();
    let file = world.begin(1);
    world.look();
    let copy = world.path().join("copy");
    std::fs::copy(world.path().join(format!("run-{:016x}", 1)), &copy).unwrap();
    file.end(&end(1, 2)).unwrap();
    let text = std::fs::read(world.path().join(format!("run-{:016x}", 1))).unwrap();
    // As if the process had died right after the commit: the mark is there, and the file.
    let mark = world.reader.spool.metas("run/").unwrap();
    world.look();
    let (key, value) = mark[0].clone();
    world.reader.spool.set_meta(&key, &value.replace("\"ended\":false", "\"ended\":true")).unwrap();
    std::fs::write(world.path().join(format!("run-{:016x}", 1)), text).unwrap();
    assert_eq!(world.look().len(), 2);
    assert!(world.reader.spool.metas("run/").unwrap().is_empty());
}

#[test]
fn a_task_that_was_not_started_is_told_once_for_each_run_in_its_way() {
    let world = World::new();
    let skip = |n: u8, since: i64| {
        let start = Start { task: "job".parse().unwrap(), ..start(n) };
        RunFile::begin(&[world.path()], &start).unwrap().end(&skipped(n, since)).unwrap();
        world.look().len()
    };
    assert_eq!((skip(5, 1), skip(6, 1), skip(7, 1)), (1, 1, 1));
    let told =
        "run_not_started job the run before it is still going on after 4 min: not started a second time (exec --lock)";
    assert_eq!(world.spooled(), [told]);
    assert_eq!(skip(9, 8), 2, "another run is in the way");
    assert_eq!(world.n_files(), 0);
}

#[test]
fn what_is_no_run_file_is_removed_and_never_followed() {
    let world = World::new();
    let secret = world.folder.path().join("secret");
    let mut valid = serde_json::to_string(&start(1)).unwrap();
    valid.push('\n');
    std::fs::write(&secret, &valid).unwrap();
    let path = |n: u8| world.path().join(format!("run-{n:016x}"));
    std::os::unix::fs::symlink(&secret, path(1)).unwrap();
    std::fs::hard_link(&secret, world.path().join("run-linked")).unwrap();
    std::fs::write(path(2), "not json\n").unwrap();
    std::fs::write(path(3), &valid).unwrap();
    std::fs::write(path(4), vec![b'x'; FILE_MAX as usize + 1]).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path(5), rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(world.look(), Vec::<String>::new());
    assert_eq!(world.n_files(), 0);
    assert!(secret.exists());
}

#[test]
fn a_full_spool_leaves_the_runs_in_their_files() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, "spool_max = \"1MiB\"\n").unwrap();
    let small = config::load(&config::source(Some(file))).unwrap();
    world.live.send_replace(small.live);
    let mut fill = crate::spool::Batch::default();
    let stamp = boot::stamp(Timestamp(T));
    let what = || olog_proto::EventContent::RunStarted { task: "fill".parse().unwrap(), run: "x".repeat(1000) };
    (0..1100).for_each(|_| fill.emit(stamp, what(), None));
    let n = world.reader.spool.put(&fill).unwrap();
    world.begin(1).end(&end(1, 2)).unwrap();
    world.reader.inspect().unwrap();
    assert_eq!((world.reader.spool.last(), world.n_files()), (n, 1));
    world.reader.spool.release(n).unwrap();
    assert_eq!(world.look(), ["t1 started 1", "t1 ended 2 Some(2) "]);
}

#[test]
fn an_agent_that_never_comes_back_keeps_a_bounded_number_of_runs_and_forgets_the_oldest() {
    let world = World::new();
    let begin = |n: usize| {
        let start = Start { run: format!("{n:016x}"), ..start(1) };
        RunFile::begin(&[world.path()], &start).unwrap()
    };
    let running = begin(0);
    let mut n_forgotten = 0;
    for n in 1..=KEPT_MAX + 1 {
        let file = begin(n);
        n_forgotten += file.n_forgotten;
        file.end(&end(1, 0)).unwrap();
    }
    assert_eq!(n_forgotten, DROPPED);
    assert_eq!(world.n_files(), KEPT_MAX + 2 - DROPPED);
    assert!(Path::new(&world.path().join(format!("run-{:016x}", 0))).exists(), "what runs is kept");
    assert_eq!(world.look().len(), 2 * (KEPT_MAX + 1 - DROPPED) + 1, "all that is kept is told, over several looks");
    drop(running);
}
