//! What breaks a rule today and is known: a list that only becomes shorter.
//!
//! An entry names the rule, what breaks it (the word in brackets at the end of the finding), and why it is still so. Delete the entry in
//! the commit that mends it: an entry that nothing needs any more is itself a finding.

use std::path::Path;

use super::Finding;

/// The rule that the list itself can break.
pub(crate) const RULE: &str = "known";

/// A rule, what breaks it, and why it still does.
pub(crate) type Known = (&'static str, &'static str, &'static str);

pub(crate) const KNOWN: &[Known] = &[
    // Type names with two meanings.
];

/// Takes out what is known, and adds the entries of the list that nothing needs.
pub(crate) fn check(known: &[Known], found: &mut Vec<Finding>) {
    let is_known = |finding: &Finding, (rule, subject, _): &Known| finding.rule == *rule && finding.subject == *subject;
    let unneeded = known.iter().filter(|entry| !found.iter().any(|finding| is_known(finding, entry)));
    let unneeded: Vec<Finding> = unneeded
        .map(|(rule, subject, _)| {
            let what = format!("{subject} breaks no rule any more: delete its entry");
            Finding::about(RULE, Path::new("xtask/src/tidy/known.rs"), 1, &format!("{rule} {subject}"), what)
        })
        .collect();
    found.retain(|finding| !known.iter().any(|entry| is_known(finding, entry)));
    found.extend(unneeded);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_hides_its_own_finding_and_must_go_when_there_is_none() {
        let finding = |rule, subject: &str| Finding::about(rule, Path::new("a.rs"), 3, subject, "is wrong");
        let known: &[Known] = &[("type", "Told", "…"), ("cycle", "a", "…")];
        let mut found = vec![finding("type", "Told"), finding("type", "Line"), finding("name", "Told")];
        check(known, &mut found);
        let found: Vec<(&str, &str)> = found.iter().map(|one| (one.rule, one.subject.as_str())).collect();
        assert_eq!(found, [("type", "Line"), ("name", "Told"), ("known", "cycle a")]);
    }
}
