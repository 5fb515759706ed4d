//! `olog-hub`: the daemon in the middle, and its verbs.

use std::process::ExitCode;

fn main() -> ExitCode {
    olog_hub::cli::main().into()
}
