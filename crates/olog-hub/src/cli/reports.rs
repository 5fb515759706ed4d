//! The verbs of reports. The page comes through the socket; this writes the file.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use rustix::fs::OFlags;

use super::{
    show,
    words::{Context, VerbOutput, VerbResult, text},
};
use crate::admin::{
    channel_test,
    socket::{Pushed, Shown},
};

#[derive(Debug, Subcommand)]
pub(super) enum ReportVerb {
    /// Print a report of the last 24 hours. The next daily report is not affected.
    Now {
        /// Store it and push it to every channel that accepts reports.
        #[arg(long)]
        push: bool,
        /// Write its HTML page to FILE ("-": stdout).
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// As JSON; times are milliseconds since 1970.
        #[arg(long, conflicts_with = "html")]
        json: bool,
    },
    /// List past reports.
    List {
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Print a past report.
    Show {
        /// Its number, as in the list.
        #[arg(value_parser = super::number)]
        id: u64,
        /// Write its HTML page to FILE ("-": stdout), as long as it is still stored.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// As JSON; times are milliseconds since 1970.
        #[arg(long, conflicts_with = "html")]
        json: bool,
    },
}

pub(super) async fn answer(hub: &Context<'_>, verb: ReportVerb) -> VerbResult {
    match verb {
        ReportVerb::List { json } => hub.list("/reports", json, show::REPORTS).await,
        ReportVerb::Now { push: false, html, json } => Ok(print(hub, hub.client.get("/report/now").await?, html, json)),
        ReportVerb::Now { push: true, html, json } => {
            let Pushed { shown, rows } = hub.client.post("/report/push", &()).await?;
            let mut answer = print(hub, shown, html, json);
            if rows.is_empty() {
                answer.remarks.push(hub.t("cli-report-no-channel", &[]));
                answer.is_failed = true;
            }
            for (channel, row) in rows {
                let sent = channel_test::wait(hub.client, row).await?;
                answer.is_failed |= !channel_test::is_accepted(&sent);
                let words = channel_test::words(&hub.say, &channel, &sent);
                answer.remarks.push(format!("{channel}: {}", words.trim_end()));
            }
            Ok(answer)
        }
        ReportVerb::Show { id, html, json } => {
            Ok(print(hub, hub.client.get(&format!("/report/{id}")).await?, html, json))
        }
    }
}

/// Replaces a file or makes one, and follows no link: root may write this into a folder that is not root's.
fn write_page(file: &Path, page: &str) -> io::Result<()> {
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let mut open = OpenOptions::new();
    let mut file = open.write(true).create(true).truncate(true).mode(0o600).custom_flags(no_link).open(file)?;
    file.write_all(page.as_bytes())
}

/// A report as text, as its page, or as JSON.
fn print(hub: &Context<'_>, shown: Shown, html: Option<PathBuf>, json: bool) -> VerbOutput {
    if json {
        return show::json(&serde_json::to_value(&shown.facts).unwrap_or_default()).into();
    }
    let Some(file) = html else { return shown.text.into() };
    let remark = match shown.page {
        None => hub.t("cli-report-page-gone", &[]),
        Some(page) if file.as_os_str() == "-" => return page.into(),
        Some(page) => match write_page(&file, &page) {
            Ok(()) => hub.t("cli-written", &[text("file", file.display())]),
            Err(error) => hub.t("cli-not-written", &[text("file", file.display()), text("why", error)]),
        },
    };
    VerbOutput { out: shown.text, remarks: vec![remark], is_failed: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_not_written_through_a_link_that_somebody_has_planted() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, page) = (folder.path().join("victim"), folder.path().join("report.html"));
        std::fs::write(&victim, "root's").unwrap();
        std::os::unix::fs::symlink(&victim, &page).unwrap();
        assert!(write_page(&page, "<p>").is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "root's");
        std::fs::remove_file(&page).unwrap();
        write_page(&page, "<p>").unwrap();
        write_page(&page, "<b>").unwrap();
        assert_eq!(std::fs::read_to_string(&page).unwrap(), "<b>", "a page of before is replaced");
    }
}
