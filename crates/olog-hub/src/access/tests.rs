//! The room on a store of its own, with a clock that the test moves; on both databases.
