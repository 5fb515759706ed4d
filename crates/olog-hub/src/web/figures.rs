//! What `/metrics` shows: the figures of this process, each with its meaning.
//!
//! Every figure is a row of [`METRICS`], from which follow its help text and the page of the book; a test finds a figure without a row. A
//! counter is there from the start with 0, with each label value that a row lists: one that appears only with the first failure would hide
//! that failure from `increase()`, and an alert rule on it would name nothing. `deploy/` has the rules and a dashboard; a journey compares their names with this page.

use std::sync::OnceLock;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use olog_daemon::workers::{WorkerState, Workers};

/// A row: one figure of `/metrics`.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// The values of its one label, if they are known from the start.
    pub values: &'static [&'static str],
    /// What it means.
    pub doc: &'static str,
}

/// The kind of a figure, as Prometheus has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

const fn metric(name: &'static str, kind: MetricKind, doc: &'static str) -> Metric {
    Metric { name, kind, labels: &[], values: &[], doc }
}

const fn by_outcome(name: &'static str, values: &'static [&'static str], doc: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, labels: &["outcome"], values, doc }
}

/// Every figure, by name.
pub const METRICS: &[Metric] = &[
    by_outcome(
        "olog_alerts_total",
        &["ok", "refused", "failed"],
        "Alerts that were sent as to an Alertmanager (`/api/v2/alerts`), by their outcome.",
    ),
    by_outcome(
        "olog_attempts_total",
        &["accepted", "not_accepted"],
        "Calls of push services, by the service's answer.",
    ),
    by_outcome(
        "olog_batches_total",
        &["acked", "refused"],
        "Batches of events from agents: committed, or to be sent again.",
    ),
    metric(
        "olog_batches_unreadable_total",
        MetricKind::Counter,
        "Batches of events that wait because a stored row cannot be read.",
    ),
    metric("olog_commit_seconds", MetricKind::Histogram, "How long the store took to commit a batch of events."),
    metric(
        "olog_connections_refused_total",
        MetricKind::Counter,
        "Connections that were refused because too many were open.",
    ),
    Metric {
        name: "olog_duty_failing_seconds",
        kind: MetricKind::Gauge,
        labels: &["worker", "duty"],
        values: &[],
        doc: "For how long a duty of a worker has failed; 0: it does not fail.",
    },
    Metric {
        name: "olog_duty_set_aside_total",
        kind: MetricKind::Counter,
        labels: &["worker", "duty"],
        values: &[],
        doc: "Rows, events and messages that a duty could not use and has set aside.",
    },
    Metric {
        name: "olog_events_over_limit_total",
        kind: MetricKind::Counter,
        labels: &["limit"],
        values: &[
            "events_per_day",
            "bytes_per_day",
            "tasks",
            "open_incidents",
            "open_incidents_of_user",
            "notes_per_hour",
        ],
        doc: "Events that came beyond a limit of `[limits]`, by its key.",
    },
    metric("olog_events_total", MetricKind::Counter, "Events that were committed to the store."),
    metric("olog_joined_total", MetricKind::Counter, "Devices that joined."),
    metric("olog_legacy_sessions", MetricKind::Gauge, "Old clients (olog.py) that are connected."),
    by_outcome(
        "olog_pings_total",
        &["ok", "created", "refused", "not_found", "limited", "failed"],
        "Pings (`/ping/…`), by their answer.",
    ),
    metric("olog_sessions", MetricKind::Gauge, "Agents that are connected."),
    metric("olog_sessions_refused_total", MetricKind::Counter, "Sessions of agents and old clients that were refused."),
    metric(
        "olog_strangers_refused_total",
        MetricKind::Counter,
        "Unknown devices that were refused because too many ask to join.",
    ),
    Metric {
        name: "olog_unreadable_values_total",
        kind: MetricKind::Counter,
        labels: &["kind"],
        values: &[
            "notification",
            "task",
            "task_expectations",
            "suppressed",
            "absence",
            "alert",
            "device_days",
            "setting",
        ],
        doc: "Stored values that this version cannot read, by their kind.",
    },
    by_outcome("olog_watchdog_calls_total", &["accepted", "failed"], "Heartbeats to the external watchdog."),
    Metric {
        name: "olog_worker_stuck",
        kind: MetricKind::Gauge,
        labels: &["worker"],
        values: &[],
        doc: "1 while a worker makes no progress.",
    },
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
    for Metric { name, kind, labels, values, doc } in METRICS.iter().copied() {
        match (kind, labels) {
            (MetricKind::Counter, []) => counter!(name).increment(0),
            (MetricKind::Counter, [label]) => {
                for value in values {
                    counter!(name, *label => *value).increment(0);
                }
            }
            (MetricKind::Gauge, []) => gauge!(name).set(0.0),
            _ => {}
        }
        match kind {
            MetricKind::Counter => describe_counter!(name, doc),
            MetricKind::Gauge => describe_gauge!(name, doc),
            MetricKind::Histogram => describe_histogram!(name, doc),
        }
    }
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
