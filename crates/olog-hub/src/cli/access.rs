//! The verbs of users and API tokens. A password comes from the terminal, unseen, or as a line from stdin: never from the command line, which
//! every user of the machine can read.

use std::time::Duration;

use clap::Subcommand;
use olog_daemon::{config::parse_span, socket::AskError};
use serde_json::json;

use super::{
    complain, show,
    words::{Context, VerbOutput, VerbResult, number, text},
};
use crate::{
    access::CreateToken,
    admin::{
        setup::ask_secret,
        socket::{CreatedToken, EndedSessions, Who},
    },
    rules::access::AccessScope,
};

#[derive(Debug, Subcommand)]
pub(super) enum UserVerb {
    /// Add a user; the password is asked for, or read from stdin.
    Add {
        /// The name.
        #[arg(value_name = "NAME")]
        new: String,
        /// What the user may do: "read", "act" (also acknowledge, close, silence) or "admin" (everything).
        #[arg(long, value_name = "SCOPE", default_value = "admin")]
        scope: AccessScope,
    },
    /// List the users.
    List {
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Set a new password, which is asked for or read from stdin; the user's sessions end.
    Password {
        /// The name of the user.
        #[arg(value_name = "NAME")]
        user: String,
    },
    /// Remove a user and end the user's sessions.
    Remove {
        /// The name of the user.
        #[arg(value_name = "NAME")]
        user: String,
    },
    /// Remove the second factor of a user who has lost it.
    Totp {
        /// The name of the user.
        #[arg(value_name = "NAME")]
        user: String,
        /// Remove it; it is added on the page of the account.
        #[arg(long, required = true)]
        off: bool,
    },
    /// End all sessions of a user.
    Logout {
        /// The name of the user.
        #[arg(value_name = "NAME")]
        user: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Create an API token and print it; it is not shown again.
    Create {
        /// What it is for.
        #[arg(value_name = "NAME")]
        new: String,
        /// What it may do: "read", "act" (also acknowledge, close, silence) or "admin" (everything).
        #[arg(long, value_name = "SCOPE")]
        scope: AccessScope,
        /// How long it is valid, e.g. "90d"; without it, until it is revoked.
        #[arg(long, value_name = "D", value_parser = span)]
        expires: Option<Duration>,
    },
    /// List the API tokens.
    List {
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Revoke an API token: it is rejected from now on.
    Revoke {
        /// The name of the token.
        #[arg(value_name = "NAME")]
        token: String,
    },
}

fn span(text: &str) -> Result<Duration, String> {
    match parse_span(text)? {
        span if span < Duration::from_secs(60) => Err("expected at least 1m".to_owned()),
        span => Ok(span),
    }
}

/// The password, or that there was none.
fn password(hub: &Context<'_>) -> Result<Option<String>, AskError> {
    let question = hub.t("cli-password", &[]);
    match ask_secret(hub.say, &question) {
        Ok(password) => Ok(password),
        Err(error) => {
            complain(&format!("olog-hub: {error}"));
            Ok(None)
        }
    }
}

fn no_password(hub: &Context<'_>) -> VerbOutput {
    VerbOutput { remarks: vec![hub.t("cli-no-password", &[])], is_failed: true, ..VerbOutput::default() }
}

pub(super) async fn user(hub: &Context<'_>, verb: UserVerb) -> VerbResult {
    let said = |key: &str, name: &str| Ok(VerbOutput::sentence(hub.t(key, &[text("name", name)])));
    let who = |user: &str| Who { who: user.to_owned() };
    match verb {
        UserVerb::List { json } => hub.list("/users", json, show::USERS).await,
        UserVerb::Add { new, scope } => {
            let Some(password) = password(hub)? else { return Ok(no_password(hub)) };
            let request = json!({ "name": new, "scope": scope, "password": password });
            hub.client.post::<()>("/user/add", &request).await?;
            said("cli-user-added", &new)
        }
        UserVerb::Password { user } => {
            let Some(password) = password(hub)? else { return Ok(no_password(hub)) };
            let request = json!({ "name": user, "password": password });
            hub.client.post::<()>("/user/password", &request).await?;
            said("cli-user-password", &user)
        }
        UserVerb::Remove { user } => {
            hub.client.post::<()>("/user/remove", &who(&user)).await?;
            said("cli-user-removed", &user)
        }
        UserVerb::Totp { user, .. } => {
            hub.client.post::<()>("/user/totp/off", &who(&user)).await?;
            said("cli-user-totp-off", &user)
        }
        UserVerb::Logout { user } => {
            let EndedSessions { sessions } = hub.client.post("/user/logout", &who(&user)).await?;
            let n = number("n", usize::try_from(sessions).unwrap_or(usize::MAX));
            Ok(VerbOutput::sentence(hub.t("cli-user-logged-out", &[text("name", &user), n])))
        }
    }
}

pub(super) async fn token(hub: &Context<'_>, verb: TokenVerb) -> VerbResult {
    match verb {
        TokenVerb::List { json } => hub.list("/tokens", json, show::TOKENS).await,
        TokenVerb::Create { new, scope, expires } => {
            let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
            let expires_at = expires.map(|span| hub.say.now.plus(ms(span)));
            let request = CreateToken { name: new.clone(), scope, expires_at };
            let CreatedToken { token } = hub.client.post("/token/create", &request).await?;
            // A script takes the last word.
            Ok(VerbOutput::sentence(hub.t("cli-token-created", &[text("name", new), text("token", token)])))
        }
        TokenVerb::Revoke { token } => {
            hub.client.post::<()>("/token/revoke", &Who { who: token.clone() }).await?;
            Ok(VerbOutput::sentence(hub.t("cli-token-revoked", &[text("name", token)])))
        }
    }
}
