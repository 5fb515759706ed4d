//! The packages of the agent over HTTP: `/packages` lists them, `/packages/NAME` is one, `/install` is the script that installs one.
//!
//! Anybody may ask: the programs are public, and none of these answers contains a secret. What is bounded is their cost: the number of downloads at the
//! same time, and how long one may take.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use olog_proto::JoinLink;
use olog_push::words::Localizer;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::{Problem, Web, pages};
use crate::net::packages::{
    Download, NoDownload, Offered,
    install::{self, PAGE_BASE, PAGE_LINK},
};

/// A download that takes longer is ended, so that a slow one does not hold its place for ever.
const DOWNLOAD_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Read from the disk at one time.
const CHUNK: usize = 64 * 1024;

/// The script for the packages that are offered now; `None`: none is.
fn script_of(web: &Web) -> Option<(String, Localizer)> {
    let offered = web.packages.list();
    let live = web.live.borrow().clone();
    // The script shows no time.
    let say = Localizer { language: live.language, timezone: live.timezone, now: olog_proto::Timestamp(0) };
    (!offered.is_empty()).then(|| (install::script(&offered, web.pin.as_deref(), &say), say))
}

/// The line that installs the agent and joins by this link; `None`: no package is offered.
pub(super) fn install_line(web: &Web, link: &JoinLink) -> Option<String> {
    let (script, say) = script_of(web)?;
    Some(install::line(&link.base, &link.to_string(), &script, web.pin.as_deref(), &say))
}

fn nothing_offered() -> Problem {
    let words = "this hub offers no package: `olog-hub packages add FILE`, with the agent's package";
    Problem::new(StatusCode::NOT_FOUND, words)
}

/// `/install`.
pub(super) async fn script(State(web): State<Arc<Web>>) -> Result<Response, Problem> {
    let (script, _) = script_of(&web).ok_or_else(nothing_offered)?;
    let text = HeaderValue::from_static("text/x-shellscript; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, text)], script).into_response())
}

/// `/join`, with the line that installs, if there is a package. The browser completes the line, because only it knows the link.
pub(super) async fn join_page(State(web): State<Arc<Web>>) -> Html<String> {
    let Some((script, say)) = script_of(&web) else { return Html(pages::JOIN.to_owned()) };
    let pin = web.pin.as_deref();
    let line = install::line(PAGE_BASE, PAGE_LINK, &script, pin, &say);
    let attributes = format!("<body data-line=\"{}\" data-pin=\"{}\">", attribute(&line), pin.unwrap_or_default());
    Html(pages::JOIN.replacen("<body>", &attributes, 1))
}

fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// `/packages`.
pub(super) async fn list(State(web): State<Arc<Web>>) -> Json<Vec<Offered>> {
    Json(web.packages.list().to_vec())
}

/// `/packages/NAME`.
pub(super) async fn download(
    State(web): State<Arc<Web>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "this hub does not offer that package; see /packages");
    let Path(name) = name.map_err(|_| unknown())?;
    let Download { offered, file, place } = match web.packages.download(&name).await {
        Ok(download) => download,
        Err(NoDownload::Unknown) => return Err(unknown()),
        Err(NoDownload::Busy) => {
            let words = "too many downloads at the same time: try again in a minute";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, words));
        }
    };
    let parts = ReaderStream::with_capacity(file.take(offered.size), CHUNK);
    let parts = parts.inspect(move |_| {
        // Held until the body is sent or dropped.
        let _place = &place;
    });
    let body = Body::from_stream(parts.take_until(tokio::time::sleep(DOWNLOAD_WITHIN)));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.debian.binary-package")),
        (header::CONTENT_LENGTH, HeaderValue::from(offered.size)),
    ];
    Ok((headers, body).into_response())
}

#[cfg(test)]
mod tests;
