//! Hubs for the browser, with everything that a page may show, and the list of the pages.

use std::{fs, process::Command};

use olog_journeys::{
    daemon::wait_for,
    world::{Agent, Hub, World},
};
use serde_json::{Value, json};

use crate::browser::Browser;

/// Whose pages these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Who has no session.
    Stranger,
    /// The administrator of the hub.
    User,
    /// The administrator of a hub without any device.
    UserOfEmptyHub,
}

/// A page: every test that walks over pages walks over [`PAGES`].
#[derive(Debug)]
pub(crate) struct Page {
    /// Its name, which is also that of its pictures.
    pub(crate) name: &'static str,
    pub(crate) visitor: Visitor,
    /// Its address, below that of the hub.
    pub(crate) address: fn(&Site) -> String,
    /// What is clicked there, if the page is the answer to a form.
    click: Option<&'static str>,
    /// Does it speak the browser's language? If not, it has both, or that of the hub.
    pub(crate) is_translated: bool,
}

impl Page {
    const fn new(name: &'static str, visitor: Visitor, address: fn(&Site) -> String) -> Page {
        Page { name, visitor, address, click: None, is_translated: true }
    }

    const fn in_its_own_language(self) -> Page {
        Page { is_translated: false, ..self }
    }

    const fn after_a_click_on(self, xpath: &'static str) -> Page {
        Page { click: Some(xpath), ..self }
    }

    /// Is it the same whenever it is opened? The answer to a form is not.
    pub(crate) fn stays(&self) -> bool {
        self.click.is_none()
    }
}

/// Every page that the hub has. A new page is a new row.
pub(crate) const PAGES: &[Page] = &[
    Page::new("setup", Visitor::Stranger, |site| site.setup_link.clone()),
    Page::new("setup-bad-link", Visitor::Stranger, |site| site.hub.at("/setup/x")),
    Page::new("signin", Visitor::Stranger, |site| site.hub.at("/signin")),
    Page::new("signin-code", Visitor::Stranger, |site| site.hub.at("/signin/code")),
    Page::new("incident-by-link", Visitor::Stranger, |site| site.incident_link.clone()),
    Page::new("join", Visitor::Stranger, |site| site.join_link.clone()).in_its_own_language(),
    Page::new("report", Visitor::Stranger, |site| site.report_link.clone()).in_its_own_language(),
    Page::new("overview", Visitor::User, |site| site.hub.at("/")),
    Page::new("device", Visitor::User, |site| site.hub.at("/device?name=web1")),
    Page::new("device-lost", Visitor::User, |site| site.hub.at("/device?name=nas")),
    Page::new("task", Visitor::User, |site| site.hub.at("/task?device=web1&name=nginx")),
    Page::new("task-ok", Visitor::User, |site| site.hub.at("/task?device=web1&name=backup")),
    Page::new("incident", Visitor::User, |site| site.hub.at(&format!("/incidents/{}", site.incident))),
    Page::new("incident-over", Visitor::User, |site| site.hub.at(&format!("/incidents/{}", site.incident_over))),
    Page::new("events", Visitor::User, |site| site.hub.at("/events")),
    Page::new("events-none", Visitor::User, |site| site.hub.at("/events?q=nothing+has+these+words")),
    Page::new("silences", Visitor::User, |site| site.hub.at("/silences")),
    Page::new("reports", Visitor::User, |site| site.hub.at("/reports")),
    Page::new("channels", Visitor::User, |site| site.hub.at("/channels")),
    Page::new("not-found", Visitor::User, |site| site.hub.at("/incidents/999999")),
    Page::new("enrolment", Visitor::User, |site| site.hub.at("/enrolment")),
    Page::new("enrolment-made", Visitor::User, |site| site.hub.at("/enrolment"))
        .after_a_click_on("//form[.//input[@name='uses']]//button"),
    Page::new("settings", Visitor::User, |site| site.hub.at("/settings")),
    Page::new("several", Visitor::User, |site| site.hub.at("/incidents?n=1-3.5")),
    Page::new("tokens", Visitor::User, |site| site.hub.at("/tokens")),
    Page::new("audit", Visitor::User, |site| site.hub.at("/audit")),
    Page::new("account", Visitor::User, |site| site.hub.at("/account")),
    Page::new("account-code", Visitor::User, |site| site.hub.at("/account/code")),
    Page::new("overview-empty", Visitor::UserOfEmptyHub, |site| site.empty.at("/")),
    Page::new("events-empty", Visitor::UserOfEmptyHub, |site| site.empty.at("/events")),
    Page::new("silences-empty", Visitor::UserOfEmptyHub, |site| site.empty.at("/silences")),
    Page::new("reports-empty", Visitor::UserOfEmptyHub, |site| site.empty.at("/reports")),
    Page::new("channels-empty", Visitor::UserOfEmptyHub, |site| site.empty.at("/channels")),
    Page::new("enrolment-empty", Visitor::UserOfEmptyHub, |site| site.empty.at("/enrolment")),
    Page::new("tokens-empty", Visitor::UserOfEmptyHub, |site| site.empty.at("/tokens")),
];

