//! Attacks on what lets people in: passwords, sessions, forms, tokens.

use std::{io::Write as _, process::Stdio};

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use olog_journeys::daemon::program;

use crate::arena::{Address, Arena, HOME, address, status};
use crate::{Attack, Verdict};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "sign-in/fixation",
        what: "a session's cookie is planted before the sign-in",
        run: |arena| fixation(arena).boxed_local(),
    },
    Attack {
        name: "sign-in/cross-site",
        what: "a page of another site sends this site's forms with the owner's cookies",
        run: |arena| cross_site(arena).boxed_local(),
    },
    Attack {
        name: "sign-in/set-up-link",
        what: "links by which the first user is made are guessed, and asked for after there is one",
        run: |arena| set_up_link(arena).boxed_local(),
    },
    Attack {
        name: "sign-in/guessing",
        what: "passwords are guessed, from one address and from many; the owner still gets in",
        run: |arena| guessing(arena).boxed_local(),
    },
    Attack {
        name: "tokens/guessing",
        what: "API tokens are guessed; a good one from the same address still works",
        run: |arena| token_guessing(arena).boxed_local(),
    },
    Attack {
        name: "tokens/scope",
        what: "a token that may read changes something",
        run: |arena| token_scope(arena).boxed_local(),
    },
];

/// Two passwords are hashed at the same time at most, by argon2id with 19 MiB each.
const HASH_KIB: f64 = 2.0 * 19.0 * 1024.0;
const OWNER: &str = "owner";
const PASSWORD: &str = "a long sentence that nobody guesses 7";

