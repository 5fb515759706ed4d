//! Habits: what teaches one, when it is late, when it is none any more.

use super::*;

/// A task of which nothing is declared.
fn free() -> Life {
    life(None)
}

fn zone(mut life: Life, zone: Tz) -> Life {
    life.policy.zone = zone;
    life
}

impl Life {
    /// A `.log` is written anew at each of these instants; what is told meanwhile.
    fn runs(&mut self, at: impl IntoIterator<Item = Timestamp>) -> Vec<String> {
        let mut all = Vec::new();
        for at in at {
            all.extend(self.pass(at));
            all.extend(self.ran(at));
        }
        all
    }

    pub(super) fn proposal(&self) -> Option<Learnt> {
        match self.facts.proposal(&self.known(), &self.policy) {
            Some(ProposedSchedule::Learnt(learnt)) => Some(learnt),
            _ => None,
        }
    }

    /// A report shows it.
    fn propose(&mut self, now: Timestamp) {
        let known =
            TaskContext { plan: self.plan.as_ref(), is_alarm: self.is_alarm, seen_at: None, joined_at: self.joined_at };
        assert_eq!(self.facts.was_proposed(&known, &self.policy, now), []);
    }

    /// After enough runs to learn it, and a report.
    fn with_habit(mut self, runs: &[Timestamp]) -> Life {
        self.runs(runs.iter().copied());
        assert!(self.proposal().is_some(), "{:?}", self.facts);
        self.propose(*runs.last().unwrap());
        self
    }
}

fn every(period: i64, n: i64) -> Vec<Timestamp> {
    (0..n).map(|i| at(0, 2, 10).plus(i * period)).collect()
}

#[track_caller]
fn learnt(runs: &[Timestamp], expected: Option<Cadence>) {
    let mut life = free();
    life.runs(runs.iter().copied());
    assert_eq!(life.proposal().map(|learnt| learnt.cadence), expected);
}

#[test]
fn four_runs_over_a_day_and_three_periods_are_a_habit() {
    learnt(&every(3 * DAY, 3), None);
    learnt(&every(3 * DAY, 4), Some(Cadence::Every { period: 3 * DAY }));
    // What comes on workdays is even for five days, and no habit of every day.
    learnt(&every(DAY, 6), None);
    learnt(&every(DAY, 7), Some(Cadence::Daily { minute: 130, jitter: 0 }));
    learnt(&every(HOUR, 24), None);
    learnt(&every(HOUR, 25), Some(Cadence::Every { period: HOUR }));
    learnt(&every(5 * MINUTE, 288), None);
    learnt(&every(5 * MINUTE, 289), Some(Cadence::Every { period: 5 * MINUTE }));
    learnt(&every(7 * DAY, 4), Some(Cadence::Weekly { slots: vec![(6, 130)], jitter: 0 }));
    learnt(&every(10 * DAY, 4), Some(Cadence::Every { period: 10 * DAY }));
}

#[test]
fn gaps_within_a_fifth_are_one_habit_and_others_are_none() {
    let near = [0, 4, -3, 2, 0, 1, 0].into_iter().enumerate().map(|(day, minutes)| at(day as i64, 2, 10 + minutes));
    learnt(&near.collect::<Vec<_>>(), Some(Cadence::Daily { minute: 130, jitter: 4 }));
    learnt(&[at(0, 2, 0), at(3, 2, 0), at(6, 9, 0), at(9, 2, 0)], Some(Cadence::Every { period: 3 * DAY }));
    learnt(&[at(0, 2, 0), at(3, 2, 0), at(6, 14, 0), at(9, 2, 0)], None);
    learnt(&[at(0, 2, 0), at(3, 2, 0), at(7, 2, 0), at(10, 2, 0), at(13, 2, 0)], None);
    // Around midnight.
    let late = [-2, 3, 0, 1, 0, 2, 1].into_iter().enumerate().map(|(day, minutes)| at(day as i64 + 1, 0, minutes));
    learnt(&late.collect::<Vec<_>>(), Some(Cadence::Daily { minute: 1, jitter: 3 }));
}

