//! The verbs of users, API tokens and the audit log. They need no password: whoever may use the socket may do everything, so an owner who has
//! lost the password or the second factor comes in here.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    routing::{get, post},
};
use olog_daemon::socket::Peer;
use serde::{Deserialize, Serialize};

use super::{Answer, Verbs, VerbsState, Who, audited::user};
use crate::{
    access::{AddUser, CreateToken},
    store::access::{audit::AuditRow, tokens::Token, users::User},
};

/// The answer to `token create`.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreatedToken {
    /// The token's text, which nobody sees again.
    pub token: String,
}

/// The answer to `user logout`.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndedSessions {
    /// How many ended.
    pub sessions: u64,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new()
        .route("/users", get(users))
        .route("/user/add", post(add))
        .route("/user/password", post(password))
        .route("/user/remove", post(remove))
        .route("/user/totp/off", post(totp_off))
        .route("/user/logout", post(logout))
        .route("/tokens", get(tokens))
        .route("/token/create", post(create))
        .route("/token/revoke", post(revoke))
        .route("/audit", get(audit))
}

async fn users(State(verbs): VerbsState) -> Answer<Vec<User>> {
    Ok(Json(verbs.access.users().await?))
}

async fn add(State(verbs): VerbsState, Json(request): Json<AddUser>) -> Answer<()> {
    Ok(Json(verbs.access.add_user(&request).await?))
}

#[derive(Deserialize)]
struct NewPassword {
    name: String,
    password: String,
}

async fn password(State(verbs): VerbsState, Json(request): Json<NewPassword>) -> Answer<()> {
    Ok(Json(verbs.access.reset_password(&request.name, &request.password).await?))
}

async fn remove(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<()> {
    Ok(Json(verbs.access.remove_user(&request.who).await?))
}

async fn totp_off(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<()> {
    Ok(Json(verbs.access.reset_totp(&request.who).await?))
}

async fn logout(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<EndedSessions> {
    Ok(Json(EndedSessions { sessions: verbs.access.end_sessions(&request.who).await? }))
}

async fn tokens(State(verbs): VerbsState) -> Answer<Vec<Token>> {
    Ok(Json(verbs.access.tokens().await?))
}

async fn create(
    State(verbs): VerbsState,
    Extension(peer): Extension<Peer>,
    Json(request): Json<CreateToken>,
) -> Answer<CreatedToken> {
    let token = verbs.access.create_token(&request, &user(peer.uid), None).await?;
    Ok(Json(CreatedToken { token }))
}

async fn revoke(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<()> {
    Ok(Json(verbs.access.revoke_token(&request.who, None).await?))
}

#[derive(Deserialize)]
struct Page {
    before: Option<i64>,
    limit: u32,
}

async fn audit(State(verbs): VerbsState, Query(page): Query<Page>) -> Answer<Vec<AuditRow>> {
    Ok(Json(verbs.access.audit(page.before.unwrap_or(i64::MAX), page.limit).await?))
}
