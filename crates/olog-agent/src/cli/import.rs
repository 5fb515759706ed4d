//! `import`: prints what an old configuration becomes, or writes it; and what `check` says of the original on this machine.

use std::path::{Path, PathBuf};

use olog_daemon::{
    clock::Clock,
    config::{ConfigFiles, Draft, read_draft},
    original::{self, OldConfig, TOKEN_FILE, traces},
    service::Exit,
    socket,
};
use olog_push::words::{Arg, Localizer};

mod page;

use super::{complain, failed, print, refused, status::of_terminal};
use crate::config::{self, Config};

/// The arguments of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The configuration of the original program, olog.cfg.
    #[arg(value_name = "OLOG.CFG")]
    file: PathBuf,
    /// Write the configuration and the token's file; existing files are never overwritten.
    #[arg(long)]
    write: bool,
}

impl Import {
    pub(super) fn answer(&self, source: &ConfigFiles, config: &Config) -> Exit {
        let old = match OldConfig::read(&self.file) {
            Ok(old) => old,
            Err(error) => return failed(&error),
        };
        let say = of_terminal(Clock::system().now());
        let words = |key: &str, args: &[(&'static str, &str)]| text(&say, key, args);
        let folder = std::path::absolute(&self.file).ok();
        let folder = folder.as_deref().and_then(Path::parent).unwrap_or(Path::new("/"));
        let page = page::page(&old, &traces(Path::new("/")), (&self.file, folder), &words);
        let token = old.channel();
        let mut draft = Draft::default().file(original::file(source), Some(page.clone()));
        if let Some(token) = token {
            draft = draft.secret(TOKEN_FILE, token.clone());
        }
        let tried = read_draft(source, &draft, |root| config::parse(root, source.folder()));
        match tried {
            Err(invalid) if self.write => return refused(&invalid),
            Err(invalid) => complain(&invalid.to_string()),
            Ok(_) => {}
        }
        if !self.write {
            return print(&page);
        }
        let owner = socket::owner_of(&config.fixed.state_dir).ok();
        match original::put(source, "agent", &page, token, owner) {
            Ok(files) => {
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                print(&(words("import-written", &[("files", &files.join(", "))]) + "\n"))
            }
            Err(error) => failed(&error),
        }
    }
}

/// What of the original still runs here, a sentence each.
pub(super) fn still_running() -> Vec<String> {
    let say = of_terminal(Clock::system().now());
    traces(Path::new("/")).sentences(&|key, args| text(&say, key, args))
}

fn text(say: &Localizer, key: &str, args: &[(&'static str, &str)]) -> String {
    let args: Vec<Arg<'_>> = args.iter().map(|(name, value)| (*name, (*value).into())).collect();
    say.text(key, &args)
}