/// A hub that speaks plain HTTP, so that its notifications have links, at an address of its own: cookies do not know ports.
#[derive(Debug)]
pub(crate) struct PlainHub {
    pub(crate) hub: Hub,
    url: String,
}

impl PlainHub {
    /// A hub that runs at 127.0.0.`host`.
    pub(crate) fn start(world: &World, name: &str, host: u8) -> PlainHub {
        let more = "[alerts]\nquiet = \"\"\nover_wait = \"1s\"\noffline_after = \"10s\"\n[tls]\nmode = \"off\"\n";
        let mut hub = Hub::new(world, name, "", more);
        let (was, address) = (format!("127.0.0.1:{}", hub.port), format!("127.0.0.{host}:{}", hub.port));
        let url = format!("http://{address}");
        let text = fs::read_to_string(hub.daemon.config()).unwrap();
        let text =
            text.replace(&format!("https://{was}"), &url).replace(&format!("\"{was}\""), &format!("\"{address}\""));
        hub.daemon.configure(&text);
        hub.start();
        PlainHub { hub, url }
    }

    /// An address of it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The link by which the first user is made.
    pub(crate) fn setup_link(&self) -> String {
        let link = || {
            let log = self.hub.daemon.log_text();
            // Each start prints a new one.
            log.split_whitespace().rfind(|word| word.contains("/setup/")).map(str::to_owned)
        };
        wait_for("the link for the first user is in the log", || self.hub.daemon.log_text(), link)
    }

    /// Makes the first user in the browser, which is signed in then.
    pub(crate) async fn sign_in(&self, browser: &Browser) {
        browser.open_page(&self.setup_link()).await;
        browser.fill("#name", "ada").await;
        for field in ["#password", "#again"] {
            browser.fill(field, "correct horse battery").await;
        }
        browser.click("//main//form//button").await;
        browser.find("nav").await;
    }

    /// The number of the newest incident of a task.
    pub(crate) fn incident(&self, task: &str) -> u64 {
        let of = |hub: &Hub| {
            let rows = hub.incidents();
            let is_of = |row: &&Value| row["name"].as_str().is_some_and(|name| name.ends_with(task));
            rows.iter().find(is_of).and_then(|row| row["id"].as_u64())
        };
        self.hub.wait(&format!("{task} has an incident"), of)
    }

    /// Is it acknowledged?
    pub(crate) fn is_acknowledged(&self, incident: u64) -> bool {
        let rows = self.hub.incidents();
        rows.iter().any(|row| row["id"] == incident && !row["acknowledged_at"].is_null())
    }
}

/// An agent that has joined and runs.
pub(crate) fn agent(world: &World, name: &str, hub: &PlainHub) -> Agent {
    world.agent(name, &hub.hub)
}

/// The link of a notification about a task.
pub(crate) async fn link_in_push(world: &World, text: &str) -> String {
    let push = world.push(text).await;
    let links = push.content.split(|c: char| c.is_whitespace() || "\"'<>()".contains(c));
    let link = links.into_iter().find(|word| word.contains("/incidents/"));
    link.unwrap_or_else(|| panic!("no link in {}", push.content)).replace("&amp;", "&")
}

/// Hubs with something of everything.
pub(crate) struct Site {
    pub(crate) hub: PlainHub,
    pub(crate) empty: PlainHub,
    setup_link: String,
    join_link: String,
    report_link: String,
    incident_link: String,
    incident: u64,
    incident_over: u64,
    user: Value,
    user_of_empty: Value,
    _bare: PlainHub,
    _agents: Vec<Agent>,
    _world: World,
}