#[test]
fn three_weeks_that_are_alike_are_a_habit() {
    // 2026-11-23 is a Monday.
    let workdays = |weeks: i64| (0..weeks * 7).filter(|day| day % 7 < 5).map(|day| at(day + 1, 2, 10 + day % 3));
    let slots = |minutes: [u32; 5]| Some((0..5).zip(minutes).collect::<Vec<_>>());
    let mut life = free();
    life.runs(workdays(3));
    let Some(Cadence::Weekly { slots: found, jitter }) = life.proposal().map(|learnt| learnt.cadence) else {
        panic!("{:?}", life.facts)
    };
    assert_eq!((Some(found), jitter <= 4), (slots([132, 130, 131, 132, 130]), true));
    life.propose(at(20, 0, 0));
    // The weekend is no silence; Monday is, after a quarter of a day.
    assert_eq!(life.pass(at(22, 8, 0)), NOTHING);
    assert_eq!(life.pass(at(22, 9, 0)), ["Lost 1"]);
    learnt(&workdays(2).collect::<Vec<_>>(), None);
    // Twice a week, with another hour each week: none.
    learnt(&(0..6).map(|i| at(1 + i / 2 * 7 + i % 2 * 3, 2 + i * 3, 0)).collect::<Vec<_>>(), None);
}

#[test]
fn summer_time_moves_no_habit() {
    use chrono_tz::Europe::Berlin;
    let local = |day: i64| {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 10, 12).unwrap() + chrono::Duration::days(day);
        let at = chrono::TimeZone::from_local_datetime(&Berlin, &day.and_hms_opt(2, 10, 0).unwrap());
        Timestamp(at.earliest().unwrap().timestamp_millis())
    };
    let mut life = zone(free(), Berlin);
    // Workdays over the end of summer time on 25 October.
    let told = life.runs((0..19).filter(|day| day % 7 < 5).map(local));
    assert_eq!(told, NOTHING);
    assert_eq!(
        life.proposal().map(|learnt| learnt.cadence),
        Some(Cadence::Weekly { slots: (0..5).map(|day| (day, 130)).collect(), jitter: 0 })
    );
    life.propose(local(18));
    assert_eq!(life.runs((21..40).filter(|day| day % 7 < 5).map(local)), NOTHING);
}

#[test]
fn an_open_log_that_grows_and_an_error_teach_nothing() {
    let mut life = free();
    for hour in 0..60 {
        let mut log = file(LogKind::Log);
        (log.change, log.closed) = (Growth::Grown, false);
        let now = at(0, hour, 0);
        let event = event(now, EventContent::Text { file: log, excerpt: Excerpt::of("x") });
        let known = TaskContext { plan: None, is_alarm: false, seen_at: None, joined_at: at(-10, 0, 0) };
        life.facts.observe(&event, now, now, &known, &life.policy);
        life.see(LogKind::Err, now, now);
        life.see(LogKind::Msg, now, now);
    }
    assert_eq!((life.proposal(), life.facts.n_runs()), (None, 0));
}

#[test]
fn a_log_that_is_appended_to_and_closed_after_a_pause_teaches() {
    let mut life = free();
    for hour in 0..26 {
        for second in [0, 5, 61] {
            let mut log = file(LogKind::Log);
            log.change = Growth::Grown;
            let now = at(0, hour, 0).plus(second * 1000);
            let event = event(now, EventContent::Text { file: log, excerpt: Excerpt::of("x") });
            let known = TaskContext { plan: None, is_alarm: false, seen_at: None, joined_at: at(-10, 0, 0) };
            life.facts.observe(&event, now, now, &known, &life.policy);
        }
    }
    assert_eq!(life.proposal().map(|learnt| learnt.cadence), Some(Cadence::Every { period: HOUR }));
}

#[test]
fn a_log_that_an_old_client_reports_teaches_by_its_daily_runs_and_not_by_growing_all_day() {
    let learnt = |every: i64, n: i64| {
        let mut life = free();
        for i in 0..n {
            let mut log = file(LogKind::Log);
            (log.change, log.path) = (Growth::Grown, String::new());
            let now = at(0, 2, 10).plus(i * every);
            let event = event(now, EventContent::Text { file: log, excerpt: Excerpt::of("x") });
            let known = TaskContext { plan: None, is_alarm: false, seen_at: None, joined_at: at(-10, 0, 0) };
            life.facts.observe(&event, now, now, &known, &life.policy);
        }
        life.proposal().is_some()
    };
    assert!(learnt(DAY, 8));
    assert!(!learnt(5 * MINUTE, 600));
}

