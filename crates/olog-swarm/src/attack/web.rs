//! Attacks of visitors of the hub's pages, and of texts that reach a browser or a terminal.

use anyhow::{bail, ensure};
use futures_util::FutureExt as _;
use olog_proto::AgentFrame;

use crate::arena::{Arena, HOME, error, event, status};
use crate::{Attack, Verdict};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "web/closed-doors",
        what: "every page and list is asked for without a session and without a token",
        run: |arena| closed_doors(arena).boxed_local(),
    },
    Attack {
        name: "web/path-traversal",
        what: "paths that lead out of what is served",
        run: |arena| path_traversal(arena).boxed_local(),
    },
    Attack {
        name: "web/forwarded-headers",
        what: "metrics from elsewhere, with headers of a proxy that nobody declared",
        run: |arena| forwarded_headers(arena).boxed_local(),
    },
    Attack {
        name: "web/foreign-origin",
        what: "a page of another site opens a device's websocket",
        run: |arena| foreign_origin(arena).boxed_local(),
    },
    Attack {
        name: "web/headers",
        what: "answers without the headers that bind a browser",
        run: |arena| headers(arena).boxed_local(),
    },
    Attack {
        name: "web/large-requests",
        what: "headers and bodies that are too long, and requests that are two",
        run: |arena| large_requests(arena).boxed_local(),
    },
    Attack {
        name: "texts/markup",
        what: "scripts and markup in error texts and task names, looked for in the report's page",
        run: |arena| markup(arena).boxed_local(),
    },
    Attack {
        name: "texts/terminal",
        what: "terminal escapes and direction controls in error texts, looked for in all that verbs print and in the pushes",
        run: |arena| terminal(arena).boxed_local(),
    },
];

/// What stands open to everybody; what carries its own secret answers 403 or 404 without it.
const OPEN: &[&str] = &["/healthz", "/readyz", "/join", "/packages"];
const CLOSED: &[&str] = &[
    "/",
    "/account",
    "/users",
    "/tokens",
    "/audit",
    "/devices",
    "/reports/1",
    "/reports/",
    "/api/v1/devices",
    "/api/v1/tasks",
    "/api/v1/events",
    "/api/v1/incidents",
    "/api/v1/silences",
    "/api/v1/reports",
    "/api/v1/channels",
    "/api/v1/tokens",
    "/api/v1/stream",
    "/api/v2/alerts",
    "/ping/key/slug",
];