impl Site {
    /// The hubs, their devices, and users who have signed in with this browser.
    pub(crate) async fn new(browser: &Browser) -> Site {
        let world = World::new().await;
        let mut hub = PlainHub::start(&world, "hub", 1);
        let lab = waiting_device(&world, &mut hub);
        let empty = PlainHub::start(&world, "empty", 2);
        let bare = PlainHub::start(&world, "bare", 3);
        let (web1, mut nas, pi) = (agent(&world, "web1", &hub), agent(&world, "nas", &hub), agent(&world, "pi", &hub));
        nas.write("smart.err", "Device: /dev/sdb, FAILED SMART self-check. BACK UP DATA NOW!\n");
        world.push("FAILED SMART").await;
        nas.daemon.kill();
        for task in ["backup", "certbot", "logrotate", "mysqldump"] {
            web1.write(&format!("{task}.log"), "备份完成：12,381 个文件，1.4 GB\n");
        }
        web1.write("nginx.err", "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n");
        // A message of one notice has its link.
        let incident_link = link_in_push(&world, "Address already in use").await;
        web1.write("数据库.err", "数据库连接失败：磁盘空间不足，请立即检查 /data 分区\nSQLSTATE[HY000] [2002]\n");
        let unbroken = format!("https://example.com/{}\n", "a-path-without-an-end".repeat(20));
        pi.write(&format!("{}.err", "a_task_with_a_long_name_".repeat(4)), &unbroken);
        pi.write("rsync.err", "rsync: connection unexpectedly closed (0 bytes received so far)\n");
        pi.write("hello.msg", "the roof window is open\n");
        world.push("ERR pi/rsync").await;
        fs::remove_file(pi.log_dir.join("rsync.err")).unwrap();
        world.push("OVER pi/rsync").await;
        world.push("磁盘空间不足").await;
        hub.hub
            .verb(&["silence", "add", "--device", "web1", "--task", "certbot", "--for", "2h", "--comment", "换证书"])
            .good();
        hub.hub
            .verb(&["silence", "add", "--device", "nas", "--every", "0 2 * * 0", "--for", "3h", "--comment", "scrub"])
            .good();
        hub.hub.verb(&["token", "create", "grafana", "--scope", "read"]).good();
        let join_link = hub.hub.join_link();
        hub.hub.wait("the device without power is lost", |hub| {
            hub.incidents().iter().any(|row| row["device"] == "nas" && row["subject"] == "device").then_some(())
        });
        hub.hub.verb(&["report", "now", "--push"]).good();
        let report_link = hub.at(&report_address(&hub));
        empty.sign_in(browser).await;
        let user_of_empty = browser.cookies().await;
        browser.set_cookies(&json!([])).await;
        hub.sign_in(browser).await;
        let user = browser.cookies().await;
        let (incident, incident_over) = (hub.incident("nginx"), hub.incident("rsync"));
        Site {
            setup_link: bare.setup_link(),
            hub,
            empty,
            join_link,
            report_link,
            incident_link,
            incident,
            incident_over,
            user,
            user_of_empty,
            _bare: bare,
            _agents: vec![web1, nas, pi, lab],
            _world: world,
        }
    }

    /// Opens a page as its visitor.
    pub(crate) async fn open(&self, page: &Page, browser: &Browser) {
        let cookies = match page.visitor {
            Visitor::Stranger => &json!([]),
            Visitor::User => &self.user,
            Visitor::UserOfEmptyHub => &self.user_of_empty,
        };
        browser.set_cookies(cookies).await;
        browser.open_page(&(page.address)(self)).await;
        if let Some(xpath) = page.click {
            browser.click(xpath).await;
            browser.find("[role=status]").await;
        }
    }
}

/// A device that waits until somebody accepts it: the hub has been set back to before it joined.
fn waiting_device(world: &World, hub: &mut PlainHub) -> Agent {
    let (state, copy) = (hub.hub.state_dir.clone(), world.folder().join("before"));
    hub.hub.daemon.stop();
    olog_journeys::daemon::run(Command::new("cp").arg("-a").arg(&state).arg(&copy)).good();
    hub.hub.start();
    let lab = agent(world, "lab", hub);
    hub.hub.daemon.stop();
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&copy, &state).unwrap();
    hub.hub.start();
    let waits = |hub: &Hub| hub.verb(&["device", "list", "--pending"]).good().contains("lab").then_some(());
    hub.hub.wait("the device waits", waits);
    lab
}

/// Where the newest report is.
fn report_address(hub: &PlainHub) -> String {
    let rows = hub.hub.query::<String>("SELECT token FROM reports ORDER BY id DESC LIMIT 1");
    format!("/reports/{}", rows.first().map(String::as_str).unwrap_or_default())
}
