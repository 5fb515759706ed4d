//! Cases with time given: a hub, some devices, and what is told.

mod histories;

use olog_proto::event::Id128;

use super::*;

/// A hub and its devices; the watchman looks whenever something is due or somebody comes.
struct World {
    roll: LivenessTracker,
    now: Timestamp,
    devices: Vec<DeviceSnapshot>,
    open: Vec<(u64, OfflineGroup)>,
    n_incidents: u64,
    pinged: Vec<i64>,
    told: Vec<String>,
    /// When the watchman looks next.
    next: Option<Timestamp>,
    /// Those that answer pings.
    alive: Vec<bool>,
}

impl World {
    /// Devices 0, 1, 2 … that are connected and were heard at 0 s; a hub that has run for long.
    fn new(n: usize) -> World {
        let device = |i: usize| DeviceSnapshot {
            device: i as i64,
            name: format!("d{i}"),
            is_connected: true,
            heard_at: Some(Timestamp(0)),
            offline_after: Some(MINUTE),
            said_bye: false,
            boot: Some(Id128([1; 16])),
            peer: Some(format!("10.0.0.{i}")),
        };
        World {
            roll: LivenessTracker::new(Timestamp(-DAY)),
            now: Timestamp(0),
            devices: (0..n).map(device).collect(),
            open: Vec::new(),
            n_incidents: 0,
            pinged: Vec::new(),
            told: Vec::new(),
            next: Some(Timestamp(0)),
            alive: vec![true; n],
        }
    }

    fn look(&mut self) {
        let steps = self.roll.call(&self.devices, &self.open, self.now);
        for step in steps {
            let content = match step {
                LivenessAction::Ping(devices) => {
                    self.pinged.extend(devices);
                    None
                }
                LivenessAction::Begin { absence, content } => {
                    self.n_incidents += 1;
                    self.open.push((self.n_incidents, absence));
                    Some(content)
                }
                LivenessAction::Change { number, absence, content } => {
                    self.open.iter_mut().find(|(n, _)| *n == number).unwrap().1 = absence;
                    content
                }
                LivenessAction::End { number, content } => {
                    self.open.retain(|(n, _)| *n != number);
                    content
                }
            };
            self.told.extend(content.map(|s| format!("{} {}", self.now.0 / SECOND, words(&s))));
        }
        let stored = serde_json::to_string(&self.open).unwrap();
        self.open = serde_json::from_str(&stored).unwrap();
        self.next = self.roll.due_at(&self.devices, &self.open, self.now);
        assert!(self.next.is_none_or(|next| next > self.now), "the same instant is looked at for ever");
    }

    /// Seconds pass; who is alive and connected is heard every 20 s, and at once when it is pinged.
    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now = self.now.plus(SECOND);
            for (i, device) in self.devices.iter_mut().enumerate() {
                let beats = (self.now.0 / SECOND + i as i64 * 3) % 20 == 0 || self.pinged.contains(&device.device);
                if device.is_connected && self.alive[i] && beats {
                    device.heard_at = Some(self.now);
                }
            }
            self.pinged.clear();
            if self.next.is_some_and(|next| next <= self.now) {
                self.look();
            }
        }
    }

    /// No more power: sockets stay open until somebody notices.
    fn dies(&mut self, devices: std::ops::Range<usize>) {
        devices.for_each(|i| self.alive[i] = false);
    }

    /// The session ends.
    fn leaves(&mut self, device: usize, bye: bool) {
        let (alive, device) = (&mut self.alive[device], &mut self.devices[device]);
        *alive = false;
        (device.is_connected, device.said_bye, device.heard_at) = (false, bye, Some(self.now));
        self.look();
    }

    fn comes(&mut self, device: usize, rebooted: bool) {
        let (alive, device) = (&mut self.alive[device], &mut self.devices[device]);
        *alive = true;
        (device.is_connected, device.said_bye, device.heard_at) = (true, false, Some(self.now));
        if rebooted {
            device.boot = Some(Id128([2; 16]));
        }
        self.look();
    }

    #[track_caller]
    fn heard(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.told), expected);
    }
}

