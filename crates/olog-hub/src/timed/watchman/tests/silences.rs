//! Silences on a real store: what they hold, and what is told when they are over.

mod histories;

use olog_proto::{EventContent, Excerpt, Fingerprint, fingerprint};

use super::*;
use crate::apply::operator;
use crate::rules::silence::{Period, Recurrence, Scope};
use crate::store::silences::{self as silence_store, New};

pub(super) const HOUR: i64 = 60 * MINUTE;

pub(super) fn scope(device: &str, task: Option<&str>) -> Scope {
    Scope { device: device.to_owned(), task: task.map(str::to_owned), fingerprint: None }
}

pub(super) fn print_of(text: &str) -> Fingerprint {
    fingerprint::fingerprints(text)[0].fingerprint()
}

impl World {
    pub(super) async fn silence(&self, scope: Scope, lasts: Option<i64>) -> u64 {
        let now = self.clock.now();
        self.add(scope, Period { from: now, until: lasts.map(|ms| now.plus(ms)) }, None).await
    }

    async fn add(&self, scope: Scope, period: Period, every: Option<Recurrence>) -> u64 {
        let new = New { scope, period, every, comment: "new disks".to_owned(), made_by: "root".to_owned() };
        let now = self.clock.now();
        self.store.store.write(move |tx| operator::silence(tx, &new, now)).await.unwrap().id
    }

    pub(super) async fn end(&self, silence: u64) -> bool {
        let now = self.clock.now();
        self.store.store.write(move |tx| operator::end_silence(tx, silence, now)).await.unwrap()
    }

    pub(super) async fn ends(&self, device: DeviceId, task: &str, exit: i32, text: &str) {
        let (name, run, excerpt) = (task.parse().unwrap(), "r".to_owned(), Excerpt::of(text));
        let what = EventContent::RunEnded {
            task: name,
            run,
            exit: Some(exit),
            signal: None,
            duration: 1,
            excerpt,
            fingerprints: vec![],
        };
        self.event(device, task, what).await;
    }

    /// What was told since this was last asked; what a silence held until now begins with its number.
    async fn heard(&mut self) -> Vec<String> {
        let after = self.n_told;
        let read = self.store.store.read(move |tx| {
            let rows = tx.query("SELECT id, notice, outcome FROM outbox WHERE id > $1 ORDER BY id", values![after])?;
            let row = |row: &crate::store::Row| Ok((row.int(0)?, row.json(1)?, row.text_or_null(2)?.is_some()));
            rows.iter().map(row).collect::<Result<Vec<(i64, Notice, bool)>, StoreError>>()
        });
        let rows = read.await.unwrap();
        self.n_told = rows.last().map_or(after, |(id, ..)| *id);
        let told = rows.into_iter().filter(|(_, _, is_silenced)| !is_silenced).map(|(_, notice, _)| in_short(&notice));
        told.filter(|words| !words.ends_with("NewDevices")).collect()
    }

    async fn n_held(&self, silence: u64) -> u64 {
        let now = self.clock.now();
        self.store.store.read(move |tx| silence_store::get(tx, silence, now)).await.unwrap().unwrap().n_held
    }

    /// A device that is here; nobody asks for what was told of its joining.
    async fn here(&mut self, name: &str) -> (DeviceId, SeatGuard) {
        let device = self.join(name).await;
        let place = self.connect(device, 1);
        self.pass(0).await;
        self.heard().await;
        (device, place)
    }

    /// Time passes, and these are heard all the while; in long spans the watchman looks now and then.
    async fn pass_with(&mut self, places: &[&SeatGuard], ms: i64) {
        let end = self.clock.now().plus(ms);
        while self.clock.now() < end {
            let left = end.since(self.clock.now());
            if left <= 30 * MINUTE {
                self.pass(left.min(20 * SECOND)).await;
                places.iter().for_each(|place| place.seat().heard(self.clock.now()));
            } else {
                self.hand.advance((left - 30 * MINUTE).min(20 * MINUTE));
                places.iter().for_each(|place| place.seat().heard(self.clock.now()));
                self.pass(0).await;
            }
        }
    }
}

