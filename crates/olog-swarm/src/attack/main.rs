//! `olog-attack` attacks a running hub and a running agent, as strangers, as a device that has joined, as a local user, as a hostile hub and
//! as a visitor of the pages, and says for each attack whether the defence held.
//!
//! `cargo xtask attack` builds the daemons and runs it. Everything happens on loopback: strangers come from many addresses of 127.0.0.0/8.
//! After each attack an honest agent reports an error, and the time until its push is part of the result. docs/security.md lists what each
//! attacker can and cannot do. An attack that cannot be tried here (it needs root) counts as not tried, never as held.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "an attacking program: what goes wrong in it is an attack that did not hold, and it reads the clock"
)]

mod arena;
mod device;
mod hostile_hub;
mod local_user;
mod sign_in;
mod strangers;
mod web;

use std::process::ExitCode;

use clap::Parser;
use futures_util::future::LocalBoxFuture;

use crate::arena::Arena;

/// What to attack, and how hard.
#[derive(Debug, Parser)]
pub(crate) struct AttackOptions {
    /// Only the attacks whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// New keys that ask to join
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Connections that strangers hold open
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Seconds for which an attack that floods goes on
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds within which an honest error has to be told after an attack
    #[arg(long, default_value_t = 2)]
    told_within: u64,
    /// Be a local user who holds connections to this socket and says nothing
    #[arg(long, hide = true)]
    hold: Option<std::path::PathBuf>,
}

/// How an attack ended.
pub(crate) enum Verdict {
    /// The defence held; what was measured.
    Held(String),
    /// It was not tried, and why.
    NotTried(String),
}

/// One line of the list.
pub(crate) struct Attack {
    /// Its name, as docs/security.md has it.
    name: &'static str,
    /// What the attacker does.
    what: &'static str,
    /// An error is a defence that did not hold.
    run: for<'a> fn(&'a Arena) -> LocalBoxFuture<'a, anyhow::Result<Verdict>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = AttackOptions::parse();
    if let Some(socket) = args.hold {
        return local_user::hold(&socket);
    }
    _ = rustls::crypto::ring::default_provider().install_default();
    let wanted = |attack: &Attack| args.only.is_empty() || args.only.iter().any(|only| attack.name.contains(only));
    let lists = [
        strangers::ATTACKS,
        web::ATTACKS,
        sign_in::ATTACKS,
        device::ATTACKS,
        local_user::ATTACKS,
        hostile_hub::ATTACKS,
    ];
    let attacks: Vec<&Attack> = lists.into_iter().flatten().filter(|attack| wanted(attack)).collect();
    let arena = Arena::open(&args).await;
    // A panic of an attack is a line of the list.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut broken, mut untried) = (0, 0);
    for attack in &attacks {
        let (word, text) = match arena.attacked(attack).await {
            Ok(Verdict::Held(measured)) => ("held", measured),
            Ok(Verdict::NotTried(why)) => {
                untried += 1;
                ("not tried", why)
            }
            Err(why) => {
                broken += 1;
                ("BROKEN", format!("{why:#}"))
            }
        };
        println!("{word:<9} {:<28} {}\n{:39}{text}", attack.name, attack.what, "");
    }
    println!(
        "{} attacks: {} held, {untried} not tried, {broken} broken",
        attacks.len(),
        attacks.len() - untried - broken
    );
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
