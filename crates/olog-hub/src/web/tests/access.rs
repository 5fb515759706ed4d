//! Requests of browsers and programs: who gets in, what they may do, and what a stranger, a thief and another site's page cannot.

mod forms;

use serde_json::{Value, json};

use super::*;
use crate::access::totp_code_at as code_at;

const PASSWORD: &str = "correct horse battery";
const MINUTE: i64 = 60_000;

/// A browser: it keeps cookies, and says that its requests come from the hub's own pages.
#[derive(Debug, Default, Clone)]
pub(super) struct TestBrowser {
    cookies: Vec<(String, String)>,
    /// The header lines of each request.
    pub(super) says: String,
}

pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
    /// Where a redirect leads, within the hub.
    to: String,
}

impl Answered {
    /// What the page's forms repeat.
    pub(super) fn form(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"form\" value=\"").expect("a form");
        rest.split_once('"').unwrap().0.to_owned()
    }

    pub(super) fn location(&self) -> &str {
        &self.to
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    body.finish()
}

impl TestBrowser {
    pub(super) fn new() -> TestBrowser {
        TestBrowser {
            says: "sec-fetch-site: same-origin\r\nuser-agent: Firefox <b>\r\n".to_owned(),
            ..TestBrowser::default()
        }
    }

    /// Alice, with that scope.
    pub(super) async fn signed_in(world: &World, scope: &str) -> TestBrowser {
        world.add_user("alice", scope).await;
        let mut browser = TestBrowser::new();
        assert_eq!(browser.sign_in(world, "alice", PASSWORD).await.status, 303);
        browser
    }

    fn from(address: &str) -> TestBrowser {
        let mut browser = TestBrowser::new();
        browser.says += &format!("x-forwarded-for: {address}\r\n");
        browser
    }

    pub(super) fn cookie_header(&self) -> String {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() { String::new() } else { format!("cookie: {}\r\n", cookies.join("; ")) }
    }