#[test]
fn a_habit_is_watched_from_the_day_after_a_report_showed_it() {
    let mut life = free();
    life.runs(every(DAY, 7));
    assert_eq!((life.late_at(), life.facts.watched()), (None, None), "nobody was asked");
    life.propose(at(6, 11, 0));
    assert_eq!(life.proposal(), None, "it is proposed once");
    let (learnt, from) = life.facts.watched().unwrap();
    assert_eq!((learnt.n_runs, learnt.span, from), (7, 6 * DAY, at(7, 11, 0)));
    assert_eq!(life.late_at(), Some(at(7, 11, 0)), "due 02:10, late at 08:10, watched from 11:00");
    life.ran(at(7, 2, 10));
    assert_eq!(life.late_at(), Some(at(8, 8, 10)));
    assert_eq!(life.pass(at(8, 8, 10)), ["Lost 1"]);
    assert_eq!(life.ran(at(8, 9, 0)), ["ran"]);
}

#[test]
fn how_late_is_late_depends_on_the_period() {
    let late = |period: i64, n: i64| {
        let runs = every(period, n);
        let mut life = free().with_habit(&runs);
        let last = runs.last().unwrap().plus(2 * DAY / period * period);
        life.runs((1..=2 * DAY / period).map(|i| runs.last().unwrap().plus(i * period)));
        life.late_at().unwrap().since(last)
    };
    assert_eq!(late(2 * MINUTE, 721), 15 * MINUTE);
    assert_eq!(late(20 * MINUTE, 73), HOUR);
    assert_eq!(late(2 * HOUR, 13), 3 * HOUR);
    assert_eq!(late(12 * HOUR, 13), 15 * HOUR);
}

#[test]
fn a_refused_habit_is_not_proposed_again() {
    let mut life = free().with_habit(&every(DAY, 7));
    assert_eq!(told(&life.facts.expect(false, at(7, 0, 0))), NOTHING);
    life.runs((7..40).map(|day| at(day, 2, 10)));
    assert_eq!((life.proposal(), life.late_at()), (None, None));
    life.facts.expect(true, at(40, 0, 0));
    assert!(life.late_at().is_some());
}

#[test]
fn what_is_declared_is_not_learnt() {
    let mut life = scheduled("10 2 * * *", 30);
    life.runs(every(DAY, 10));
    assert_eq!(life.proposal(), None);
}

#[test]
fn one_run_by_hand_is_no_other_habit_and_four_are() {
    let mut life = free().with_habit(&every(DAY, 7));
    life.runs([at(7, 2, 10), at(7, 15, 0), at(8, 2, 10), at(9, 2, 10)]);
    assert!(life.facts.watched().is_some());
    // From now on each hour.
    life.runs((7..12).map(|hour| at(9, hour, 0)));
    assert_eq!((life.facts.watched(), life.late_at()), (None, None));
    life.runs((12..60).map(|hour| at(9, hour, 0)));
    assert_eq!(life.proposal().map(|learnt| learnt.cadence), Some(Cadence::Every { period: HOUR }));
}

