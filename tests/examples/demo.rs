//! The show of `cargo xtask demo`.

fn main() {}