    async fn send(&mut self, world: &World, method: &str, target: &str, body: &str) -> Answered {
        let mut headers = self.says.clone() + &self.cookie_header();
        if method == "POST" {
            headers += "content-type: application/x-www-form-urlencoded\r\n";
        }
        let (status, head, body) = world.ask(method, target, &headers, body).await;
        for line in head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            if !value.is_empty() {
                self.cookies.push((cookie_case(name), value.to_owned()));
            }
        }
        let place = head.lines().find_map(|line| line.strip_prefix("location: "));
        assert!(place.is_none_or(|place| !place.starts_with('/')), "a redirect below a proxy's path: {place:?}");
        let here = url::Url::parse("http://hub").unwrap().join(target).unwrap();
        let to = place.map(|place| here.join(place).unwrap().to_string().replace("http://hub", "")).unwrap_or_default();
        Answered { status, head, body, to }
    }

    pub(super) async fn get(&mut self, world: &World, target: &str) -> Answered {
        self.send(world, "GET", target, "").await
    }

    pub(super) async fn post(&mut self, world: &World, target: &str, fields: &[(&str, &str)]) -> Answered {
        self.send(world, "POST", target, &form(fields)).await
    }

    async fn sign_in(&mut self, world: &World, name: &str, password: &str) -> Answered {
        let page = self.get(world, "/signin").await.form();
        self.post(world, "/signin", &[("form", &page), ("name", name), ("password", password)]).await
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The head is compared in lower case; a cookie's name is not.
fn cookie_case(name: &str) -> String {
    name.replace("__host-", "__Host-")
}

const PROXY: &str = "[proxy]\ntrusted = [\"127.0.0.1\"]\n";

impl World {
    async fn add_user(&self, name: &str, scope: &str) {
        let user = json!({ "name": name, "scope": scope, "password": PASSWORD });
        self.verbs.post::<()>("/user/add", &user).await.unwrap();
    }

    pub(super) async fn token(&self, scope: &str, expires_at: Option<i64>) -> String {
        let request = json!({ "name": format!("{scope} {expires_at:?}"), "scope": scope, "expires_at": expires_at });
        let answer: Value = self.verbs.post("/token/create", &request).await.unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn with_token(
        &self,
        method: &str,
        target: &str,
        token: &str,
        more: &str,
    ) -> (u16, String, String) {
        self.ask(method, target, &format!("authorization: Bearer {token}\r\n{more}"), "").await
    }

    async fn audit(&self) -> Vec<Value> {
        self.verbs.get("/audit?limit=100").await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_leads_to_the_sign_in_and_back_and_an_address_of_the_api_answers_401() {
    let world = world("").await;
    world.add_user("alice", "admin").await;
    let mut browser = TestBrowser::new();
    let sent = browser.get(&world, "/audit?before=7").await;
    assert_eq!((sent.status, sent.location()), (303, "/signin?next=%2faudit%3fbefore%3d7"));
    let page = browser.get(&world, "/signin?next=%2Faudit%3Fbefore%3D7").await;
    let fields = [
        ("form", page.form()),
        ("name", "alice".into()),
        ("password", PASSWORD.into()),
        ("next", "/audit?before=7".into()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let sent = browser.post(&world, "/signin", &fields).await;
    assert_eq!((sent.status, sent.location()), (303, "/audit?before=7"), "{}", sent.body);
    assert_eq!(browser.get(&world, "/audit?before=7").await.status, 200);
    let home = browser.get(&world, "/").await;
    assert!(home.status == 200 && home.body.contains("alice"), "{}", home.body);
    let (status, head, _) = world.get("/api/v1/incidents").await;
    assert!(
        status == 401 && head.contains("application/problem+json") && head.contains("www-authenticate: bearer"),
        "{head}"
    );
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_cookie_is_not_adopted_and_a_sign_in_ends_the_session_before_it() {
    let world = world("").await;
    world.add_user("alice", "admin").await;
    let planted = "ab".repeat(32);
    let mut victim = TestBrowser::new();
    victim.cookies.push(("olog".to_owned(), planted.clone()));
    assert_eq!(victim.sign_in(&world, "alice", PASSWORD).await.status, 303);
    let first = victim.cookie("olog").unwrap().to_owned();
    assert_ne!(first, planted);
    let mut thief = TestBrowser::new();
    thief.cookies.push(("olog".to_owned(), planted));
    assert_eq!(thief.get(&world, "/account").await.status, 303);
    // The sign-in page leads who is signed in away; its form is still good.
    let mut again = victim.clone();
    again.cookies.retain(|(name, _)| name != "olog");
    let page = again.get(&world, "/signin").await.form();
    again.cookies.push(("olog".to_owned(), first.clone()));
    assert_eq!(
        again.post(&world, "/signin", &[("form", &page), ("name", "alice"), ("password", PASSWORD)]).await.status,
        303
    );
    assert_ne!(again.cookie("olog").unwrap(), first);
    assert_eq!(victim.get(&world, "/account").await.status, 303, "the session before is over");
    assert_eq!(again.get(&world, "/account").await.status, 200);
    // Two cookies of one name: one of them is planted.
    again.cookies.push(("olog".to_owned(), "cd".repeat(32)));
    assert_eq!(again.get(&world, "/account").await.status, 303);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_of_another_sites_page_is_refused_and_so_is_one_without_the_forms_secret() {
    let world = world("").await;
    world.add_user("alice", "admin").await;
    let mut browser = TestBrowser::new();
    browser.sign_in(&world, "alice", PASSWORD).await;
    let own = browser.get(&world, "/tokens").await.form();
    let create = |form: &str| {
        vec![
            ("form".to_owned(), form.to_owned()),
            ("name".to_owned(), "x".to_owned()),
            ("scope".to_owned(), "admin".to_owned()),
        ]
    };
    let foreign = [
        ("sec-fetch-site: cross-site", own.as_str()),
        ("sec-fetch-site: same-site", &own),
        ("origin: https://evil.example", &own),
        ("origin: http://hub.evil.example", &own),
        ("sec-fetch-site: same-origin", ""),
        ("sec-fetch-site: same-origin", &"0".repeat(64)),
        ("x: y", ""),
        ("origin: null", "wrong"),
    ];
    for (says, form) in foreign {
        browser.says = format!("{says}\r\n");
        let fields = create(form);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        for target in [
            "/tokens",
            "/tokens/revoke",
            "/signout",
            "/signout/everywhere",
            "/account/password",
            "/account/code",
            "/account/code/off",
        ] {
            let sent = browser.post(&world, target, &fields).await;
            assert_eq!(sent.status, 403, "{says} {form} {target}: {}", sent.body);
        }
        let sent = browser.post(&world, "/signin", &[("form", form), ("name", "alice"), ("password", PASSWORD)]).await;
        assert_eq!(sent.status, 403, "{says}: a sign-in that another site makes");
    }
    let tokens: Vec<Value> = world.verbs.get("/tokens").await.unwrap();
    assert_eq!(tokens, Vec::<Value>::new());
    for says in ["sec-fetch-site: same-origin", "origin: http://hub", "origin: null", "x: y"] {
        browser.says = format!("{says}\r\n");
        let sent = browser.post(&world, "/tokens", &[("form", &own), ("name", says), ("scope", "read")]).await;
        assert_eq!(sent.status, 200, "{says}: {}", sent.body);
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_for_this_host_and_https_only_where_the_browser_came_by_it() {
    let world = world(PROXY).await;
    world.add_user("alice", "admin").await;
    let mut browser = TestBrowser::from("203.0.113.7");
    browser.says += "x-forwarded-proto: https\r\n";
    let sent = browser.sign_in(&world, "alice", PASSWORD).await;
    let lines: Vec<&str> = sent.head.lines().filter(|line| line.starts_with("set-cookie: ")).collect();
    assert_eq!(lines.len(), 2, "{}", sent.head);
    for line in lines {
        assert!(line.starts_with("set-cookie: __host-olog"), "{line}");
        for attribute in ["; path=/", "; httponly", "; secure", "; samesite="] {
            assert!(line.contains(attribute), "{line}");
        }
        assert!(!line.contains("domain"), "{line}");
    }
    assert!(sent.head.contains("strict-transport-security: max-age=31536000"));
    assert!(browser.get(&world, "/account").await.status == 200);
    // A cookie that was set in clear is not taken over TLS.
    let value = browser.cookie("__Host-olog").unwrap().to_owned();
    let mut planted = TestBrowser::from("203.0.113.7");
    planted.says += "x-forwarded-proto: https\r\n";
    planted.cookies.push(("olog".to_owned(), value));
    assert_eq!(planted.get(&world, "/account").await.status, 303);
    // In clear there is no Secure and no HSTS.
    let sent = TestBrowser::from("203.0.113.8").sign_in(&world, "alice", PASSWORD).await;
    assert!(
        sent.head.contains("set-cookie: olog=")
            && !sent.head.contains("; secure")
            && !sent.head.contains("strict-transport"),
        "{}",
        sent.head
    );
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_what_its_scope_says_and_nothing_after_it_expired_or_was_revoked() {
    let world = world(PROXY).await;
    let far = "x-forwarded-for: 203.0.113.9\r\n";
    let (read, act, admin) =
        (world.token("read", None).await, world.token("act", None).await, world.token("admin", None).await);
    for (method, target, statuses) in [
        ("GET", "/metrics", [200, 200, 200]),
        ("GET", "/", [200, 200, 200]),
        ("GET", "/audit", [403, 403, 200]),
        ("GET", "/tokens", [403, 403, 200]),
        ("GET", "/api/v1/incidents", [200, 200, 200]),
        ("GET", "/api/v1/devices", [200, 200, 200]),
        ("GET", "/api/v1/tasks", [200, 200, 200]),
        ("POST", "/api/v1/incidents/7/ack", [403, 404, 404]),
    ] {
        for (token, status) in [&read, &act, &admin].into_iter().zip(statuses) {
            let (found, head, body) = world.with_token(method, target, token, far).await;
            assert_eq!(found, status, "{method} {target}: {body}");
            assert!(found < 400 || head.contains("application/problem+json"), "{head}");
        }
    }
    let brief = world.token("read", Some(1_800_000_000_000 + MINUTE)).await;
    assert_eq!(world.with_token("GET", "/metrics", &brief, far).await.0, 200);
    world.hand.advance(MINUTE);
    assert_eq!(world.with_token("GET", "/metrics", &brief, far).await.0, 401);
    world.verbs.post::<()>("/token/revoke", &json!({ "who": "read None" })).await.unwrap();
    assert_eq!(world.with_token("GET", "/metrics", &read, far).await.0, 401);
    for wrong in ["", "olog_", "x", &"0".repeat(77)] {
        assert_eq!(world.with_token("GET", "/api/v1/incidents", wrong, far).await.0, 401, "{wrong}");
    }
    assert_eq!(world.ask("GET", "/metrics", far, "").await.0, 403);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_tokens_is_slowed_down_and_a_good_one_behind_the_same_address_passes() {
    let world = world(PROXY).await;
    let far = "x-forwarded-for: 203.0.113.9\r\n";
    let good = world.token("read", None).await;
    assert_eq!(world.with_token("GET", "/metrics", &good, far).await.0, 200);
    let mut statuses = Vec::new();
    for n in 0..40 {
        statuses.push(world.with_token("GET", "/metrics", &format!("olog_{n:072x}"), far).await.0);
    }
    assert_eq!((statuses.first(), statuses.last()), (Some(&401), Some(&429)));
    assert_eq!(world.with_token("GET", "/metrics", &good, far).await.0, 200);
    assert_eq!(world.with_token("GET", "/metrics", "olog_", "x-forwarded-for: 198.51.100.1\r\n").await.0, 401);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_is_slowed_down_and_the_owner_still_gets_in() {
    let world = world(PROXY).await;
    world.add_user("alice", "admin").await;
    let mut owner = TestBrowser::from("203.0.113.1");
    assert_eq!(owner.sign_in(&world, "alice", PASSWORD).await.status, 303);
    owner.cookies.retain(|(name, _)| name != "olog");
    // Many addresses guess one user.
    let mut statuses = Vec::new();
    for n in 0..12 {
        let mut guesser = TestBrowser::from(&format!("198.51.100.{n}"));
        statuses.push(guesser.sign_in(&world, "alice", "wrong password").await.status);
    }
    assert_eq!(statuses.get(..5).unwrap(), [401; 5]);
    assert_eq!(statuses.get(5..).unwrap(), [429; 7]);
    let sent = TestBrowser::from("192.0.2.77").sign_in(&world, "alice", PASSWORD).await;
    assert!(
        sent.status == 429 && sent.head.contains("retry-after: "),
        "an unknown browser waits, even with the right one"
    );
    // One address guesses many users.
    for n in 0..11 {
        let sent = TestBrowser::from("203.0.113.1").sign_in(&world, &format!("user{n}"), PASSWORD).await;
        assert_eq!(sent.status, if n < 10 { 401 } else { 429 }, "{n}");
    }
    // The owner's browser is known, also behind the guesser's address.
    assert_eq!(owner.sign_in(&world, "alice", PASSWORD).await.status, 303);
    // Who has no known browser waits a moment, or uses the socket.
    world.hand.advance(2 * MINUTE);
    assert_eq!(TestBrowser::from("192.0.2.78").sign_in(&world, "alice", PASSWORD).await.status, 303);
    for n in 0..12 {
        TestBrowser::from(&format!("198.51.101.{n}")).sign_in(&world, "alice", "wrong password").await;
    }
    let request = json!({ "name": "alice", "password": PASSWORD });
    world.verbs.post::<()>("/user/password", &request).await.unwrap();
    assert_eq!(TestBrowser::from("192.0.2.79").sign_in(&world, "alice", PASSWORD).await.status, 303);
    let log = world.audit().await;
    let failed: u64 = log
        .iter()
        .filter(|e| e["action"] == "sign-in" && e["outcome"] == "refused")
        .map(|e| e["n"].as_u64().unwrap())
        .sum();
    assert!(failed >= 20, "{log:?}");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_once_and_a_recovery_code_too() {
    let world = world("").await;
    world.add_user("alice", "admin").await;
    let mut browser = TestBrowser::new();
    browser.sign_in(&world, "alice", PASSWORD).await;
    let page = browser.get(&world, "/account/code").await;
    assert!(page.body.contains("<svg"), "{}", page.body);
    let (_, rest) = page.body.split_once("<code>").unwrap();
    let secret = rest.split_once('<').unwrap().0.to_owned();
    let now = Timestamp(1_800_000_000_000);
    let wrong = browser.post(&world, "/account/code", &[("form", &page.form()), ("code", "000000")]).await;
    assert_eq!(wrong.status, 401);
    let code = code_at(&secret, now);
    let done = browser.post(&world, "/account/code", &[("form", &page.form()), ("code", &code)]).await;
    assert_eq!(done.status, 200, "{}", done.body);
    let codes: Vec<&str> = done.body.split("<code>").skip(1).map(|rest| rest.split_once('<').unwrap().0).collect();
    assert_eq!(codes.len(), 10);

    let mut other = TestBrowser::new();
    let sent = other.sign_in(&world, "alice", PASSWORD).await;
    assert!(sent.status == 303 && sent.location().starts_with("/signin/code"), "{}", sent.head);
    assert_eq!(other.get(&world, "/account").await.status, 303, "half a session opens nothing");
    let half = other.cookie("olog").unwrap().to_owned();
    let form = other.get(&world, "/signin/code").await.form();
    let sent = other.post(&world, "/signin/code", &[("form", &form), ("code", &code)]).await;
    assert_eq!(sent.status, 401, "the code that confirmed the second factor is used up");
    world.hand.advance(MINUTE);
    let code = code_at(&secret, now.plus(MINUTE));
    let sent = other.post(&world, "/signin/code", &[("form", &form), ("code", &code)]).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    assert_ne!(other.cookie("olog").unwrap(), half, "a new session");
    assert_eq!(other.get(&world, "/account").await.status, 200);

    let second_step = async |code: &str| {
        let mut thief = TestBrowser::new();
        thief.sign_in(&world, "alice", PASSWORD).await;
        let form = thief.get(&world, "/signin/code").await.form();
        thief.post(&world, "/signin/code", &[("form", &form), ("code", code)]).await.status
    };
    assert_eq!(second_step(&code).await, 401, "a code that was seen is worth nothing");
    assert_eq!(second_step(codes[0]).await, 303);
    assert_eq!(second_step(codes[0]).await, 401);
    assert_eq!(second_step(&codes[1].to_uppercase().replace('-', " ")).await, 303);
    world.verbs.post::<()>("/user/totp/off", &json!({ "who": "alice" })).await.unwrap();
    let sent = TestBrowser::new().sign_in(&world, "alice", PASSWORD).await;
    assert_eq!((sent.status, sent.location()), (303, "/"));
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_cannot_be_guessed_one_session_long() {
    let world = world("").await;
    world.add_user("alice", "admin").await;
    let mut browser = TestBrowser::new();
    browser.sign_in(&world, "alice", PASSWORD).await;
    let page = browser.get(&world, "/account/code").await;
    let (_, rest) = page.body.split_once("<code>").unwrap();
    let code = code_at(rest.split_once('<').unwrap().0, Timestamp(1_800_000_000_000));
    browser.post(&world, "/account/code", &[("form", &page.form()), ("code", &code)]).await;
    let mut thief = TestBrowser::new();
    thief.sign_in(&world, "alice", PASSWORD).await;
    let form = thief.get(&world, "/signin/code").await.form();
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(thief.post(&world, "/signin/code", &[("form", &form), ("code", "123456")]).await.status);
    }
    assert_eq!(answers, [401, 401, 401, 401, 303, 303], "the fifth wrong code ends the session");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_up_link_makes_one_user_once() {
    let world = world("").await;
    // As the hub prints it; the journal is not read here.
    let access = crate::access::Access::new(open(&world).await, Clock::manual(Timestamp(1_800_000_000_000)).0);
    let old = access.setup_link().await.unwrap().unwrap();
    let link = access.setup_link().await.unwrap().unwrap();
    let target = format!("/setup/{}", link.text());
    let mut browser = TestBrowser::new();
    for wrong in [
        "/setup/x",
        "/setup/%ff",
        "/setup/..%2f..%2fetc%2fpasswd",
        &format!("/setup/{}", "0".repeat(64)),
        &format!("/setup/{}", old.text()),
    ] {
        assert_eq!(browser.get(&world, wrong).await.status, 403, "{wrong}");
    }
    let form = browser.get(&world, &target).await.form();
    let fields = |form: &str, name: &str, password: &str| {
        [("form", form), ("name", name), ("password", password), ("again", password)]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
    };
    let send = async |browser: &mut TestBrowser, fields: [(String, String); 4]| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        browser.post(&world, &target, &fields).await.status
    };
    assert_eq!(send(&mut browser, fields(&form, "alice", "short")).await, 422);
    assert_eq!(send(&mut browser, fields(&form, "alice", PASSWORD)).await, 303);
    assert_eq!(browser.get(&world, "/tokens").await.status, 200, "signed in, as an administrator");
    let mut second = TestBrowser::new();
    assert_eq!(second.get(&world, &target).await.status, 403);
    let form = second.get(&world, "/signin").await.form();
    assert_eq!(send(&mut second, fields(&form, "mallory", PASSWORD)).await, 403, "the link is used up");
    assert!(access.setup_link().await.unwrap().is_none(), "with a user there is no link");
    let users: Vec<Value> = world.verbs.get("/users").await.unwrap();
    assert_eq!(users.len(), 1);
    assert!(world.hub.stop().await);
}

async fn open(world: &World) -> Store {
    let url = crate::store::StoreUrl::Sqlite(world.dir.path().join("olog.db"));
    Store::open(&url, Timestamp(1_800_000_000_000)).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_text_on_every_page() {
    let world = world("").await;
    let name = "<script>alert(1)</script>\"'&";
    world.add_user(name, "admin").await;
    let request = json!({ "name": "<img src=x onerror=alert(1)>", "scope": "read", "expires_at": null });
    world.verbs.post::<Value>("/token/create", &request).await.unwrap();
    let mut browser = TestBrowser::new();
    browser.sign_in(&world, "<svg onload=alert(1)>", PASSWORD).await;
    assert_eq!(browser.sign_in(&world, name, PASSWORD).await.status, 303);
    for target in ["/", "/account", "/account/code", "/tokens", "/audit"] {
        let page = browser.get(&world, target).await;
        assert_eq!(page.status, 200, "{target}");
        let body = forms::without_our_script(&page.body);
        for bad in ["<script", "<img", "<svg onload", "Firefox <b>", "javascript:"] {
            assert!(!body.contains(bad), "{target}: {bad} in {}", page.body);
        }
        let runs_scripts = page.head.contains("; script-src 'self'; connect-src 'self'");
        assert!(
            page.head.contains("default-src 'none'; style-src 'sha256-")
                && runs_scripts == (target == "/")
                && runs_scripts == page.head.contains("script-src"),
            "{}",
            page.head
        );
        for words in ["form-action 'self'", "frame-ancestors 'none'", "cache-control: no-store"] {
            assert!(page.head.contains(words), "{}", page.head);
        }
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_and_a_new_password_end_the_other_sessions() {
    let world = world("").await;
    world.add_user("alice", "act").await;
    let (mut one, mut two) = (TestBrowser::new(), TestBrowser::new());
    one.sign_in(&world, "alice", PASSWORD).await;
    two.sign_in(&world, "alice", PASSWORD).await;
    let form = one.get(&world, "/account").await.form();
    let new = "another long password";
    let fields = [("form", form.as_str()), ("old", PASSWORD), ("new", new), ("again", new)];
    assert_eq!(one.post(&world, "/account/password", &fields).await.status, 200);
    assert_eq!(two.get(&world, "/account").await.status, 303);
    assert_eq!(two.sign_in(&world, "alice", PASSWORD).await.status, 401);
    assert_eq!(two.sign_in(&world, "alice", new).await.status, 303);
    assert_eq!(one.post(&world, "/signout/everywhere", &[("form", &form)]).await.status, 303);
    assert_eq!((one.cookie("olog"), two.get(&world, "/account").await.status), (None, 303));
    // Idle for a week.
    one.sign_in(&world, "alice", new).await;
    world.hand.advance(7 * 24 * 60 * MINUTE);
    assert_eq!(one.get(&world, "/account").await.status, 303);
    assert_eq!(two.get(&world, "/tokens").await.status, 303);
    two.sign_in(&world, "alice", new).await;
    assert_eq!(two.get(&world, "/tokens").await.status, 403, "scope act is no administrator");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_log_with_who_and_from_where() {
    let world = world("").await;
    world.add_user("alice", "admin").await;
    let refused = world.verbs.post::<()>("/device/forget", &json!({ "who": "nobody" })).await;
    assert!(refused.is_err());
    world.verbs.post::<Value>("/join-link", &json!({ "expires": 60, "uses": 1 })).await.unwrap();
    let mut browser = TestBrowser::new();
    browser.sign_in(&world, "alice", "wrong password").await;
    browser.sign_in(&world, "alice", PASSWORD).await;
    let form = browser.get(&world, "/tokens").await.form();
    browser.post(&world, "/tokens", &[("form", &form), ("name", "ci"), ("scope", "act")]).await;
    browser.post(&world, "/tokens/revoke", &[("form", &form), ("name", "ci")]).await;
    let log: Vec<[String; 4]> = world
        .audit()
        .await
        .iter()
        .rev()
        .map(|entry| ["action", "subject", "origin", "outcome"].map(|field| entry[field].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        ["user.add", "alice", "socket", "done"],
        ["device.forget", "nobody", "socket", "refused"],
        ["join-link", "", "socket", "done"],
        ["sign-in", "", "127.0.0.1", "refused"],
        ["sign-in", "alice", "127.0.0.1", "done"],
        ["token.create", "ci", "127.0.0.1", "done"],
        ["token.revoke", "ci", "127.0.0.1", "done"],
    ];
    assert_eq!(log, expected.map(|entry| entry.map(str::to_owned)));
    let whole = format!("{:?}", world.audit().await);
    assert!(!whole.contains(PASSWORD) && !whole.contains("olog_"), "{whole}");
    assert!(world.hub.stop().await);
}
