//! Names that the user typed and that nothing has: the nearest one that exists, for a warning. Reads only.

use std::collections::BTreeSet;

use crate::rules::silence::Scope;
use crate::store::{StoreError, Tx, devices, tasks};

/// The least likeness (0 to 1) of a name that is offered.
const LIKENESS: f64 = 0.7;

/// A name that nothing has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// It was meant as a task's name, not a device's.
    pub is_task: bool,
    /// As typed.
    pub name: String,
    /// The nearest that exists.
    pub nearest: Option<String>,
}

/// Names of a silence that match nothing now. Patterns with `*` or `?` are meant for later names too and are not warned of.
pub fn unknown_in(tx: &mut Tx<'_>, scope: &Scope) -> Result<Vec<UnknownName>, StoreError> {
    let mut unknown = Vec::new();
    if is_literal(&scope.device) {
        unknown.extend(unknown_device(tx, &scope.device)?);
    }
    if let Some(task) = scope.task.as_deref().filter(|task| is_literal(task)) {
        let names: BTreeSet<String> = tasks::names(tx)?.into_iter().map(|(_, task)| task).collect();
        unknown.extend(unknown_among(true, task, &names));
    }
    Ok(unknown)
}

/// A device of that name has not joined: the nearest that has.
pub fn unknown_device(tx: &mut Tx<'_>, name: &str) -> Result<Option<UnknownName>, StoreError> {
    let names: BTreeSet<String> = devices::joined(tx)?.into_iter().map(|(name, _)| name).collect();
    Ok(unknown_among(false, name, &names))
}

fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?'])
}

fn unknown_among(is_task: bool, name: &str, names: &BTreeSet<String>) -> Option<UnknownName> {
    if names.contains(name) {
        return None;
    }
    let alike = |known: &&String| strsim::jaro_winkler(name, known);
    let nearest = names.iter().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|known| alike(known) >= LIKENESS);
    Some(UnknownName { is_task, name: name.to_owned(), nearest: nearest.cloned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slip_has_a_nearest_one_and_a_strange_name_has_none() {
        let names: BTreeSet<String> = ["comsrv", "nas", "backup"].map(str::to_owned).into();
        let table =
            [("comsvr", Some(Some("comsrv"))), ("Backup", Some(Some("backup"))), ("nope", Some(None)), ("nas", None)];
        for (name, expected) in table {
            let unknown = unknown_among(false, name, &names);
            let found = unknown.as_ref().map(|unknown| unknown.nearest.as_deref());
            assert_eq!(found, expected, "{name}");
        }
    }
}
