//! Who may come in over HTTP, and what was changed by whom: users, web sessions, known browsers, API tokens, the audit log.
//!
//! A secret (cookie, token, recovery code, set-up link) is known here by its SHA-256 only, and a password by its argon2id hash. What a
//! right may do is decided in `rules::access`.

pub mod audit;
pub mod ping_keys;
pub mod sessions;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod users;
