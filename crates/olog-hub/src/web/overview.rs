//! `/`: the fleet at a glance. What is wrong comes first, with the error's own line; everything that is well takes one line.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse, Response};
use olog_push::notice::StateCounts;

use super::{
    Problem, Web,
    guard::{AccessRefused, Granted, Read, Visit},
    lines::{DeviceTile, IncidentLine},
    page::{self, HtmlPage},
};
use crate::{
    rules::state::State,
    store::{Tx, fleet, watch},
};

/// Open incidents that are shown.
const OPEN: u32 = 50;
/// Incidents of the last day that are over, as shown.
const OVER: u32 = 10;
/// Devices in trouble, and devices that are well, as shown.
const TILES: usize = 200;
const WELL: usize = 1_000;
const DAY_MS: i64 = 86_400_000;

#[derive(Template)]
#[template(path = "web/home.html")]
struct HomePage {
    page: HtmlPage,
    verdict: String,
    is_good: bool,
    devices: StateCounts,
    n_open: u64,
    n_pending: u64,
    open: Vec<IncidentLine>,
    bad: Vec<DeviceTile>,
    well: Vec<DeviceTile>,
    over: Vec<IncidentLine>,
}

impl HomePage {
    /// How many of these are not shown.
    fn left(&self, all: &u64, shown: usize) -> Option<String> {
        let left = all.saturating_sub(shown as u64);
        (left > 0).then(|| self.page.say.text("report-more", &[("n", left.into())]))
    }
}

pub(super) async fn home(web: &Arc<Web>, caller: Result<(Granted<Read>, Visit), AccessRefused>) -> Response {
    let (Granted { who, .. }, visit) = match caller {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    let mut page = HtmlPage::new(web, &visit, Some(&who), "web-overview");
    page.updates_by(web, &visit, "api/v1/stream", &[("kinds", "device,incident")]);
    let day_ago = page.say.now.plus(-DAY_MS);
    let read = move |tx: &mut Tx<'_>| {
        Ok((fleet::devices(tx)?, fleet::open(tx, OPEN)?, fleet::ended_since(tx, day_ago, OVER)?, watch::counts(tx)?))
    };
    let (devices, open, over, [_, n_pending, n_open]) = match web.store.read(read).await {
        Ok(found) => found,
        Err(error) => return Problem::from(error).into_response(),
    };
    let say = page.say;
    let counts = fleet::counts(&devices);
    let (bad, well): (Vec<_>, Vec<_>) = devices.iter().partition(|device| device.state != State::Ok);
    let tile = |device: &&fleet::FleetDevice| DeviceTile::new(&say, device, day_ago);
    let lines = |incidents: &[_]| incidents.iter().map(|incident| IncidentLine::new(&say, incident)).collect();
    let home = HomePage {
        verdict: match (n_open, counts.all()) {
            (0, 0) => say.word("page-no-devices"),
            (0, _) => say.word("page-all-ok"),
            (n, _) => say.text("page-to-do", &[("n", n.into())]),
        },
        is_good: n_open == 0,
        devices: counts,
        n_open,
        n_pending,
        open: lines(&open),
        bad: bad.iter().take(TILES).map(tile).collect(),
        well: well.iter().take(WELL).map(tile).collect(),
        over: lines(&over),
        page,
    };
    page::show_live(&home)
}
