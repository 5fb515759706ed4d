//! The words of one item before they are laid out, and the parts that every kind of item shares: whom it is about, its title, its
//! times. `one` and `missed` make them; `one` and `several` lay them out.

use olog_proto::Excerpt;

use super::catalogue::Localizer;
use super::cut;
use super::entry::MessageItem;
use crate::Notice;

/// The words of one item.
#[derive(Debug, Default)]
pub(super) struct RenderedItem<'a> {
    pub(super) title: String,
    /// Goes on after the title.
    pub(super) telling: String,
    /// What happened.
    pub(super) sentence: String,
    /// Names of devices, if there are several: a paragraph of their own in every form.
    pub(super) names: String,
    /// What follows from it, after the names.
    pub(super) then: String,
    /// The texts of its errors.
    pub(super) logs: Vec<&'a Excerpt>,
    pub(super) why: String,
    pub(super) facts: Vec<String>,
}

/// Who it is about: the task, else the device.
pub(super) fn subject(say: &Localizer, notice: &Notice) -> String {
    let own = || say.word("device-itself");
    notice.task.clone().or_else(|| notice.device.clone()).map_or_else(own, |name| cut::middle(&name, 60))
}

pub(super) fn title(say: &Localizer, entry: &MessageItem<'_>, device: Option<&str>, task: Option<&str>) -> String {
    cut::title(&say.word(entry.state()), device, task)
}

pub(super) fn event_times(say: &Localizer, notice: &Notice, now: &str) -> String {
    let at = say.time_exact(notice.at);
    // Of what is told in its own second one time says all.
    let key = if at == now { "event-now" } else { "event-times" };
    say.text(key, &[("at", at.into()), ("now", now.into())])
}
