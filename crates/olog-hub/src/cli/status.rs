//! `status`, in sentences: first what needs attention, worst first, each with what to do; then how things are.

use olog_proto::name::escape;

use super::{
    incidents,
    words::{Context, VerbOutput, number, text},
};
use crate::{admin::socket::Status, web::rows::ChannelRow};

/// The whole answer.
pub(super) fn sentences(hub: &Context<'_>, status: &Status) -> VerbOutput {
    let to_do = to_do(hub, status);
    let connected = [number("connected", status.connected), number("devices", status.devices)];
    let mut out = match to_do.len() {
        0 => hub.t("status-good", &connected),
        n => hub.t("status-to-do", &[number("n", n)]),
    };
    out.push('\n');
    for (i, words) in to_do.iter().enumerate() {
        out.push_str(&format!("{}. {words}\n", i + 1));
    }
    if !to_do.is_empty() {
        out.push('\n');
    }
    for line in facts(hub, status) {
        out.push_str(&line);
        out.push('\n');
    }
    out.into()
}

/// What needs attention, worst first: the hub itself, then whether anybody would hear of anything, then what is wrong, then what
/// could be better.
fn to_do(hub: &Context<'_>, status: &Status) -> Vec<String> {
    let mut list = Vec::new();
    if !status.store_answers {
        list.push(hub.t("status-store", &[text("store", &status.store)]));
    }
    list.extend(status.configuration_refused.iter().map(|why| hub.t("status-refused", &[text("why", why)])));
    list.extend(status.failing.iter().map(|duty| {
        let since = duty.since_at.map_or_else(|| "-".to_owned(), |at| hub.time(at));
        let why = escape(duty.why.as_bytes());
        hub.t("status-worker", &[text("name", &duty.name), text("since", since), text("why", why)])
    }));
    if status.channels.is_empty() {
        list.push(hub.t("status-no-channel", &[]));
    }
    list.extend(status.channel_rows.iter().filter_map(|row| channel(hub, row)));
    if status.unacknowledged > 0 {
        let list_of_them = incidents::table(hub, &status.worst, false);
        let indented: String = list_of_them.lines().map(|line| format!("\n   {line}")).collect();
        let ids = status.worst.iter().map(|incident| incident.id.to_string()).collect::<Vec<_>>().join(" ");
        let args = [number("n", status.unacknowledged), text("ids", ids)];
        list.push(hub.t("status-incidents", &args) + &indented);
    }
    list.extend(status.limits.iter().map(|reached| {
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let args = [
            text("device", escape(reached.device.as_bytes())),
            text("limit", &reached.limit),
            number("max", count(reached.max)),
            number("n", count(reached.n_beyond)),
            text("last", hub.time(reached.last_at)),
        ];
        hub.t("status-limit", &args)
    }));
    if status.set_aside > 0 {
        list.push(hub.t("status-set-aside", &[number("n", usize::try_from(status.set_aside).unwrap_or(usize::MAX))]));
    }
    if status.pending > 0 {
        list.push(hub.t("status-pending", &[number("n", status.pending)]));
    }
    if status.devices == 0 && status.pending == 0 {
        list.push(hub.t("status-no-device", &[]));
    }
    list.extend(status.report_without_link.iter().map(|why| hub.t("status-no-link", &[text("why", why)])));
    list.extend(status.remarks.iter().map(|remark| {
        let nearest = remark.nearest.as_deref().unwrap_or_default();
        hub.t("status-declared", &[text("name", &remark.name), text("nearest", nearest)])
    }));
    list.extend(status.without_effect.iter().map(|table| hub.t("status-without-effect", &[text("table", table)])));
    list
}

fn channel(hub: &Context<'_>, row: &ChannelRow) -> Option<String> {
    let waiting = usize::try_from(row.waiting).unwrap_or(usize::MAX);
    let why = row.why.as_deref().map(|why| escape(why.as_bytes())).unwrap_or_default();
    let mut args = vec![text("name", &row.name), text("why", why), number("waiting", waiting)];
    let key = match row.state.as_str() {
        "paused" => "status-channel-paused",
        "failing" => "status-channel-failing",
        "gone" => "status-channel-gone",
        "budget" => {
            args.push(text("next", row.next_slot_at.map_or_else(|| "-".to_owned(), |at| hub.time(at))));
            "status-channel-budget"
        }
        _ if !row.refused.is_empty() => {
            args.push(text("receivers", hub.say.list(&row.refused)));
            "status-channel-refused"
        }
        _ => return None,
    };
    Some(hub.t(key, &args))
}

/// How things are, from the fleet to the program.
fn facts(hub: &Context<'_>, status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |key: &str, args: &[olog_push::words::Arg<'_>]| lines.push(hub.t(key, args));
    if status.devices > 0 {
        say("status-devices", &[number("connected", status.connected), number("devices", status.devices)]);
    }
    if status.legacy > 0 {
        say("status-legacy", &[number("n", status.legacy)]);
    }
    let n_away = status.devices.saturating_sub(status.connected);
    if n_away > 0 && !status.not_connected.is_empty() {
        let more = n_away.saturating_sub(status.not_connected.len());
        let names: Vec<String> = status.not_connected.iter().map(|name| escape(name.as_bytes())).collect();
        say("status-away", &[text("names", hub.say.list(&names)), number("more", more)]);
    }
    let acknowledged = status.open_incidents.saturating_sub(status.unacknowledged);
    say("status-open", &[number("n", status.open_incidents), number("acknowledged", acknowledged)]);
    let good = status.channel_rows.iter().filter(|row| row.state == "ok");
    let good: Vec<&str> = good.map(|row| row.name.as_str()).collect();
    if !good.is_empty() {
        say("status-channels", &[text("names", hub.say.list(&good))]);
    }
    if status.channels.len() == 1 {
        say("status-one-channel", &[text("name", status.channels.first().map_or("", String::as_str))]);
    }
    let time = |at: Option<olog_proto::Timestamp>| at.map_or_else(|| "-".to_owned(), |at| hub.say.day_time(at));
    let reports = [text("next", time(status.next_report_at)), text("last", time(status.last_report_at))];
    say(if status.last_report_at.is_some() { "status-reports" } else { "status-first-report" }, &reports);
    match &status.public_url {
        Some(url) => say("status-url", &[text("url", url), text("listen", &status.listen)]),
        None => say("status-no-url", &[text("listen", &status.listen)]),
    }
    say("status-program", &[text("version", &status.version), text("store", &status.store)]);
    lines
}