/// Makes the owner, if there is none.
fn make_owner(arena: &Arena) -> anyhow::Result<()> {
    let users = arena.hub.verb(&["user", "list"]);
    if users.out.contains(OWNER) {
        return Ok(());
    }
    let mut add = std::process::Command::new(program("olog-hub"));
    add.args(["user", "add", OWNER, "--config"]).arg(arena.hub.daemon.config());
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    add.stdin.take().context("its stdin")?.write_all(format!("{PASSWORD}\n").as_bytes())?;
    let said = add.wait_with_output()?;
    ensure!(said.status.success(), "no user: {}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

/// A browser: its cookies, and where it comes from.
#[derive(Debug, Clone)]
struct Browser {
    from: Address,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new(from: Address) -> Browser {
        Browser { from, cookies: Vec::new() }
    }

    /// Sends a request with its cookies, and keeps those of the answer.
    async fn send(
        &mut self,
        arena: &Arena,
        method: &str,
        path: &str,
        says: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if pairs.is_empty() { String::new() } else { format!("Cookie: {}\r\n", pairs.join("; ")) };
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).collect();
        let body = body.join("&");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{cookies}{says}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            arena.hub.port,
            body.len()
        );
        let answer = arena.http(self.from, &request).await?;
        for line in answer.lines().take_while(|line| !line.is_empty()) {
            let header = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
            let pair = header.and_then(|(_, value)| value.split(';').next()?.split_once('='));
            let Some((name, value)) = pair else { continue };
            self.cookies.retain(|(kept, _)| kept != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        Ok(answer)
    }

    /// The secret of a page's form.
    async fn form(&mut self, arena: &Arena, path: &str) -> anyhow::Result<String> {
        let page = self.send(arena, "GET", path, "", &[]).await?;
        let value = page.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        value.map(str::to_owned).with_context(|| format!("{path} has no form: {}", status(&page)))
    }

    /// Tries a password: the status of the answer.
    async fn sign_in(&mut self, arena: &Arena, password: &str) -> anyhow::Result<u16> {
        let form = self.form(arena, "/signin").await?;
        let fields = [("form", form.as_str()), ("next", "/"), ("name", OWNER), ("password", password)];
        Ok(status(&self.send(arena, "POST", "/signin", "Sec-Fetch-Site: same-origin\r\n", &fields).await?))
    }

    async fn is_in(&mut self, arena: &Arena) -> anyhow::Result<bool> {
        Ok(status(&self.send(arena, "GET", "/account", "", &[]).await?) == 200)
    }
}

async fn guessing(arena: &Arena) -> anyhow::Result<Verdict> {
    make_owner(arena)?;
    // The owner has signed in before: this browser is known.
    let mut owner = Browser::new(address(20_000));
    ensure!(owner.sign_in(arena, PASSWORD).await? == 303, "the owner does not get in");
    let memory = arena.memory();
    let (mut wrong, mut slowed) = (0, 0);
    for n in 0..60 {
        let mut guesser = Browser::new(if n < 30 { HOME } else { address(20_001 + n) });
        match guesser.sign_in(arena, &format!("guess {n}")).await? {
            429 => slowed += 1,
            303 => anyhow::bail!("a guess got in"),
            _ => wrong += 1,
        }
        ensure!(!guesser.is_in(arena).await?, "a guess got in");
    }
    ensure!(slowed > 20, "{slowed} of 60 guesses were slowed down");
    owner.cookies.retain(|(name, _)| name.contains("browser"));
    let back = owner.sign_in(arena, PASSWORD).await?;
    ensure!(back == 303, "the owner's own browser is answered with {back} while others guess");
    ensure!(arena.hub.verb(&["user", "list"]).status.success(), "the Unix socket does not answer");
    Ok(Verdict::Held(format!(
        "{wrong} refused, {slowed} slowed down; the owner signed in meanwhile; {}",
        memory.within_kib(HASH_KIB)?
    )))
}

async fn fixation(arena: &Arena) -> anyhow::Result<Verdict> {
    make_owner(arena)?;
    let mut victim = Browser::new(address(20_200));
    // To know what the cookie is called.
    ensure!(victim.sign_in(arena, PASSWORD).await? == 303, "the owner does not get in");
    let names: Vec<String> = victim.cookies.iter().map(|(name, _)| name.clone()).collect();
    let planted: Vec<(String, String)> = names.iter().map(|name| (name.clone(), "ab".repeat(32))).collect();
    let mut planted_on = Browser { from: address(20_201), cookies: planted.clone() };
    let signed_in = planted_on.sign_in(arena, PASSWORD).await;
    let mut thief = Browser { from: HOME, cookies: planted };
    ensure!(!thief.is_in(arena).await?, "a planted session is adopted");
    ensure!(
        signed_in.is_err()
            || !planted_on
                .cookies
                .iter()
                .any(|(name, value)| names.contains(name) && value == &"ab".repeat(32) && name.ends_with("olog")),
        "the session keeps the planted value"
    );
    Ok(Verdict::Held(format!("{} planted cookies, none adopted", names.len())))
}

async fn cross_site(arena: &Arena) -> anyhow::Result<Verdict> {
    make_owner(arena)?;
    let mut owner = Browser::new(address(20_300));
    ensure!(owner.sign_in(arena, PASSWORD).await? == 303, "the owner does not get in");
    let own = owner.form(arena, "/tokens").await?;
    let mut tried = 0;
    for (says, form) in [
        ("Sec-Fetch-Site: cross-site\r\n", own.as_str()),
        ("Sec-Fetch-Site: same-site\r\n", &own),
        ("Origin: https://evil.example\r\n", &own),
        ("Sec-Fetch-Site: same-origin\r\n", ""),
        ("", "0000"),
    ] {
        for path in ["/tokens", "/tokens/revoke", "/signout/everywhere", "/account/password", "/account/code/off"] {
            let fields = [("form", form), ("name", "stolen"), ("scope", "admin")];
            let code = status(&owner.send(arena, "POST", path, says, &fields).await?);
            ensure!(code == 403, "POST {path} with {says:?} is answered with {code}");
            tried += 1;
        }
    }
    ensure!(!arena.hub.verb(&["token", "list"]).out.contains("stolen"), "a token was made");
    ensure!(owner.is_in(arena).await?, "the owner was signed out");
    Ok(Verdict::Held(format!("{tried} forms, all refused")))
}

async fn set_up_link(arena: &Arena) -> anyhow::Result<Verdict> {
    make_owner(arena)?;
    let log = arena.hub.daemon.log_text();
    let link = log.split("/setup/").nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned);
    let guesses = (0..50).map(|n| format!("{n:064x}")).chain(link);
    let mut tried = 0;
    for guess in guesses {
        let answer = arena.get(&format!("/setup/{guess}"), "").await?;
        ensure!(status(&answer) != 200, "/setup/… is answered with 200 although there is a user");
        tried += 1;
    }
    Ok(Verdict::Held(format!("{tried} links, none opens")))
}

/// A token with a scope.
fn token(arena: &Arena, name: &str, scope: &str) -> anyhow::Result<String> {
    let said = arena.hub.verb(&["token", "create", name, "--scope", scope]);
    ensure!(said.status.success(), "no token: {}", said.err);
    said.out.split_whitespace().last().map(str::to_owned).context("no token in the answer")
}

async fn token_guessing(arena: &Arena) -> anyhow::Result<Verdict> {
    let good = token(arena, "good", "read")?;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    ensure!(status(&arena.get("/api/v1/devices", &bearer(&good)).await?) == 200, "the good token is refused");
    let (mut wrong, mut slowed) = (0, 0);
    let start = good.get(..good.len() - 6).context("a long token")?;
    for n in 0..200 {
        match status(&arena.get("/api/v1/devices", &bearer(&format!("{start}{n:06}"))).await?) {
            401 => wrong += 1,
            429 => slowed += 1,
            other => anyhow::bail!("a guessed token is answered with {other}"),
        }
    }
    ensure!(slowed > 0, "200 guesses of one address were not slowed down");
    let code = status(&arena.get("/api/v1/devices", &bearer(&good)).await?);
    ensure!(code == 200, "a good token is answered with {code} while others guess");
    Ok(Verdict::Held(format!("{wrong} refused, {slowed} slowed down; the good token worked")))
}

async fn token_scope(arena: &Arena) -> anyhow::Result<Verdict> {
    let read = token(arena, "reader", "read")?;
    for path in ["/api/v1/incidents/1/ack", "/tokens", "/tokens/revoke", "/account/password", "/signout/everywhere"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nAuthorization: Bearer {read}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let code = status(&arena.http(HOME, &request).await?);
        // A page leads whoever has no session to the sign-in.
        ensure!((300..500).contains(&code), "POST {path} with a token that may read is answered with {code}");
    }
    for path in ["/tokens", "/audit"] {
        let code = status(&arena.get(path, &format!("Authorization: Bearer {read}\r\n")).await?);
        ensure!(code != 200, "GET {path} with a token that may read is answered with {code}");
    }
    Ok(Verdict::Held("7 requests, all refused".to_owned()))
}
