use super::*;

const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("planted: {0:?}")]
struct Planted(Consequence);

impl Failure for Planted {
    fn consequence(&self) -> Consequence {
        self.0
    }
}

const RETRY_ERROR: Result<u8, Planted> = Err(Planted(Consequence::Retry));
const SET_ASIDE: Result<u8, Planted> = Err(Planted(Consequence::SetAside));
const END: Result<u8, Planted> = Err(Planted(Consequence::End));

#[test]
fn a_worker_that_stops_moving_is_found_and_one_that_moves_again_is_healthy() {
    let workers = Workers::default();
    let (good, bad) = (workers.register("good", LIMIT), workers.register("bad", LIMIT));
    let mut now = Instant::now();
    assert!(workers.stuck(now).is_empty());
    for _ in 0..11 {
        now += LOOK;
        good.beat();
        assert!(workers.stuck(now).is_empty());
    }
    now += LOOK;
    good.beat();
    assert_eq!(workers.stuck(now), ["bad"]);
    let states: Vec<_> = workers.statuses(now).into_iter().map(|worker| worker.state).collect();
    assert_eq!(states, [WorkerState::Working, WorkerState::Stuck]);
    bad.beat();
    assert!(workers.stuck(now).is_empty());
}

#[test]
fn a_worker_without_work_is_never_stuck_and_one_that_is_gone_is_not_looked_at() {
    let workers = Workers::default();
    let (idle, gone) = (workers.register("idle", LIMIT), workers.register("gone", LIMIT));
    idle.beat();
    idle.idle();
    drop(gone);
    let mut now = Instant::now();
    for _ in 0..100 {
        now += LOOK;
        assert!(workers.stuck(now).is_empty());
    }
    assert_eq!(workers.statuses(now).len(), 1);
}

#[test]
fn a_process_that_was_stopped_as_a_whole_is_not_stuck_when_it_goes_on() {
    let workers = Workers::default();
    let one = workers.register("one", LIMIT);
    let mut now = Instant::now();
    workers.stuck(now);
    now += 100 * LIMIT;
    assert!(workers.stuck(now).is_empty());
    one.beat();
    assert!(workers.stuck(now + LOOK).is_empty());
}

#[test]
fn a_round_and_an_item_follow_the_policy() {
    let duty = Workers::default().register("w", LIMIT).duty("d");
    let now = Timestamp(0);
    assert_eq!(duty.round(Ok::<u8, Planted>(1), now), Ok(Some(1)));
    assert_eq!(duty.round(RETRY_ERROR, now), Ok(None));
    assert_eq!(duty.round(SET_ASIDE, now), Ok(None));
    assert_eq!(duty.round(END, now), Err(Planted(Consequence::End)));
    assert_eq!(duty.item(Ok::<u8, Planted>(1), &"row 1", now), ItemResult::Done(1));
    assert_eq!(duty.item(RETRY_ERROR, &"row 2", now), ItemResult::Retry(Planted(Consequence::Retry)));
    assert_eq!(duty.item(SET_ASIDE, &"row 3", now), ItemResult::SetAside(Planted(Consequence::SetAside)));
    assert_eq!(duty.item(END, &"row 4", now), ItemResult::End(Planted(Consequence::End)));
}

#[test]
fn a_bad_item_is_counted_and_is_no_failure_of_its_duty() {
    let duty = Workers::default().register("outbox", LIMIT).duty("send");
    assert!(matches!(duty.item(SET_ASIDE, &"row 7", Timestamp(1)), ItemResult::SetAside(_)));
    let status = duty.status(Instant::now());
    assert_eq!((status.n_set_aside, status.n_failures, status.failing_for()), (1, 0, None));
    assert_eq!(status.last_set_aside.unwrap(), "row 7: planted: SetAside");
}

#[test]
fn a_duty_that_fails_for_ten_minutes_is_an_incident_and_stops_the_beat() {
    let workers = Workers::default();
    let worker = workers.register("watchman", LIMIT);
    let (bad, full, good) = (worker.duty("reminders"), worker.duty("devices"), worker.duty("silences"));
    worker.idle();
    let started = Instant::now();
    bad.failed("unreadable row: 7", Consequence::SetAside, Timestamp(100), started);
    full.failed("the disk is full", Consequence::Retry, Timestamp(100), started);
    good.succeeded(Timestamp(100));
    let almost = started + INCIDENT_AFTER - Duration::from_secs(1);
    assert!(workers.failing(almost).is_empty() && workers.stopping_the_beat(almost).is_empty());
    // A later failure of the same duty does not begin the time anew.
    bad.failed("unreadable row: 8", Consequence::SetAside, Timestamp(500), almost);
    let then = started + INCIDENT_AFTER;
    let names: Vec<_> = workers.failing(then).into_iter().map(|duty| duty.name).collect();
    assert_eq!(names, ["reminders", "devices"]);
    assert_eq!(workers.stopping_the_beat(then), ["watchman: reminders (unreadable row: 8)"], "no restart frees a disk");
    bad.succeeded(Timestamp(600));
    full.succeeded(Timestamp(600));
    assert!(workers.failing(then + INCIDENT_AFTER).is_empty());
}

#[test]
fn the_status_says_what_fails_since_when_and_how_often() {
    let workers = Workers::default();
    let worker = workers.register("ingest", LIMIT);
    worker.idle();
    let duty = worker.duty("commit");
    let now = Instant::now();
    duty.succeeded(Timestamp(50));
    for _ in 0..3 {
        duty.failed("busy", Consequence::Retry, Timestamp(100), now);
    }
    let shown = serde_json::to_value(workers.statuses(now + Duration::from_secs(2))).unwrap();
    let expected = serde_json::json!([{ "name": "ingest", "state": "idle", "duties": [{
        "name": "commit", "succeeded_at": 50, "failing_since_at": 100, "failing_for_ms": 2000, "n_failures": 3,
        "error": "busy", "consequence": "retry", "n_set_aside": 0, "last_set_aside": null,
    }] }]);
    assert_eq!(shown, expected);
}

#[test]
fn the_wait_before_the_next_try_doubles_up_to_a_minute() {
    let duty = Duty::default();
    assert_eq!(duty.retry_after(), RETRY.0);
    let mut waits = Vec::new();
    for _ in 0..40 {
        duty.failed("busy", Consequence::Retry, Timestamp(0), Instant::now());
        waits.push(duty.retry_after().as_secs());
    }
    assert_eq!(waits.get(..7).unwrap(), [1, 2, 4, 8, 16, 32, 60]);
    assert!(waits.iter().skip(7).all(|wait| *wait == 60));
    duty.succeeded(Timestamp(0));
    assert_eq!(duty.retry_after(), RETRY.0);
}
