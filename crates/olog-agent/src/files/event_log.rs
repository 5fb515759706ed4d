//! The log's line of each event that was just spooled: what it speaks of, never the text itself.

use olog_proto::{EventContent, LogKind};

/// Lines of one transaction; of a storm the rest is counted.
const LINES_MAX: usize = 20;

/// Says what was spooled, `last` being the number of the last of them. What comes every minute without news is for `debug`.
pub(super) fn log<'a>(events: impl ExactSizeIterator<Item = &'a EventContent>, last: u64) {
    let first = last.saturating_sub(events.len() as u64) + 1;
    let mut n_lines = 0;
    for (n, what) in (first..).zip(events) {
        let (task, suffix, path, says) = match what {
            EventContent::Text { file, .. } if file.history || file.suffix == LogKind::Log => {
                tracing::debug!(task = %file.task, suffix = %file.suffix, path = file.path, n, "new text");
                continue;
            }
            EventContent::Seen { file, times } => {
                tracing::debug!(task = %file.task, suffix = %file.suffix, path = file.path, n, times, "written again");
                continue;
            }
            EventContent::Text { file, .. } => (&file.task, file.suffix, &file.path, "new text"),
            EventContent::Cleared { task, suffix, path, deleted: true } => {
                (task, *suffix, path, "cleared: the file is gone")
            }
            EventContent::Cleared { task, suffix, path, deleted: false } => {
                (task, *suffix, path, "cleared: the file is empty")
            }
            _ => continue,
        };
        n_lines += 1;
        if n_lines <= LINES_MAX {
            tracing::info!(%task, %suffix, path, n, "{says}");
        }
    }
    if let Some(more @ 1..) = n_lines.checked_sub(LINES_MAX) {
        tracing::info!(more, last, "and {more} more at once");
    }
}
