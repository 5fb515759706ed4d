//! Tests of the programs that are built for other machines: arm64 under qemu, and static ones where there is nothing but them.
//!
//! `cargo xtask test --only arm64` builds the programs and says in variables where they are. Each test is marked as ignored, so that it counts as
//! ignored, never as passed, where they cannot be built.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic here is a failed test")]

mod arm64;
mod names;
mod without_debian;

/// What a test was promised by `cargo xtask test --only arm64`.
#[track_caller]
fn given(variable: &str) -> std::path::PathBuf {
    std::env::var_os(variable).unwrap_or_else(|| panic!("cargo xtask test gives {variable}")).into()
}
