//! How many folders of a log dir are watched, shared by their owners: one user with many folders must not blind the others.

use std::collections::HashMap;
use std::path::Path;

use super::{FOLDERS_MAX, Walk};
use crate::read::{self, LogPath};

/// An owner has at most this many times as many of them as are left for all.
const OWNER_SHARE: usize = 3;

/// [`FOLDERS_MAX`], shared: an owner may have at most [`OWNER_SHARE`] times as many folders as are left for all. So one user alone can have
/// three quarters of them, two together six sevenths, and there is always room for the folders of another.
pub(super) struct FolderQuota {
    of_owners: HashMap<u32, usize>,
    /// Whose log dir it is: bounded by the whole only, as root is.
    log_dir_owner: Option<u32>,
}

impl FolderQuota {
    pub(super) fn of(walk: &Walk) -> FolderQuota {
        let log_dir = read::open_folder(LogPath { log_dir: &walk.log_dir, path: Path::new("") });
        let found = log_dir.ok().and_then(|log_dir| rustix::fs::fstat(log_dir).ok());
        FolderQuota { of_owners: walk.watched.clone(), log_dir_owner: found.map(|found| found.st_uid) }
    }

    fn left(&self) -> usize {
        FOLDERS_MAX.saturating_sub(self.of_owners.values().sum())
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left() == 0
    }

    /// One more of this owner?
    pub(super) fn take(&mut self, owner: u32) -> bool {
        let left = self.left();
        let held = self.of_owners.entry(owner).or_default();
        let is_unshared = owner == 0 || self.log_dir_owner == Some(owner);
        let has_room = left > 0 && (is_unshared || *held < OWNER_SHARE * left);
        *held += usize::from(has_room);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(log_dir_owner: u32) -> FolderQuota {
        FolderQuota { of_owners: HashMap::new(), log_dir_owner: Some(log_dir_owner) }
    }

    #[test]
    fn one_user_with_many_folders_leaves_room_for_the_new_folders_of_others() {
        let mut quota = quota(0);
        let taken = (0..2 * FOLDERS_MAX).filter(|_| quota.take(1000)).count();
        assert_eq!(taken, 7_500);
        assert!(quota.take(1001) && quota.take(0), "another user's new folder is watched");
        let taken = (0..2 * FOLDERS_MAX).filter(|_| quota.take(1001)).count();
        assert!(taken > 1_800 && quota.take(1002), "{taken}: and a third one's");
    }

    #[test]
    fn whoever_owns_the_log_dir_may_have_all_its_folders() {
        let mut quota = quota(1000);
        assert_eq!((0..2 * FOLDERS_MAX).filter(|_| quota.take(1000)).count(), FOLDERS_MAX);
        assert!(quota.is_spent());
    }
}
