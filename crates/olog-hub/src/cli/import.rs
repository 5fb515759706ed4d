//! `import`: prints what an old configuration becomes, or writes it. Needs no running hub.

use std::path::{Path, PathBuf};

use olog_daemon::{
    clock::Clock,
    config::{ConfigFiles, Draft, read_draft},
    original::{self, OldConfig, TOKEN_FILE, traces},
    service::Exit,
};
use olog_push::words::{Arg, Localizer};

use super::{complain, failed, print, refused};
use crate::{admin::import, config::Config};

/// The arguments of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The configuration of the original program, olog.cfg.
    #[arg(value_name = "OLOG.CFG")]
    file: PathBuf,
    /// Write the configuration and the token's file; existing files are never overwritten.
    #[arg(long)]
    write: bool,
    /// Expect all devices and tasks of the old configuration: what does not come is LOST.
    #[arg(long)]
    declare: bool,
}

impl Import {
    pub(super) fn answer(&self, source: &ConfigFiles) -> Exit {
        // The channels are asked for, their secrets are not.
        let config = match Config::load(&source.clone().without_secrets()) {
            Ok(config) => config,
            Err(invalid) => return refused(&invalid, super::language_of(source)),
        };
        let language = super::language_of(source);
        let old = match OldConfig::read(&self.file) {
            Ok(old) => old,
            Err(error) => return failed(&error, language),
        };
        let live = &config.live;
        let words = |key: &str, args: &[(&'static str, &str)]| text(&config, key, args);
        let folder = std::path::absolute(&self.file).ok();
        let folder = folder.as_deref().and_then(Path::parent).unwrap_or(Path::new("/"));
        let imported = import::page(&old, &traces(Path::new("/")), live, (&self.file, folder), self.declare, &words);
        let mut draft = Draft::default().file(original::file(source), Some(imported.text.clone()));
        if let Some(token) = &imported.token {
            draft = draft.secret(TOKEN_FILE, token.clone());
        }
        let tried = read_draft(source, &draft, |table| Config::parse(table, source.folder()));
        if !self.write {
            if let Err(invalid) = tried {
                complain(&language.mistakes(&invalid));
            }
            return print(&imported.text);
        }
        if let Err(invalid) = tried {
            return refused(&invalid, language);
        }
        match import::put(source, &config.boot.state_dir, &imported) {
            Ok(files) => {
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                print(&(words("import-written", &[("files", &files.join(", "))]) + "\n"))
            }
            Err(error) => failed(&error, language),
        }
    }
}

/// What of the original still runs here, a sentence each.
pub(super) fn still_running(config: &Config) -> Vec<String> {
    traces(Path::new("/")).sentences(&|key, args| text(config, key, args))
}

fn text(config: &Config, key: &str, args: &[(&'static str, &str)]) -> String {
    let live = &config.live;
    let say = Localizer { language: live.language, timezone: live.timezone, now: Clock::system().now() };
    let args: Vec<Arg<'_>> = args.iter().map(|(name, value)| (*name, (*value).into())).collect();
    say.text(key, &args)
}
