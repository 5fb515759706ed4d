//! What `/metrics` shows: the figures of this process, each with its meaning.
//!
//! Every counter is there from the start with 0. A counter that appears only with the first failure would hide that failure from
//! `increase()`, and an alert rule on it would name nothing. `deploy/` has the rules and a dashboard; a journey compares their names with this page.

use std::sync::OnceLock;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use olog_daemon::workers::{WorkerState, Workers};

/// Counters without labels, and what they count.
const COUNTERS: &[(&str, &str)] = &[
    ("olog_batches_unreadable_total", "Batches of events that wait because a stored row cannot be read."),
    ("olog_connections_refused_total", "Connections that were refused because too many were open."),
    ("olog_events_total", "Events that were committed to the store."),
    ("olog_joined_total", "Devices that joined."),
    ("olog_sessions_refused_total", "Sessions of agents that were refused."),
];
/// Counters by outcome.
const BY_OUTCOME: &[(&str, &[&str], &str)] = &[
    ("olog_attempts_total", &["accepted", "not_accepted"], "Calls of push services, by the service's answer."),
    ("olog_batches_total", &["acked", "refused"], "Batches of events from agents: committed, or to be sent again."),
    ("olog_watchdog_calls_total", &["accepted", "failed"], "Heartbeats to the external watchdog."),
];

/// The figures of this process.
pub fn figures() -> &'static PrometheusHandle {
    static FIGURES: OnceLock<PrometheusHandle> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let builder = PrometheusBuilder::new();
        let recorder = builder.set_buckets(&buckets).unwrap_or_else(|_| PrometheusBuilder::new()).build_recorder();
        let handle = recorder.handle();
        match metrics::set_global_recorder(recorder) {
            Ok(()) => describe(),
            Err(_) => tracing::warn!("another recorder of figures is in place: /metrics stays empty"),
        }
        handle
    })
}

fn describe() {
    for (name, meaning) in COUNTERS {
        describe_counter!(*name, *meaning);
        counter!(*name).increment(0);
    }
    for (name, outcomes, meaning) in BY_OUTCOME {
        describe_counter!(*name, *meaning);
        for outcome in *outcomes {
            counter!(*name, "outcome" => *outcome).increment(0);
        }
    }
    describe_gauge!("olog_sessions", "Agents that are connected.");
    gauge!("olog_sessions").set(0.0);
    describe_histogram!("olog_commit_seconds", "How long the store took to commit a batch of events.");
    describe_gauge!("olog_worker_stuck", "1 while a worker makes no progress.");
    describe_gauge!("olog_duty_failing_seconds", "For how long a duty of a worker has failed; 0: it does not fail.");
    describe_counter!(
        "olog_duty_set_aside_total",
        "Rows, events and messages that a duty could not use and has set aside."
    );
    describe_counter!("olog_unreadable_values_total", "Stored values that this version cannot read, by their kind.");
}

/// Brings the workers' figures up to date. Each duty: for how many seconds it fails, and how many items it has set aside; each worker: is it stuck?
pub(super) fn update(workers: &Workers) {
    for worker in workers.statuses(tokio::time::Instant::now()) {
        let is_stuck = worker.state == WorkerState::Stuck;
        gauge!("olog_worker_stuck", "worker" => worker.name).set(if is_stuck { 1.0 } else { 0.0 });
        for duty in worker.duties {
            let failing = duty.failing_for().map_or(0.0, |span| span.as_secs_f64());
            let labels = [("worker", duty.worker), ("duty", duty.name)];
            gauge!("olog_duty_failing_seconds", &labels).set(failing);
            counter!("olog_duty_set_aside_total", &labels).absolute(duty.n_set_aside);
        }
    }
}
