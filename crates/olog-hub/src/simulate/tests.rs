//! How Olog speaks: the shipped scenarios, as their readers get them. Read them before you accept a change.

use super::*;

const NOW: Timestamp = Timestamp(1_795_276_800_000);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packaging/hub/scenarios")
}

async fn transcript(name: &str, language: Language) -> String {
    let scenario = folder().join(name).with_extension("jsonl");
    let transcript =
        run(&SimulationRequest { scenario, config: None, language: Some(language), now: NOW }).await.unwrap();
    transcript.replace(&folder().display().to_string(), "")
}

/// A test, and so a snapshot, a scenario and language.
macro_rules! scenarios {
    ($($test:ident $name:literal),* $(,)?) => {
        $(mod $test {
            use super::*;

            #[tokio::test]
            async fn in_chinese() {
                insta::assert_snapshot!(concat!($name, ".zh-CN"), transcript($name, Language::ZhCn).await);
            }

            #[tokio::test]
            async fn in_english() {
                insta::assert_snapshot!(concat!($name, ".en"), transcript($name, Language::En).await);
            }
        })*

        const TOLD: &[&str] = &[$($name),*];
    };
}

scenarios!(
    a_site_loses_its_power "site-power-cut",
    a_disk_comes_and_goes "flapping-disk",
    a_job_fails_every_minute_for_a_day "failing-every-minute",
    a_program_shows_many_errors "noisy-stderr",
    the_budget_of_a_day_is_spent "full-wechat-budget",
    the_service_is_down_for_a_night "service-down-for-a-night",
    a_week_without_trouble "quiet-good-week",
    a_storm_over_many_devices "storm",
    a_power_cut_and_the_night_after "power-cut-and-the-night-after",
    a_switch_fails_and_the_night_after "switch-failure-and-the-night-after",
    long_names_and_long_spans "long-names-and-long-spans",
);

#[test]
fn every_shipped_scenario_is_told_here() {
    let files = std::fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let mut told = TOLD.to_vec();
    names.sort();
    told.sort_unstable();
    assert_eq!(names, told);
}

async fn refused(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("mine.jsonl");
    std::fs::write(&scenario, text).unwrap();
    let error = run(&SimulationRequest { scenario, config: None, language: None, now: NOW }).await.unwrap_err();
    error.to_string().replace(&folder.path().display().to_string(), "")
}

#[tokio::test]
async fn what_cannot_be_played_is_refused_with_its_place() {
    let wrong = refused(r#"{"at": "03:11", "device": "a", "flie": "x.err", "text": "y"}"#).await;
    assert_eq!(wrong, "/mine.jsonl:1: unknown key `flie`, nearest `file`");
    let config =
        refused("{\"config\": {\"langauge\": \"en\"}}\n{\"at\": \"1:00\", \"device\": \"a\", \"is\": \"away\"}").await;
    assert!(config.contains("unknown key `langauge`, nearest `language`"), "{config}");
    let unknown = SimulationRequest { scenario: "nope".into(), config: None, language: None, now: NOW };
    let unknown = run(&unknown).await.unwrap_err().to_string();
    assert!(unknown.starts_with("there is no scenario \"nope\"") && unknown.contains("flapping-disk, "), "{unknown}");
    let missing = SimulationRequest { scenario: "/none.jsonl".into(), config: None, language: None, now: NOW };
    assert!(run(&missing).await.unwrap_err().to_string().starts_with("/none.jsonl: No such file"));
}

#[tokio::test]
async fn a_late_message_of_what_comes_and_goes_says_that_it_has_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("mine.jsonl");
    let text = r#"{"config": {"language": "en", "timezone": "UTC", "report": {"at": ["23:00"]}, "channel": [{"name": "me", "type": "wxpusher", "token": "AT_me", "uids": ["UID_me"], "per_day": 10}]}}
        {"at": "06:00", "device": "nas", "file": "disk.err", "text": "sector {n}", "every": "90m", "times": 4}
        {"at": "06:20", "device": "nas", "file": "disk.err", "text": "", "every": "90m", "times": 4}
        {"at": "14:00", "end": true}"#;
    std::fs::write(&scenario, text).unwrap();
    let transcript = run(&SimulationRequest { scenario, config: None, language: None, now: NOW }).await.unwrap();
    let late = transcript.split("12:00:00 > me: ").nth(1).unwrap_or_default();
    assert!(late.contains("is flapping") && late.contains("It has recovered since, at 10:50."), "{transcript}");
}

#[tokio::test]
async fn what_a_device_keeps_while_it_is_away_comes_when_it_is_back_with_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("mine.jsonl");
    let text = r#"{"config": {"language": "en", "timezone": "UTC", "report": {"at": ["23:00"]}}}
        {"at": "01:00", "device": "nas", "is": "bye"}
        {"at": "01:02", "device": "nas", "file": "job.err", "text": "it broke"}
        {"at": "01:10", "device": "nas", "is": "back"}
        {"at": "02:00", "end": true}"#;
    std::fs::write(&scenario, text).unwrap();
    let transcript = run(&SimulationRequest { scenario, config: None, language: None, now: NOW }).await.unwrap();
    assert!(
        transcript.contains("01:10:00 > phone: ERR 1 BACK 1") && transcript.contains("job failed at 01:02:00."),
        "{transcript}"
    );
}

#[tokio::test]
async fn seven_files_of_one_user_leave_the_day_to_the_other_devices() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("mine.jsonl");
    let mut text = r#"{"config": {"language": "en", "timezone": "UTC", "report": {"at": ["23:00"]}, "channel": [{"name": "me", "type": "wxpusher", "token": "AT_me", "uids": ["UID_me"], "per_day": 10}]}}"#.to_owned();
    for n in 0..7 {
        let line = format!(
            "\n{{\"at\": \"06:00:{:02}\", \"device\": \"web\", \"file\": \"job{n}.err\", \"text\": \"failure {n}\"}}",
            2 * n
        );
        text.push_str(&line);
    }
    text.push_str("\n{\"at\": \"06:00:20\", \"device\": \"nas\", \"file\": \"raid.err\", \"text\": \"RAID degraded\"}");
    text.push_str("\n{\"at\": \"08:00\", \"end\": true}");
    std::fs::write(&scenario, &text).unwrap();
    let transcript = run(&SimulationRequest { scenario, config: None, language: None, now: NOW }).await.unwrap();
    let first = transcript.split("06:00:20 > me: ").nth(1).unwrap_or_default();
    assert!(first.contains("ERR nas/raid") && first.contains("of these notices waited"), "{transcript}");
    assert_eq!(transcript.matches(" > me: ").count(), 3, "{transcript}");
}
