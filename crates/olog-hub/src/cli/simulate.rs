//! `simulate`: runs without a hub, so it has its own way through the command line.

use std::path::PathBuf;

use olog_daemon::{clock::Clock, service::Exit};
use olog_push::words::{LANGUAGES, Language};
use tokio::runtime::Builder;

use super::{complain, failed, print, refused};
use crate::simulate::{self, PlayError, SimulationRequest};

pub(super) fn simulate(scenario: Option<PathBuf>, language: Option<&str>, config: Option<PathBuf>) -> Exit {
    let known = |name: &str| LANGUAGES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, l)| *l);
    let language: Option<Language> = match language.map(|name| known(name).ok_or(name)) {
        None => None,
        Some(Ok(language)) => Some(language),
        Some(Err(name)) => {
            let names: Vec<&str> = LANGUAGES.iter().map(|(name, _)| *name).collect();
            let problem = format!("expected {}, found {name:?}", names.join(" or "));
            complain(&format!("olog-hub: --language: {}", Language::of_terminal().phrase(&problem)));
            return Exit::Usage;
        }
    };
    let Some(scenario) = scenario else { return list(language) };
    let spoken = language.unwrap_or_else(Language::of_terminal);
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, spoken),
    };
    let request = SimulationRequest { scenario, config, language, now: Clock::system().now() };
    match runtime.block_on(simulate::run(&request)) {
        Ok(story) => print(&story),
        Err(PlayError::Config(invalid)) => refused(&invalid, spoken),
        Err(error) => {
            let exit = failed(&error, spoken);
            // A bare name that is no scenario: which there are.
            if matches!(error, PlayError::File { .. }) && request.scenario.components().count() == 1 {
                let (_, all) = simulate::list(language.unwrap_or(Language::En).as_str());
                let names: Vec<&str> = all.iter().map(|listed| listed.name.as_str()).collect();
                complain(&spoken.sentence("Bundled scenarios: {1}", &[&names.join(", ")]));
            }
            exit
        }
    }
}

fn list(language: Option<Language>) -> Exit {
    let spoken = language.unwrap_or_else(Language::of_terminal);
    let (folder, all) = simulate::list(spoken.as_str());
    let path = folder.display().to_string();
    if all.is_empty() {
        complain(&format!("olog-hub: {}", spoken.sentence("there are no scenarios in {1}; name a file", &[&path])));
        return Exit::Failed;
    }
    let width = all.iter().map(|listed| listed.name.chars().count()).max().unwrap_or(0);
    let lines: String = all.iter().map(|listed| format!("{:width$}  {}\n", listed.name, listed.about)).collect();
    complain(&spoken.sentence("Run one with: olog-hub simulate NAME. Scenarios are in {1}.", &[&path]));
    print(&lines)
}
