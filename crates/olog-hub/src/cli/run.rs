//! `run` and `check`: the two verbs that work on files.

use std::path::Path;

use olog_daemon::{clock::Clock, config::ConfigFiles, failure::chain, log, service, service::Exit, socket::Client};
use olog_push::words::Language;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

use super::{failed, import, language_of, print, refused, words::Context};
use crate::{
    admin::{crash_report, socket::Status},
    config::Config,
    hub::{self, Hub},
};

pub(super) fn run(source: ConfigFiles, log_format: Option<log::Format>) -> Exit {
    let config = match Config::load(&source) {
        Ok(config) => config,
        Err(invalid) => {
            let why = crash_report::mistakes(&source, &invalid);
            not_run(&Config::places(&source).state_dir, language_of(&source), &why);
            return refused(&invalid, language_of(&source));
        }
    };
    log::start(log_format);
    hub::settle_process();
    let (state_dir, language) = (config.boot.state_dir.clone(), config.live.language);
    let runtime = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, Language::of_terminal()),
    };
    for remark in config.remarks() {
        tracing::warn!("{remark}");
    }
    runtime.block_on(async {
        let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        let [Ok(mut term), Ok(mut int), Ok(mut hup)] = signals else {
            tracing::error!("cannot listen for signals");
            return Exit::Failed;
        };
        let mut hub = match Hub::start(config, Some(source), Clock::system()).await {
            Ok(hub) => hub,
            Err(error) => return ended(&state_dir, language, &error),
        };
        service::ready(None);
        let fatal = loop {
            tokio::select! {
                fatal = hub.failed() => break Some(fatal),
                _ = term.recv() => break None,
                _ = int.recv() => break None,
                _ = hup.recv() => hub.reload().ring(),
            }
        };
        service::stopping();
        match fatal {
            // No orderly stop: the next start says that there was none.
            Some(fatal) => ended(&state_dir, language, &fatal),
            None if hub.stop().await => Exit::Ok,
            None => Exit::Failed,
        }
    })
}

fn ended(state_dir: &Path, language: Language, error: &dyn std::error::Error) -> Exit {
    let why = chain(error);
    tracing::error!("{why}");
    not_run(state_dir, language, &why);
    Exit::Failed
}

/// `run` ends: the cause is kept where the service manager and the next push find it.
fn not_run(state_dir: &Path, language: Language, why: &str) {
    crash_report::leave(state_dir, why);
    service::status(&language.sentence("not running: {1}", &[&language.phrase(why)]));
}

/// The effective configuration, as TOML; findings are comments in it. A running hub is asked what it knows better.
pub(super) fn check(runtime: &Runtime, source: &ConfigFiles) -> Exit {
    let config = match Config::load(source) {
        Ok(config) => config,
        Err(invalid) => return refused(&invalid, language_of(source)),
    };
    let language = language_of(source);
    let remark = |words: &str| format!("# {}", language.phrase(words));
    let read: Vec<_> = source.files().unwrap_or_default().into_iter().filter(|file| file.exists()).collect();
    let mut lines = Vec::new();
    if read.is_empty() {
        lines.push(remark(&format!("{} is not there: these are the defaults", source.main().display())));
    }
    lines.extend(read.iter().map(|file| remark(&format!("from {}", file.display()))));
    lines.push(config.effective.clone());
    if let Err(error) = std::fs::read_dir(&config.boot.state_dir) {
        lines.push(remark(&format!("state_dir {}: cannot be read: {error}", config.boot.state_dir.display())));
    }
    lines.extend(config.schedules(Clock::system().now()).iter().map(|words| remark(words)));
    lines.extend(config.remarks().iter().map(|words| remark(words)));
    lines.extend(import::still_running(&config).into_iter().map(|sentence| format!("# {sentence}")));
    let client = Client::new("olog-hub", config.boot.socket.clone());
    lines.extend(runtime.block_on(known_better(&client)).into_iter().map(|words| format!("# {words}")));
    print(&(lines.join("\n") + "\n"))
}

/// Names in the configuration that the running hub does not know. Nothing if it does not run.
async fn known_better(client: &Client) -> Vec<String> {
    let Ok(hub) = Context::of(client).await else { return Vec::new() };
    let Ok(status) = client.get::<Status>("/status").await else { return Vec::new() };
    status.remarks.iter().map(|remark| hub.remark(remark)).collect()
}
