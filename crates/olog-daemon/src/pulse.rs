//! A worker's sign of life: a counter that moves with each step of its work.
//!
//! A worker calls [`Pulse::beat`] at each step, and while it waits for something that it knows of (a full disk, a slow
//! service). A worker that sleeps until somebody wakes it calls [`Pulse::idle`] first. So neither a long piece of work nor
//! a long sleep is taken for a stall; a call that never returns is. Who looks at the counters is [`crate::workers`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// One worker's counter; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Beats>);

#[derive(Debug, Default)]
struct Beats {
    n: AtomicU64,
    is_idle: AtomicBool,
}

impl Pulse {
    /// One step done, or one more try of something that the worker waits for.
    pub fn beat(&self) {
        self.0.is_idle.store(false, Ordering::Relaxed);
        self.0.n.fetch_add(1, Ordering::Relaxed);
    }

    /// There is nothing to do until somebody wakes the worker.
    pub fn idle(&self) {
        self.0.is_idle.store(true, Ordering::Relaxed);
    }

    /// Is there nothing to do?
    pub fn is_idle(&self) -> bool {
        self.0.is_idle.load(Ordering::Relaxed)
    }

    /// How many beats there were.
    pub fn count(&self) -> u64 {
        self.0.n.load(Ordering::Relaxed)
    }
}
