//! `olog-hub`: the daemon that collects events and sends notifications, and its command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    olog_hub::cli::main().into()
}