fn in_short(notice: &Notice) -> String {
    let by = notice.silence.map(|n| format!("[{n}] ")).unwrap_or_default();
    let what = match &notice.content {
        Content::Error { excerpt, n_seen, .. } => format!("{} {n_seen}", excerpt.head()),
        Content::Remind { n_seen, .. } => format!("still {n_seen}"),
        Content::TaskLost { n_missed, .. } => format!("missed {n_missed}"),
        Content::DevicesLost { devices, n_known, .. } => format!("{} of {n_known}", devices.join(" ")),
        Content::DevicesBack { devices, missing, .. } => format!("{}, not {}", devices.join(" "), missing.join(" ")),
        Content::System { code, .. } => format!("{code:?}"),
        _ => String::new(),
    };
    let about = [notice.device.clone(), notice.task.clone()].into_iter().flatten().collect::<Vec<_>>().join("/");
    format!("{by}{:?} {about} {what}", notice.kind).trim_end().to_owned()
}

#[tokio::test]
async fn what_still_fails_when_a_silence_is_over_is_told_then_as_it_is_then() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        let silence = world.silence(scope("n*", None), Some(2 * HOUR)).await;
        world.ends(nas, "rsync", 1, "no space left").await;
        world.pass_with(&[&place], HOUR).await;
        world.ends(nas, "rsync", 1, "connection refused").await;
        world.ends(nas, "quick", 1, "oops").await;
        world.ends(nas, "quick", 0, "").await;
        assert_eq!(world.heard().await, Vec::<String>::new());
        assert_eq!((world.n_held(silence).await, world.open().await), (1, vec!["task rsync".to_owned()]));
        world.pass_with(&[&place], HOUR).await;
        assert_eq!(world.heard().await, ["[1] Err nas/rsync connection refused 2"], "what is over inside is not told");
        // It is told once; from now on everything is as ever.
        world.pass_with(&[&place], HOUR).await;
        world.ends(nas, "rsync", 1, "another reason").await;
        world.ends(nas, "rsync", 0, "").await;
        assert_eq!(world.heard().await, ["Err nas/rsync another reason 3", "Over nas/rsync"]);
        assert_eq!(world.n_held(silence).await, 0);
        drop(place);
    }
}

#[tokio::test]
async fn who_knew_of_the_begin_hears_of_the_end() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        world.ends(nas, "rsync", 1, "no space left").await;
        world.ends(nas, "dump", 1, "no space left").await;
        assert_eq!(world.heard().await.len(), 2);
        world.silence(scope("nas", Some("*")), Some(HOUR)).await;
        world.ends(nas, "rsync", 0, "").await;
        // Over, and begun again: it is as it was.
        world.ends(nas, "dump", 0, "").await;
        world.ends(nas, "dump", 1, "no space left").await;
        world.pass_with(&[&place], HOUR - MINUTE).await;
        assert_eq!(world.heard().await, Vec::<String>::new());
        world.pass_with(&[&place], MINUTE).await;
        let mut heard = world.heard().await;
        heard.sort();
        assert_eq!(heard, ["[1] Err nas/dump no space left 2", "[1] Over nas/rsync"]);
    }
}

#[tokio::test]
async fn what_another_silence_holds_is_not_told_yet() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        let long = world.silence(scope("*", Some("rsync")), Some(3 * HOUR)).await;
        let short = world.silence(scope("nas", None), Some(HOUR)).await;
        world.ends(nas, "rsync", 1, "no space left").await;
        world.ends(nas, "dump", 1, "no space left").await;
        world.pass_with(&[&place], HOUR).await;
        assert_eq!(world.heard().await, [format!("[{short}] Err nas/dump no space left 1")]);
        assert_eq!(world.n_held(long).await, 1);
        assert!(world.end(long).await && !world.end(long).await && !world.end(99).await);
        world.pass(0).await;
        assert_eq!(world.heard().await, [format!("[{long}] Err nas/rsync no space left 1")]);
        drop(place);
    }
}

#[tokio::test]
async fn a_hub_that_was_down_at_the_end_of_a_silence_tells_what_it_held() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        let every =
            Recurrence { schedule: "@daily".parse().unwrap(), zone: chrono_tz::Asia::Shanghai, lasts: 2 * HOUR };
        let window = world.add(scope("nas", None), every.period(NOW).unwrap(), Some(every.clone())).await;
        let next = |world: &World| every.period(world.clock.now()).unwrap().from;
        world.pass_with(&[&place], next(&world).since(NOW) - MINUTE).await;
        world.ends(nas, "before", 1, "e").await;
        world.pass_with(&[&place], MINUTE).await;
        world.ends(nas, "inside", 1, "e").await;
        assert_eq!(world.heard().await, ["Err nas/before e 1"]);
        // The hub is down for three days, and comes back when the window is closed.
        world.hand.advance(3 * 24 * HOUR + 12 * HOUR);
        let mut world = world.restart();
        place.seat().heard(world.clock.now());
        world.pass(0).await;
        let heard = world.heard().await;
        assert!(heard.contains(&format!("[{window}] Err nas/inside e 1")), "{heard:?}");
        // The next window holds again, though nobody looked when it opened.
        let opens = next(&world).since(world.clock.now());
        world.hand.advance(opens + MINUTE);
        world.ends(nas, "later", 1, "e").await;
        assert_eq!(world.heard().await, Vec::<String>::new());
        drop(place);
    }
}

