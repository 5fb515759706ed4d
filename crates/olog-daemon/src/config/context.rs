//! What all tables of one reading share: the findings, the secrets, the rows that were asked for, and the effective configuration.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

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
}

impl Context {
    pub(super) fn new(findings: Vec<Finding>, secrets: Secrets) -> Context {
        let shared = Shared { findings: RefCell::new(findings), secrets, asked: RefCell::default() };
        Context { shared: Rc::new(shared), blocks: Rc::default() }
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
