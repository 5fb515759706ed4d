//! `olog-agent`: the daemon on every device, and its verbs.

use std::process::ExitCode;

fn main() -> ExitCode {
    olog_agent::cli::main()
}