const DAY: i64 = 24 * HOUR;

fn words(content: &Content) -> String {
    match content {
        Content::DevicesLost { devices, n_known, since, behind, said_bye, n_times } => {
            let behind = behind.as_ref().map_or(String::new(), |b| format!(" behind {b}"));
            let bye = if *said_bye { " bye" } else { "" };
            let times = n_times.map_or(String::new(), |n| format!(" times {n}"));
            format!("lost {} of {n_known} since {}{behind}{bye}{times}", devices.join(" "), since.0 / SECOND)
        }
        Content::DevicesBack { devices, missing, since, n_rebooted, said_bye, n_times, .. } => {
            let missing = if missing.is_empty() { String::new() } else { format!(" missing {}", missing.join(" ")) };
            let bye = if *said_bye { " bye" } else { "" };
            let times = n_times.map_or(String::new(), |n| format!(" times {n}"));
            format!("back {} since {}{missing} rebooted {n_rebooted}{bye}{times}", devices.join(" "), since.0 / SECOND)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_device_is_lost_after_its_time_and_back_at_once() {
    let mut world = World::new(3);
    world.pass(40);
    world.leaves(1, false);
    world.pass(300);
    world.heard(&["100 lost d1 of 3 since 40"]);
    world.comes(1, true);
    world.heard(&["340 back d1 since 40 rebooted 1"]);
    assert!(world.open.is_empty());
}

#[test]
fn a_power_cut_of_eight_of_fifteen_is_one_incident_and_so_is_its_end() {
    let mut world = World::new(15);
    for device in &mut world.devices[..8] {
        device.peer = Some("203.0.113.7".to_owned());
    }
    world.pass(120);
    world.dies(0..8);
    world.pass(1200);
    // They were heard between 102 s and 120 s; the first falls due at 162 s, and the verdict waits 10 s for the others.
    world.heard(&["172 lost d0 d1 d2 d3 d4 d5 d6 d7 of 15 since 102 behind 203.0.113.7"]);
    for device in 0..8 {
        world.comes(device, true);
        world.pass(10);
    }
    world.heard(&["1390 back d0 d1 d2 d3 d4 d5 d6 d7 since 102 rebooted 8"]);
    assert_eq!((world.n_incidents, world.open.len()), (1, 0));
}

#[test]
fn who_answers_the_question_is_not_lost() {
    let mut world = World::new(4);
    world.pass(100);
    world.leaves(0, false);
    // d1 has been quiet for half a minute when d0 falls due, and answers when it is asked.
    world.alive[1] = false;
    world.pass(28);
    world.devices[1].heard_at = Some(world.now);
    world.pass(32);
    assert_eq!(world.pinged, [1]);
    world.heard(&[]);
    world.alive[1] = true;
    world.pass(3);
    world.heard(&["161 lost d0 of 4 since 100"]);
}

#[test]
fn who_is_missing_after_five_minutes_is_told_and_stays_lost() {
    let mut world = World::new(4);
    world.pass(60);
    for device in 0..4 {
        world.leaves(device, false);
    }
    world.pass(60);
    world.heard(&["120 lost d0 d1 d2 d3 of 4 since 60"]);
    world.pass(80);
    world.comes(2, false);
    world.pass(100);
    world.comes(0, true);
    world.pass(260);
    world.heard(&["500 back d0 d2 since 60 missing d1 d3 rebooted 1"]);
    world.comes(1, false);
    world.pass(10);
    world.comes(3, false);
    world.heard(&["570 back d1 d3 since 60 rebooted 0"]);
    assert_eq!(world.open, []);
}

#[test]
fn who_goes_again_before_the_return_is_told_is_among_the_missing() {
    let mut world = World::new(2);
    world.leaves(0, false);
    world.leaves(1, false);
    world.pass(100);
    world.comes(0, false);
    world.comes(1, false);
    world.heard(&["60 lost d0 d1 of 2 since 0", "100 back d0 d1 since 0 rebooted 0"]);
    world.leaves(0, false);
    world.leaves(1, false);
    world.pass(100);
    world.comes(0, false);
    world.pass(10);
    world.leaves(0, false);
    world.pass(400);
    world.comes(1, false);
    world.pass(400);
    world.heard(&["160 lost d0 d1 of 2 since 100", "910 back d1 since 100 missing d0 rebooted 0"]);
}

#[test]
fn a_device_that_said_bye_has_five_minutes_more() {
    let mut world = World::new(2);
    world.leaves(0, true);
    world.pass(200);
    world.comes(0, true);
    world.heard(&[]);
    world.pass(10);
    world.leaves(0, true);
    world.pass(600);
    world.comes(0, true);
    world.heard(&["570 lost d0 of 2 since 210 bye", "810 back d0 since 210 rebooted 0 bye"]);
}

#[test]
fn a_laptop_with_patience_is_not_lost_with_the_others() {
    let mut world = World::new(3);
    world.devices[1].offline_after = Some(12 * HOUR);
    world.devices[2].offline_after = None;
    for device in 0..3 {
        world.leaves(device, false);
    }
    world.pass(11 * 3600);
    world.heard(&["60 lost d0 of 3 since 0"]);
    world.comes(0, false);
    world.told.clear();
    world.pass(2 * 3600);
    world.heard(&["43200 lost d1 of 3 since 0"]);
}

#[test]
fn devices_of_other_patience_that_fell_silent_together_are_one_incident() {
    let mut world = World::new(3);
    world.devices[1].offline_after = Some(10 * MINUTE);
    world.leaves(0, false);
    world.leaves(1, false);
    world.pass(601);
    world.heard(&["60 lost d0 of 3 since 0", "600 lost d1 of 3 since 0"]);
    assert_eq!(world.n_incidents, 1);
    world.comes(0, false);
    world.comes(1, false);
    world.heard(&["601 back d0 d1 since 0 rebooted 0"]);
}

#[test]
fn a_restarted_hub_does_not_call_everyone_lost() {
    let mut world = World::new(15);
    world.pass(60);
    for device in 0..5 {
        world.leaves(device, false);
    }
    world.pass(100);
    world.told.clear();
    // The hub was down for a day while five were away: nobody is connected when it starts.
    world.now = Timestamp(DAY);
    world.roll = LivenessTracker::new(world.now);
    world.devices.iter_mut().for_each(|d| d.is_connected = false);
    world.look();
    world.pass(30);
    for device in 5..14 {
        world.comes(device, false);
    }
    world.heard(&[]);
    world.pass(60);
    world.heard(&["86460 lost d14 of 15 since 158"]);
    for device in 0..5 {
        world.comes(device, true);
    }
    world.heard(&["86490 back d0 d1 d2 d3 d4 since 60 rebooted 5"]);
}

#[test]
fn a_hub_without_network_gives_everybody_their_time_anew() {
    let mut world = World::new(3);
    for device in 0..3 {
        world.leaves(device, false);
    }
    world.pass(59);
    world.roll.reset_timeouts(world.now);
    world.pass(30);
    (0..3).for_each(|device| world.comes(device, false));
    world.pass(600);
    world.heard(&[]);
}

#[test]
fn a_device_that_was_never_heard_is_not_judged() {
    let mut world = World::new(1);
    world.leaves(0, false);
    world.devices[0].heard_at = None;
    world.pass(600);
    world.heard(&[]);
    assert_eq!(world.roll.due_at(&world.devices, &world.open, world.now), None);
}

impl World {
    /// Device 0 goes for 100 s and comes for 100 s, again and again.
    fn flaps(&mut self, times: usize) {
        for _ in 0..times {
            self.leaves(0, false);
            self.pass(100);
            self.comes(0, false);
            self.pass(100);
        }
    }
}

#[test]
fn a_device_that_comes_and_goes_is_told_twice_then_with_its_count_and_when_it_is_calm() {
    let mut world = World::new(2);
    world.flaps(10);
    world.heard(&[
        "60 lost d0 of 2 since 0",
        "100 back d0 since 0 rebooted 0",
        "260 lost d0 of 2 since 200",
        "300 back d0 since 200 rebooted 0",
        "460 lost d0 of 2 since 400 times 3",
    ]);
    assert!(world.open[0].1.missing().next().is_none(), "it is here, and so are its tasks");
    world.pass(86_400);
    world.heard(&["88300 back d0 since 1800 rebooted 0 times 10"]);
    assert_eq!((world.n_incidents, world.open.len()), (3, 0));
    world.flaps(1);
    world.heard(&["88460 lost d0 of 2 since 88400", "88500 back d0 since 88400 rebooted 0"]);
}

#[test]
fn what_comes_and_goes_is_told_every_six_hours() {
    let mut world = World::new(2);
    world.flaps(3);
    world.told.clear();
    // 24 hours of it.
    world.flaps(24 * 18);
    world.heard(&[
        "22060 lost d0 of 2 since 22000 times 111",
        "43660 lost d0 of 2 since 43600 times 219",
        "65260 lost d0 of 2 since 65200 times 327",
        "86860 lost d0 of 2 since 86800 times 435",
    ]);
}

#[test]
fn what_comes_and_goes_and_stays_away_is_told_within_the_hour() {
    let mut world = World::new(2);
    world.flaps(5);
    world.told.clear();
    world.leaves(0, false);
    world.pass(20_000);
    world.heard(&["4660 lost d0 of 2 since 1000 times 6"]);
    // The hub starts anew: what is known of it stands in the absence.
    world.roll = LivenessTracker::new(world.now);
    world.comes(0, true);
    world.pass(86_500);
    world.heard(&["107400 back d0 since 1000 rebooted 1 times 6"]);
}

#[test]
fn a_forgotten_device_is_missed_no_more() {
    let mut world = World::new(2);
    world.leaves(0, false);
    world.pass(100);
    world.devices.remove(0);
    world.alive.remove(0);
    world.look();
    world.heard(&["60 lost d0 of 2 since 0"]);
    assert_eq!(world.open, []);
}

#[test]
fn a_silent_connection_is_lost_like_a_closed_one() {
    let mut world = World::new(3);
    world.pass(100);
    world.dies(2..3);
    world.pass(100);
    world.heard(&["154 lost d2 of 3 since 94"]);
    world.comes(2, false);
    world.heard(&["200 back d2 since 94 rebooted 0"]);
}

#[test]
fn a_connection_that_dies_before_its_return_is_told_is_missing_again() {
    let mut world = World::new(2);
    world.leaves(0, false);
    world.leaves(1, false);
    world.pass(60);
    world.comes(0, false);
    world.dies(0..1);
    world.pass(400);
    world.comes(1, false);
    world.pass(300);
    world.heard(&["60 lost d0 d1 of 2 since 0", "760 back d1 since 0 missing d0 rebooted 0"]);
}

#[test]
fn a_hub_that_stood_still_asks_before_it_judges() {
    let mut world = World::new(3);
    world.look();
    world.alive[2] = false;
    // Suspended for an hour, or its clock was set: all are due, and nobody was asked.
    world.now = Timestamp(60 * MINUTE);
    world.look();
    assert_eq!((world.pinged.len(), world.told.len()), (3, 0));
    let heard = world.now.plus(SECOND);
    world.devices[..2].iter_mut().for_each(|device| device.heard_at = Some(heard));
    for _ in 0..12 {
        world.now = world.now.plus(SECOND);
        world.look();
    }
    assert_eq!(world.told.len(), 1, "{:?}", world.told);
    assert!(world.told[0].contains("d2") && !world.told[0].contains("d1"), "{:?}", world.told);
}