#[test]
fn a_habit_that_is_missed_three_times_and_for_a_week_is_gone() {
    let mut daily = free().with_habit(&every(DAY, 7));
    let lost_at = at(7, 8, 10);
    assert_eq!(daily.pass(lost_at), ["Lost 1"]);
    let told = daily.pass(lost_at.plus(7 * DAY - 1));
    assert_eq!(told, (2..8).map(|n| format!("Remind {n}")).collect::<Vec<_>>());
    let mut stored: Facts = serde_json::from_str(&serde_json::to_string(&daily.facts).unwrap()).unwrap();
    let known = daily.known();
    let outcomes = stored.check(lost_at.plus(7 * DAY), &known, &daily.policy);
    assert!(
        matches!(outcomes.as_slice(), [ExpectationEffect::Update, ExpectationEffect::End { .. }]),
        "told in the report only: {outcomes:?}"
    );
    assert_eq!((stored.gone_at(), stored.late_at(&known, &daily.policy)), (Some(lost_at.plus(7 * DAY)), None));
    // A weekly one has to be missed thrice.
    let mut weekly = free().with_habit(&every(7 * DAY, 4));
    let lost_at = weekly.late_at().unwrap();
    weekly.pass(lost_at);
    assert_eq!(weekly.facts.gives_up_at(&weekly.known()), Some(lost_at.plus(14 * DAY)));
    // It comes back, and is learnt anew.
    daily.facts = stored;
    daily.ran(at(20, 2, 10));
    assert_eq!((daily.facts.gone_at(), daily.proposal()), (None, None));
    daily.runs((21..27).map(|day| at(day, 2, 10)));
    assert!(daily.proposal().is_some());
}

/// What a month of six kinds of tasks brings: nothing, for none of them stopped.
#[test]
fn a_month_of_every_kind_of_task_calls_nothing_lost() {
    let jitter = |i: i64, within: i64| (i * 7919 % (2 * within + 1)) - within;
    let kinds: [(&str, Vec<Timestamp>); 6] = [
        ("daily", (0..30).map(|i| at(i, 2, 10 + jitter(i, 8))).collect()),
        ("weekly", (0..5).map(|i| at(i * 7, 4, jitter(i, 20))).collect()),
        ("hourly", (0..720).map(|i| at(0, i, jitter(i, 3))).collect()),
        ("every five minutes", (0..8640).map(|i| at(0, 0, i * 5).plus(jitter(i, 20) * 1000)).collect()),
        ("irregular", (0..90).map(|i| at(0, i * 8, 0).plus(jitter(i * i, 239) * MINUTE)).collect()),
        ("bursts", (0..30).flat_map(|d| (0..3).map(move |i| at(d, 3 + d % 5 * 4, i * 2))).collect()),
    ];
    for (kind, runs) in kinds {
        let mut life = free();
        for (i, run) in runs.iter().enumerate() {
            assert_eq!(life.runs([*run]), NOTHING, "{kind} {run:?}");
            // A report each day.
            if i == 0 || run.0 / DAY != runs[i - 1].0 / DAY {
                life.propose(*run);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the period and a jitter of less than a tenth: it is learnt, never called lost while it goes on, and called lost
    /// in a bounded time when it stops.
    #[test]
    fn an_even_task_is_learnt_and_only_its_silence_is_lost(
        period in prop_oneof![2 * MINUTE..HOUR, HOUR..3 * DAY],
        jitters in proptest::collection::vec(-0.09_f64..0.09, 40),
    ) {
        // An uneven start costs up to nine gaps, until the mean of the gaps is known.
        let n = ((if period < DAY / 2 { DAY } else { 6 * DAY }) / period + 24) as usize;
        let mut life = free();
        let run = |i: usize| DAY0.plus(i as i64 * period + (jitters[i % jitters.len()] * period as f64) as i64);
        prop_assert_eq!(life.runs((0..n).map(run)), Vec::<String>::new());
        prop_assert!(life.proposal().is_some());
        life.propose(run(n - 1));
        let watched = n + (DAY / period) as usize + 30;
        prop_assert_eq!(life.runs((n..watched).map(run)), Vec::<String>::new());
        prop_assert!(life.facts.watched().is_some());
        let late = life.late_at().unwrap().since(run(watched - 1));
        prop_assert!(late >= period && late <= (4 * period).max(2 * HOUR), "{}", late);
        prop_assert_eq!(life.pass(run(watched - 1).plus(late)), vec!["Lost 1".to_owned()]);
    }

    /// Random runs teach nothing that is called lost at once, and no history makes the facts grow.
    #[test]
    fn facts_stay_small(gaps in proptest::collection::vec(1_i64..5_000_000, 1..300)) {
        let mut life = free();
        let mut now = DAY0;
        for gap in gaps {
            now = now.plus(gap);
            life.runs([now]);
            life.propose(now);
        }
        prop_assert!(serde_json::to_string(&life.facts).unwrap().len() < 2_000);
    }
}
