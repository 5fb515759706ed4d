//! What all tables of one reading share: the findings, the secrets, the rows that were asked for, and the effective configuration.

use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, rc::Rc};

use super::{Finding, keys::Key, node::Place};
use crate::secret::Secrets;

/// What all tables of one reading share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) shared: Rc<Shared>,
    /// The effective configuration: each finished table by its place, which begins with the places of those around it.
    pub(super) blocks: Rc<RefCell<BTreeMap<Vec<usize>, String>>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) findings: RefCell<Vec<Finding>>,
    pub(super) secrets: Secrets,
    /// The rows that were asked for.
    pub(super) asked: RefCell<Vec<Key>>,
    /// The keys that stand in files, with their places.
    pub(super) set: RefCell<Vec<(String, Place)>>,
}

/// Where a value comes from. What has none is a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The key with its table, like `tls.mode`.
    pub key: String,
    /// The file in which it stands.
    pub file: PathBuf,
    /// The line, if the file could be read as text.
    pub line: Option<usize>,
}

impl Context {
    pub(super) fn new(findings: Vec<Finding>, secrets: Secrets) -> Context {
        let shared =
            Shared { findings: RefCell::new(findings), secrets, asked: RefCell::default(), set: RefCell::default() };
        Context { shared: Rc::new(shared), blocks: Rc::default() }
    }

    pub(super) fn origins(&self) -> Vec<Origin> {
        let mut set = self.shared.set.borrow().clone();
        set.sort_by(|(_, a), (_, b)| (&a.file, a.at).cmp(&(&b.file, b.at)));
        let origin = |(key, place): (String, Place)| Origin {
            key,
            file: place.file.to_path_buf(),
            line: place.at.map(|(line, _)| line),
        };
        set.into_iter().map(origin).collect()
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        self.shared.findings.take()
    }

    /// For a file that is no part of the configuration, although its mistakes are.
    pub(super) fn of_another_file(&self) -> Context {
        Context { shared: self.shared.clone(), blocks: Rc::default() }
    }

    pub(super) fn report(&self, place: &Place, key: String, problem: String, nearest: Option<String>) {
        self.shared.findings.borrow_mut().push(Finding {
            file: place.file.to_path_buf(),
            place: place.at,
            key,
            problem,
            nearest,
        });
    }
}
