//! The verbs of packages: added, listed, removed; and the line of `join-link --install`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use olog_proto::JoinLink;
use serde::{Deserialize, Serialize};

use super::{Answer, Verbs, VerbsState};
use crate::{
    net::packages::{ARCHITECTURES, Offered, PACKAGE, PACKAGE_MAX, PackageError, install},
    web::Problem,
};

/// The request of `packages remove`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Removed {
    /// Of which architecture.
    pub architecture: String,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new()
        .route("/packages", get(list))
        .route("/packages/add", post(add))
        .route("/packages/remove", post(remove))
}

async fn list(State(verbs): VerbsState) -> Json<Vec<Offered>> {
    Json(verbs.packages.list().to_vec())
}

/// The body is the file. It is written to the disk as it comes, and its size is bounded there.
async fn add(State(verbs): VerbsState, body: Body) -> Answer<Offered> {
    let added = verbs.packages.add(body.into_data_stream()).await;
    added.map(Json).map_err(|error| refusal(&verbs, error))
}

async fn remove(State(verbs): VerbsState, Json(request): Json<Removed>) -> Answer<Offered> {
    let removed = verbs.packages.remove(&request.architecture).await.map_err(|error| refusal(&verbs, error))?;
    let none = || {
        let args = [("architecture", request.architecture.as_str().into())];
        verbs.refusal(StatusCode::NOT_FOUND, "cli-packages-none-of", &args)
    };
    removed.map(Json).ok_or_else(none)
}

fn refusal(verbs: &Verbs, error: PackageError) -> Problem {
    let bad = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        PackageError::NotADeb => verbs.refusal(bad, "cli-packages-no-deb", &[]),
        PackageError::CutOff => verbs.refusal(bad, "cli-packages-cut-off", &[]),
        PackageError::Control(why) => verbs.refusal(bad, "cli-packages-control", &[("why", why.as_str().into())]),
        PackageError::Other(package) => {
            let args = [("package", package.as_str().into()), ("expected", PACKAGE.into())];
            verbs.refusal(bad, "cli-packages-other", &args)
        }
        PackageError::Architecture { architecture } => {
            let known = ARCHITECTURES.join(", ");
            let args = [("architecture", architecture.as_str().into()), ("known", known.into())];
            verbs.refusal(bad, "cli-packages-architecture", &args)
        }
        PackageError::TooLarge => {
            let args = [("mib", PACKAGE_MAX.checked_shr(20).unwrap_or_default().to_string().into())];
            verbs.refusal(bad, "cli-packages-too-large", &args)
        }
        error @ (PackageError::Write { .. } | PackageError::Upload(_)) => {
            let words = olog_daemon::failure::chain(&error);
            tracing::error!(error = words, "a package was not stored");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, words)
        }
    }
}

/// The script that a machine gets; refused while there is no package.
pub(super) fn script(verbs: &Verbs) -> Result<String, Problem> {
    let offered = verbs.packages.list();
    if offered.is_empty() {
        return Err(verbs.refusal(StatusCode::CONFLICT, "cli-packages-none", &[]));
    }
    Ok(install::script(&offered, verbs.pin.as_deref(), &verbs.localizer()))
}

/// The line that runs it with this link.
pub(super) fn line(verbs: &Verbs, link: &JoinLink, script: &str) -> String {
    install::line(&link.base, &link.to_string(), script, verbs.pin.as_deref(), &verbs.localizer())
}
