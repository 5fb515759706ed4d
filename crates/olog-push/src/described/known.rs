//! The catalogue of channel types: types described by a file, built in or from `channels.d` next to the configuration, and the names
//! of the types that are code. A file in `channels.d` replaces the built-in described type of the same name. It cannot replace a
//! type that is code.

use std::collections::BTreeMap;
use std::sync::Arc;

use olog_daemon::config::{Table, read_text};

use super::call;
use super::description::ChannelTypeDef;

/// The types that are code, as `type` names them: no file may take such a name.
pub(crate) const IN_CODE: [&str; 3] = ["wxpusher", "mail", "exec"];

/// The folder beside the configuration.
const FOLDER: &str = "channels.d";

macro_rules! built_in {
    ($($name:literal)*) => {
        /// By name, with their files.
        const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../channels/", $name, ".toml")))),*];
    };
}

built_in! {
    "bark" "dingtalk" "discord" "feishu" "gotify" "ntfy" "pushplus" "serverchan" "slack" "telegram" "webhook" "wecom"
}

/// The described types that a configuration may name.
#[derive(Debug, Default)]
pub struct ChannelCatalog {
    /// `None`: its file is wrong, and that has been reported.
    beside: BTreeMap<String, Option<Arc<ChannelTypeDef>>>,
}

impl ChannelCatalog {
    /// Those that are built in.
    pub fn built_in() -> ChannelCatalog {
        ChannelCatalog::default()
    }

    /// With those of `channels.d` beside the main file, whose root table this is. A file there with the name of a built-in type
    /// takes its place. What is wrong in one is a mistake of the configuration.
    pub fn read(root: &Table) -> ChannelCatalog {
        let mut known = ChannelCatalog::default();
        for (file, mut table) in root.beside(FOLDER) {
            let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            if !is_name || IN_CODE.contains(&name.as_str()) {
                table.fault("the file", "the file's name is the type's: expected letters, digits, - and _, and no type that is built in as code");
                known.beside.insert(name, None);
                continue;
            }
            let description = ChannelTypeDef::parse(&name, &mut table, call::try_out).map(Arc::new);
            table.finish();
            known.beside.insert(name, description);
        }
        known
    }

    /// All names, in their order.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        names.extend(self.beside.keys().map(String::as_str));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The keys of all described types with what may stand there and whether they are required; for the reference.
    pub fn described_keys(&self) -> Vec<(String, String, &'static str, bool)> {
        let types = self.names().into_iter().filter_map(|name| self.get(name)?);
        types.flat_map(|of| of.keys.iter().map(|key| key.described(&of.name)).collect::<Vec<_>>()).collect()
    }

    /// `None`: there is none of that name. `Some(None)`: its file is wrong, and that has been reported.
    pub(crate) fn get(&self, name: &str) -> Option<Option<Arc<ChannelTypeDef>>> {
        if let Some(beside) = self.beside.get(name) {
            return Some(beside.clone());
        }
        let (_, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name)?;
        // A test reads every one of them.
        let read = read_text(name, text, |table| ChannelTypeDef::parse(name, table, call::try_out));
        Some(read.ok().flatten().map(Arc::new))
    }
}
