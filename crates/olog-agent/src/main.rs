//! `olog-agent`: the daemon on every device, and its verbs. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    olog_agent::cli::main()
}
