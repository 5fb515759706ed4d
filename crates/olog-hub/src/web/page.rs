//! What the hub's own pages share: language, style, headers. No script at all, and nothing from anywhere else.

use std::sync::LazyLock;

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use olog_push::words::{Language, Localizer};
use sha2::{Digest as _, Sha256};

use super::{Web, guard::Visit};
use crate::{
    access::{By, Principal},
    rules::access::Scope,
};

/// The style of all pages.
const STYLE: &str = include_str!("../../templates/web/page.css");

/// What a browser may do with a page: apply its own style, and send its forms to this hub.
fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
    });
    &POLICY
}

/// What every page has around its content.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) say: Localizer,
    pub(super) lang: &'static str,
    pub(super) style: &'static str,
    pub(super) title: String,
    /// Who is signed in.
    pub(super) who: Option<String>,
    pub(super) is_admin: bool,
    /// What the page's forms repeat.
    pub(super) form: String,
}

impl Page {
    /// A page with this title, a key of the catalogue.
    pub(super) fn new(web: &Web, visit: &Visit, who: Option<&Principal>, title: &str) -> Page {
        let timezone = web.live.borrow().timezone;
        let say = Localizer { language: visit.language, timezone, now: web.desk.clock.now() };
        let form = match who.map(|who| &who.by) {
            Some(By::Session { form, .. }) => form.clone(),
            _ => visit.form.as_ref().map(|secret| secret.form()).unwrap_or_default(),
        };
        Page {
            lang: visit.language.as_str(),
            style: STYLE,
            title: say.word(title),
            who: who.map(|who| who.name.clone()),
            is_admin: who.is_some_and(|who| who.scope.allows(Scope::Admin)),
            form,
            say,
        }
    }

    /// A sentence.
    pub(super) fn t(&self, key: &str) -> String {
        self.say.word(key)
    }
}

/// The answer.
pub(super) fn show(status: StatusCode, template: &impl Template) -> Response {
    // A template that was compiled fails only where writing into a text does: never.
    let html = template.render().unwrap_or_default();
    let policy = HeaderValue::from_static(policy());
    (status, [(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

/// A page that says one thing, and where to go on.
#[derive(Template)]
#[template(path = "web/message.html")]
pub(super) struct Message {
    pub(super) page: Page,
    pub(super) words: String,
    pub(super) more: Vec<String>,
    pub(super) link: (&'static str, String),
}

/// The language that a browser likes best, of those that Olog speaks.
pub(super) fn language_of(accepted: &str, default: Language) -> Language {
    let of_one = |range: &str| {
        let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight: f32 = weight.trim().strip_prefix("q=")?.parse().ok()?;
        let tag = tag.trim().to_ascii_lowercase();
        let language = match tag.split('-').next()? {
            "zh" => Language::ZhCn,
            "en" => Language::En,
            _ => return None,
        };
        (weight > 0.0).then_some((weight, language))
    };
    let mut best: Option<(f32, Language)> = None;
    for (weight, language) in accepted.split(',').take(20).filter_map(of_one) {
        if best.is_none_or(|(best, _)| weight > best) {
            best = Some((weight, language));
        }
    }
    best.map_or(default, |(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_speaks_the_language_that_the_browser_likes_best() {
        for (accepted, language) in [
            ("", Language::ZhCn),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::En),
            ("zh-TW", Language::ZhCn),
            ("fr,de;q=0.9", Language::ZhCn),
            ("en;q=0.1,zh-CN;q=0.2", Language::ZhCn),
            ("en;q=0", Language::ZhCn),
            ("en;q=x, en", Language::En),
        ] {
            assert_eq!(language_of(accepted, Language::ZhCn), language, "{accepted}");
        }
    }

    #[test]
    fn every_sentence_of_the_pages_is_in_both_languages_and_every_key_of_a_page_is_one() {
        const EN: &str = include_str!("../../../olog-push/locales/web.en.ftl");
        const ZH: &str = include_str!("../../../olog-push/locales/web.zh-CN.ftl");
        let keys = |text: &'static str| -> std::collections::BTreeSet<&str> {
            text.lines()
                .filter_map(|line| line.split_once(" = "))
                .map(|(key, _)| key)
                .filter(|k| k.starts_with("web-"))
                .collect()
        };
        assert_eq!(keys(EN), keys(ZH));
        let pages = [
            include_str!("../../templates/web/account.html"),
            include_str!("../../templates/web/audit.html"),
            include_str!("../../templates/web/base.html"),
            include_str!("../../templates/web/code.html"),
            include_str!("../../templates/web/home.html"),
            include_str!("../../templates/web/setup.html"),
            include_str!("../../templates/web/signin.html"),
            include_str!("../../templates/web/tokens.html"),
            include_str!("account.rs"),
            include_str!("administration.rs"),
            include_str!("sign_in.rs"),
            include_str!("../access.rs"),
            include_str!("../rules/access.rs"),
        ]
        .concat();
        let used: std::collections::BTreeSet<&str> =
            pages.split('"').filter(|piece| piece.starts_with("web-")).collect();
        assert_eq!(used, keys(EN));
    }
}