#[tokio::test]
async fn devices_that_went_together_are_told_without_those_that_are_silent() {
    for mut world in worlds().await {
        let mut places = Vec::new();
        for name in ["a", "b", "c", "d"] {
            places.push(world.here(name).await);
        }
        let (stays, stay) = places.pop().unwrap();
        world.silence(scope("b", None), Some(HOUR)).await;
        // What is of tasks only says nothing of devices.
        world.silence(scope("*", Some("*")), Some(HOUR)).await;
        let devices: Vec<DeviceId> = places.iter().map(|(device, _)| *device).collect();
        for (_, place) in places {
            world.leave(place, 1).await;
        }
        world.pass_with(&[&stay], 10 * MINUTE).await;
        assert_eq!(world.heard().await, ["Lost  a c of 3"]);
        let back = world.connect(devices[0], 1);
        world.pass_with(&[&stay, &back], 20 * MINUTE).await;
        assert_eq!(world.heard().await, ["Back  a, not c"], "who is silent is not missed");
        world.pass_with(&[&stay, &back], 30 * MINUTE).await;
        assert_eq!(world.heard().await, ["[1] Lost b b of 2"]);
        let more = [world.connect(devices[1], 1), world.connect(devices[2], 1)];
        world.pass_with(&[&stay, &back, &more[0], &more[1]], MINUTE).await;
        assert_eq!(world.heard().await, ["Back  b c, not"]);
        let _ = (stays, more);
    }
}

#[tokio::test]
async fn a_device_that_went_and_came_inside_is_not_told_and_one_that_came_back_inside_is() {
    for mut world in worlds().await {
        let (a, a_place) = world.here("a").await;
        let (b, b_place) = world.here("b").await;
        world.leave(a_place, 1).await;
        world.pass_with(&[&b_place], 2 * MINUTE).await;
        assert_eq!(world.heard().await, ["Lost a a of 2"]);
        world.silence(scope("*", None), Some(HOUR)).await;
        let a_place = world.connect(a, 2);
        world.leave(b_place, 1).await;
        world.pass_with(&[&a_place], 10 * MINUTE).await;
        let b_place = world.connect(b, 2);
        world.pass_with(&[&a_place, &b_place], 49 * MINUTE).await;
        assert_eq!(world.heard().await, Vec::<String>::new());
        world.pass_with(&[&a_place, &b_place], MINUTE).await;
        assert_eq!(world.heard().await, ["[1] Back a a, not"]);
    }
}

#[tokio::test]
async fn what_is_not_an_error_is_never_pushed_and_what_else_comes_is() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        let of = |text: &str| Scope { fingerprint: Some(print_of(text)), ..scope("nas", Some("rsync")) };
        let never = world.silence(of("file has vanished"), None).await;
        world.ends(nas, "rsync", 1, "file has vanished").await;
        // A reminder of it is none either.
        world.pass_with(&[&place], 30 * HOUR).await;
        assert_eq!(world.heard().await, Vec::<String>::new());
        assert_eq!(world.open().await, ["task rsync"], "it is as much of an error as ever, in states and reports");
        world.ends(nas, "rsync", 1, "no space left").await;
        assert_eq!(world.heard().await, ["Err nas/rsync no space left 2"]);
        world.ends(nas, "rsync", 0, "").await;
        assert_eq!(world.heard().await, ["Over nas/rsync"]);
        world.ends(nas, "rsync", 1, "file has vanished").await;
        world.ends(nas, "rsync", 0, "").await;
        world.ends(nas, "rsync", 1, "file has vanished\nno space left").await;
        world.ends(nas, "rsync", 0, "").await;
        let heard = world.heard().await;
        assert_eq!(heard.len(), 2, "told with the error that stands beside it, and its end: {heard:?}");
        // Undone: what is open is told.
        world.ends(nas, "rsync", 1, "file has vanished").await;
        world.end(never).await;
        world.pass(0).await;
        let heard = world.heard().await;
        assert!(heard.len() == 1 && heard[0].starts_with("[1] Err nas/rsync file has vanished"), "{heard:?}");
    }
}

