//! A form that is too old, refusals as pages, and hostile names on the pages.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_form_whose_cookie_is_gone_is_answered_by_the_page_with_what_to_do_and_the_next_try_works() {
    let world = world("").await;
    world.add_user("alice", "act").await;
    for target in ["/signin", "/signin/code"] {
        let mut browser = TestBrowser::new();
        let old = browser.get(&world, target).await.form();
        browser.cookies.clear();
        let fields = [("form", old.as_str()), ("name", "alice"), ("password", PASSWORD)];
        let again = browser.post(&world, target, &fields).await;
        assert_eq!(again.status, 403, "{target}");
        assert!(again.head.contains("content-type: text/html") && again.body.contains("已超过一天"), "{}", again.body);
        assert_ne!(again.form(), old);
        assert_eq!(browser.cookie("olog"), None, "nobody is signed in by it");
        assert_eq!(browser.post(&world, "/signin", &[("form", &again.form()), fields[1], fields[2]]).await.status, 303);
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_every_refusal_as_a_page_in_its_language_and_a_program_as_a_problem() {
    let world = world("").await;
    let mut browser = TestBrowser::signed_in(&world, "read").await;
    browser.says += "accept: text/html,*/*;q=0.8\r\n";
    let old = browser.post(&world, "/signout/everywhere", &[("form", "of-yesterday")]).await;
    assert_eq!(old.status, 403, "{}", old.body);
    assert!(old.head.contains("content-type: text/html") && old.body.contains("请重新打开"), "{}", old.body);
    assert!(old.head.contains("content-security-policy: default-src 'none'"), "{}", old.head);
    browser.says += "accept-language: en\r\n";
    for (target, status, words) in
        [("/nothing", 404, "Not found"), ("/tokens", 403, "this needs the scope admin"), ("/incidents/9", 404, "")]
    {
        let page = browser.get(&world, target).await;
        assert_eq!(page.status, status, "{target}");
        assert!(page.head.contains("content-type: text/html") && page.body.contains(words), "{target}: {}", page.body);
    }
    let api = browser.get(&world, "/api/v1/incidents/9").await;
    assert!(api.status == 404 && api.head.contains("application/problem+json"), "{}", api.head);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_name_moves_a_page_or_becomes_markup_of_it() {
    let corpus: Vec<String> =
        serde_json::from_str(include_str!("../../../../../olog-proto/src/clean/hostile.json")).unwrap();
    let world = world("").await;
    world.add_user("alice", "admin").await;
    let mut browser = TestBrowser::new();
    browser.sign_in(&world, "alice", PASSWORD).await;
    for (i, hostile) in corpus.iter().enumerate() {
        // A token's name has no controls; the name of a failed sign-in may have any.
        let cleaned: String = hostile.chars().filter(|c| !c.is_control()).collect();
        for name in [hostile.clone(), format!("{i} {cleaned}")] {
            let request = json!({ "name": name, "scope": "read", "expires_at": null });
            drop(world.verbs.post::<Value>("/token/create", &request).await);
        }
        let mut stranger = TestBrowser::new();
        stranger.sign_in(&world, hostile, "wrong").await;
    }
    assert!(world.audit().await.len() > corpus.len());
    for target in ["/", "/account", "/tokens", "/audit"] {
        let page = browser.get(&world, target).await;
        assert_eq!(page.status, 200, "{target}");
        let body = without_our_script(&page.body);
        for bad in ["<script", "<img", "<svg", "<at", "<copy", "\u{1b}", "\u{202e}", "\u{2066}", "\0", "\u{9b}"] {
            assert!(!body.contains(bad), "{target}: {bad:?} in {}", page.body);
        }
    }
    assert!(world.hub.stop().await);
}

/// A page without the one script that an open page may run.
pub(super) fn without_our_script(page: &str) -> String {
    page.replacen(&format!("<script src=\"{}\" defer></script>", assets::script()), "", 1)
}
