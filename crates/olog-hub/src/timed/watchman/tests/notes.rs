//! What agents say of themselves, from the road of all events to the report.

use std::collections::BTreeMap;

use olog_proto::Note;

use super::month::Month;
use super::*;

fn note(code: &str, text: &str, over: bool) -> EventContent {
    let path = Some("/var/log/olog".to_owned());
    EventContent::Note(Note { code: code.to_owned(), path, text: text.to_owned(), over, once: false })
}

#[tokio::test]
async fn a_disk_that_fills_up_is_told_once_and_is_no_trouble_in_the_report_but_a_word_on_how_olog_is() {
    let mut month = Month::begin(BTreeMap::new()).await;
    let now = month.world.clock.now();
    let text = "the disk of /var/log/olog is 93 % full: 812 MiB left";
    for _ in 0..2 {
        month.said(now, 0, note("log_dir_full", text, false)).await;
    }
    month.said(now, 0, note("watch_limit", "no more inotify watches", false)).await;
    let (report, page) = month.reporter.preview().await.unwrap();
    let texts: Vec<&str> = report.facts.now.iter().map(|matter| matter.text.as_str()).collect();
    assert_eq!(texts, ["no more inotify watches"], "in the agent's own words, and without the disk");
    let [disk] = report.health.full_disks.as_slice() else { panic!("{:?}", report.health) };
    assert_eq!((disk.device.as_str(), disk.since, disk.text.as_str()), ("pi", now, text));
    assert!(page.contains(text), "{page}");
    month.said(now, 0, note("log_dir_full", text, true)).await;
    assert_eq!(month.reporter.preview().await.unwrap().0.health.full_disks, []);
    let told = month.end().await;
    assert_eq!(told.iter().filter(|told| told.contains("AgentNote")).count(), 3, "{told:?}");
}