#[tokio::test]
async fn an_incident_is_made_no_error_by_its_number() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        world.ends(nas, "rsync", 1, "file has vanished").await;
        world.heard().await;
        let now = world.clock.now();
        let made = world.store.store.write(move |tx| {
            let operator::NotAnErrorResult::These(new) =
                operator::not_an_error(tx, 1, None, operator::SuppressScope::Fleet, "me", now)?
            else {
                panic!("no errors")
            };
            new.iter().map(|new| operator::silence(tx, new, now)).collect::<Result<Vec<_>, _>>()
        });
        let made = made.await.unwrap();
        let [one] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!((one.device.as_str(), one.task.as_deref(), one.until_at), ("*", Some("*"), None));
        assert_eq!(one.fingerprint, Some(print_of("file has vanished").to_string()));
        assert!(one.comment.contains("#1") && one.comment.contains("vanished"), "{}", one.comment);
        // The silences are here and nobody closed the incident: who heard of it hears that it is over; then no more.
        world.pass_with(&[&place], 30 * HOUR).await;
        world.ends(nas, "rsync", 0, "").await;
        world.ends(nas, "other", 1, "file has vanished").await;
        assert_eq!(world.heard().await, ["Over nas/rsync"]);
    }
}

#[tokio::test]
async fn a_clock_that_jumps_tells_too_soon_and_never_too_late() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        world.silence(scope("nas", None), Some(2 * HOUR)).await;
        world.ends(nas, "rsync", 1, "no space left").await;
        // A year ahead: the silence is over. And back: it stays over.
        world.hand.set(NOW.plus(365 * 24 * HOUR));
        place.seat().heard(world.clock.now());
        world.watchman.run_due().await.unwrap();
        world.hand.set(NOW.plus(HOUR));
        place.seat().heard(world.clock.now());
        world.watchman.run_due().await.unwrap();
        let heard = world.heard().await;
        assert!(heard.contains(&"[1] Err nas/rsync no space left 1".to_owned()), "{heard:?}");
        world.ends(nas, "dump", 1, "no space left").await;
        assert_eq!(world.heard().await, ["Err nas/dump no space left 1"]);
        // One that was made while the clock was a year ahead holds nothing for that year.
        let later = NOW.plus(365 * 24 * HOUR);
        world.add(scope("nas", None), Period { from: later, until: Some(later.plus(HOUR)) }, None).await;
        world.ends(nas, "third", 1, "no space left").await;
        assert_eq!(world.heard().await, ["Err nas/third no space left 1"]);
    }
}

#[tokio::test]
async fn what_is_forgotten_or_closed_meanwhile_is_told_no_more() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        world.silence(scope("nas", None), Some(HOUR)).await;
        world.ends(nas, "gone", 1, "e").await;
        world.ends(nas, "closed", 1, "e").await;
        let (rules, now) = (world.watchman.rules.borrow().clone(), world.clock.now());
        let write = world.store.store.write(move |tx| {
            operator::forget(tx, &rules, "nas", "gone", now)?;
            operator::close(tx, &rules, 2, now)
        });
        assert!(matches!(write.await.unwrap(), operator::ActionResult::Yes(_)));
        world.pass_with(&[&place], 2 * HOUR).await;
        assert_eq!(world.heard().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_was_held_is_on_record_and_never_waits() {
    for mut world in worlds().await {
        let (nas, place) = world.here("nas").await;
        world.silence(scope("nas", None), Some(HOUR)).await;
        world.ends(nas, "rsync", 1, "no space left").await;
        let rows = world.store.store.read(|tx| {
            let rows = tx.query(
                "SELECT channel, outcome, silence_id, done_at FROM outbox WHERE incident_id = 1 ORDER BY id",
                &[],
            )?;
            let row = |row: &crate::store::Row| {
                Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.int(2)?, row.at(3)?))
            };
            rows.iter().map(row).collect::<Result<Vec<_>, StoreError>>()
        });
        assert_eq!(rows.await.unwrap(), [("phone".to_owned(), "silenced".to_owned(), 1, NOW)]);
        let waits = world.store.store.read(|tx| {
            let row = tx.query_one("SELECT COUNT(*) FROM outbox WHERE done_at IS NULL AND incident_id = 1", &[])?;
            row.map_or(Ok(0), |row| row.int(0))
        });
        assert_eq!(waits.await.unwrap(), 0, "nothing");
        drop(place);
    }
}