async fn closed_doors(arena: &Arena) -> anyhow::Result<Verdict> {
    for path in OPEN {
        let answer = arena.get(path, "").await?;
        ensure!(status(&answer) == 200, "{path} answers {}", status(&answer));
    }
    let mut tried = 0;
    for path in CLOSED {
        for headers in ["", "Authorization: Bearer olog_x\r\n", "Cookie: __Host-olog=x; session=x\r\n"] {
            let answer = arena.get(path, headers).await?;
            let code = status(&answer);
            ensure!(matches!(code, 302 | 303 | 307 | 401 | 403 | 404 | 405 | 429), "GET {path} answers {code}");
            tried += 1;
        }
        let post = format!("POST {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
        let code = status(&arena.http(HOME, &post).await?);
        ensure!(!(200..300).contains(&code), "POST {path} answers {code}");
        tried += 1;
    }
    Ok(Verdict::Held(format!("{tried} requests, none answered with content")))
}

async fn path_traversal(arena: &Arena) -> anyhow::Result<Verdict> {
    let roots = ["/", "/reports/", "/packages/", "/join/", "/static/"];
    let climbs = [
        "../hub.toml",
        "../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "....//....//etc/passwd",
        "..%5c..%5cetc%5cpasswd",
        "%00/etc/passwd",
        "/etc/passwd",
        "..;/olog.db",
        "%c0%ae%c0%ae/olog.db",
        "./identity",
    ];
    for (root, climb) in roots.iter().flat_map(|root| climbs.iter().map(move |climb| (root, climb))) {
        let answer = arena.get(&format!("{root}{climb}"), "").await?;
        let leaks = ["root:x:", "SQLite format", "[channel]", "PRIVATE KEY"].iter().any(|text| answer.contains(text));
        ensure!(!leaks && status(&answer) != 200, "GET {root}{climb} answers {}", status(&answer));
    }
    Ok(Verdict::Held(format!("{} paths, nothing served", roots.len() * climbs.len())))
}

async fn forwarded_headers(arena: &Arena) -> anyhow::Result<Verdict> {
    let own = [
        "X-Forwarded-For: 203.0.113.9\r\n",
        "X-Forwarded-For: unknown\r\n",
        "X-Forwarded-For: _hidden\r\n",
        "X-Forwarded-For: \r\n",
        "Forwarded: for=203.0.113.9\r\n",
        "X-Real-IP: 203.0.113.9\r\n",
    ];
    for header in own {
        let answer = arena.get("/metrics", header).await?;
        ensure!(status(&answer) != 200, "/metrics is served with {header:?}");
    }
    Ok(Verdict::Held(format!("{} headers, none passed as loopback", own.len())))
}

async fn foreign_origin(arena: &Arena) -> anyhow::Result<Verdict> {
    let request = "GET /agent HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: olog.2\r\nOrigin: https://evil.example\r\n\r\n";
    let code = status(&arena.http(HOME, request).await?);
    ensure!(code == 403, "a websocket with a foreign Origin is answered with {code}");
    Ok(Verdict::Held("refused with 403".to_owned()))
}

async fn headers(arena: &Arena) -> anyhow::Result<Verdict> {
    let paths = ["/", "/join", "/healthz", "/signin", "/no-such-page", "/reports/1", "/api/v1/devices"];
    for path in paths {
        let answer = arena.get(path, "").await?.to_lowercase();
        let head = answer.split("\r\n\r\n").next().unwrap_or("");
        for header in ["content-security-policy", "x-content-type-options: nosniff", "referrer-policy: no-referrer"] {
            ensure!(head.contains(header), "{path} is answered without {header}");
        }
        ensure!(!head.contains("unsafe-inline"), "{path} allows what is written into the page");
        ensure!(!head.contains("\nserver:"), "{path} names the server");
    }
    Ok(Verdict::Held(format!("{} answers, each with all headers", paths.len())))
}

async fn large_requests(arena: &Arena) -> anyhow::Result<Verdict> {
    let memory = arena.memory();
    let long = "a".repeat(1_000_000);
    let requests = [
        format!("GET /{long} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"),
        format!("GET /join HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nX-Long: {long}\r\n\r\n"),
        format!("POST /join HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{long}"),
        "POST /join HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: hub\r\n\r\n".to_owned(),
        "GET /join HTTP/1.1\r\nHost: hub\r\nHost: other\r\nConnection: close\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "\u{1b}[2J\r\n\r\n".to_owned(),
    ];
    for request in &requests {
        // A request that is cut off in its middle may end with a reset instead of an answer.
        let Ok(answer) = arena.http(HOME, request).await else { continue };
        ensure!(status(&answer) != 200, "{:?}… is answered with 200", request.chars().take(60).collect::<String>());
    }
    Ok(Verdict::Held(format!("{} requests, none taken; {}", requests.len(), memory.within(1)?)))
}

/// Sends an error per text from a device of the attacker, and waits until the hub has all of them.
async fn report_all(arena: &Arena, name: &str, texts: &[(String, String)]) -> anyhow::Result<()> {
    let (device, link) = (arena.joined(name).await?, arena.link());
    let mut session = arena.session(&device, &link, HOME).await?;
    for ((task, text), n) in texts.iter().zip(1..) {
        let events = vec![event(n, error(task, text)?)];
        session.send(&AgentFrame::Events { from: n, events }).await?;
        loop {
            match session.receive().await? {
                olog_proto::HubFrame::Ack { through } if through >= n => break,
                olog_proto::HubFrame::Ack { .. } => {}
                other => bail!("not an ack: {other:?}"),
            }
        }
    }
    Ok(())
}

const MARKUP: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<!--<script>alert(1)//-->",
    "{{7*7}}{% raw %}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<style>@import 'http://evil.example'</style>",
    "<base href=http://evil.example/>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
];

async fn markup(arena: &Arena) -> anyhow::Result<Verdict> {
    let texts: Vec<_> =
        MARKUP.iter().enumerate().map(|(n, text)| (format!("m{n} {text}"), (*text).to_owned())).collect();
    report_all(arena, "markup <b>", &texts).await?;
    let page = arena.hub.verb(&["report", "now", "--html", "-"]).good();
    for tag in [
        "<script",
        "<img src=x",
        "<svg/onload",
        "<iframe",
        "<base ",
        "<meta http-equiv=refresh",
        "@import",
        "href=\"javascript:",
    ] {
        // Escaped, each of them begins with `&lt;` or `&quot;`.
        ensure!(
            !page.contains(tag) || tag == "@import" && !page.contains("<style>@import"),
            "the report's page holds {tag}"
        );
    }
    ensure!(page.contains("alert(1)"), "the texts are not in the report's page at all");
    Ok(Verdict::Held(format!("{} texts, all shown as text", texts.len())))
}

const TERMINAL: &[&str] = &[
    "\u{1b}]0;owned\u{7}title",
    "\u{1b}[2J\u{1b}[1;1Hcleared",
    "\u{9b}31mred",
    "\u{202e}gnp.exe",
    "a\u{2066}b\u{2069}",
    "back\u{8}\u{8}\u{8}space",
    "line\rOVER all is well",
    "\u{1b}P$q\u{1b}\\",
    "zero\u{200b}width\u{2060}\u{ad}",
    "nul\u{0}nul",
];

async fn terminal(arena: &Arena) -> anyhow::Result<Verdict> {
    let texts: Vec<_> = TERMINAL.iter().enumerate().map(|(n, text)| (format!("t{n}"), (*text).to_owned())).collect();
    report_all(arena, "terminal", &texts).await?;
    let is_dangerous = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let verbs: &[&[&str]] = &[
        &["incident", "list", "--all"],
        &["incident", "list", "--all", "--json"],
        &["task", "list"],
        &["task", "list", "--json"],
        &["device", "list"],
        &["device", "list", "--json"],
        &["report", "now"],
        &["report", "now", "--json"],
        &["report", "now", "--html", "-"],
        &["channel", "list"],
    ];
    let mut looked = 0;
    for verb in verbs {
        let said = arena.hub.verb(verb);
        looked += said.out.len() + said.err.len();
        let bad = said.out.chars().chain(said.err.chars()).find(|c| is_dangerous(*c));
        ensure!(bad.is_none(), "`olog-hub {}` prints {bad:?}", verb.join(" "));
    }
    for push in arena.world.phone.pushes() {
        let bad = push.summary.chars().chain(push.text().chars()).find(|c| is_dangerous(*c));
        ensure!(bad.is_none(), "a push holds {bad:?}");
    }
    let log = arena.hub.daemon.log_text();
    let bad = log.chars().find(|c| is_dangerous(*c) && *c != '\u{1b}');
    ensure!(bad.is_none() && !log.contains("\u{1b}]0;"), "the hub's log holds {bad:?}");
    Ok(Verdict::Held(format!(
        "{} texts; {looked} bytes of {} verbs, the log and all pushes are clean",
        texts.len(),
        verbs.len()
    )))
}
