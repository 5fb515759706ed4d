//! A real browser: Chromium without a window, driven by chromedriver.
//!
//! It belongs to one test and ends with it, with everything that it started. It has a profile of its own, so no test sees another's cookies.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, error::CmdError, wd};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long a page may take to show what is expected: a limit for what never comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a page.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A browser with one window.
pub(crate) struct Browser {
    driver: Driver,
    client: Client,
}

/// The process of chromedriver, which starts and ends Chromium.
struct Driver {
    child: Child,
    port: u16,
    _profile: TempDir,
}

/// A command of Chromium's own protocol, through chromedriver.
#[derive(Debug)]
struct Cdp(Value);

impl wd::WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _url: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.0.to_string()))
    }
}

/// Is the program installed?
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

impl Driver {
    fn start() -> Driver {
        let profile = TempDir::with_prefix("olog-browser-").unwrap();
        let mut command = Command::new("chromedriver");
        // A group of its own: all of it can be ended.
        command.arg("--port=0").process_group(0).env("HOME", profile.path()).env("TMPDIR", profile.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "chromedriver did not start: {said}");
            said.push_str(&line);
            let port =
                line.split_once("started successfully on port ").map(|(_, port)| port.trim().trim_end_matches('.'));
            if let Some(port) = port {
                break port.parse().unwrap();
            }
        };
        // Or chromedriver would end at its next word.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Driver { child, port, _profile: profile }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // chromedriver ends the browsers that it started.
        if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)) {
            let asked = socket.set_read_timeout(Some(Duration::from_secs(10)));
            let asked = asked.and_then(|()| socket.write_all(b"GET /shutdown HTTP/1.0\r\nHost: localhost\r\n\r\n"));
            drop(asked.and_then(|()| socket.read_to_end(&mut Vec::new())));
        }
        let group = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        drop(self.child.wait());
    }
}

impl Browser {
    /// A browser. `None`: it is not installed, which is said.
    pub(crate) async fn open() -> Option<Browser> {
        for program in ["chromium", "chromedriver"] {
            if !is_installed(program) {
                eprintln!("not run: there is no {program} (apt-get install chromium chromium-driver)");
                return None;
            }
        }
        let driver = Driver::start();
        let mut args = vec!["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];
        args.extend(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
        if rustix::process::geteuid().is_root() {
            // Chromium's own sandbox does not work for root. It opens only pages of the hubs of these tests.
            args.push("--no-sandbox");
        }
        let capabilities = json!({
            "goog:chromeOptions": { "args": args },
            "timeouts": { "pageLoad": 60_000, "script": 60_000 },
        });
        let Value::Object(capabilities) = capabilities else { return None };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{}", driver.port)).await;
        let browser = Browser { client: client.expect("chromedriver starts a browser"), driver };
        browser.viewport(1280, 900).await;
        Some(browser)
    }

    /// Ends it. A browser that is dropped ends too, but waits for that.
    pub(crate) async fn close(self) {
        let Browser { driver, client } = self;
        client.close().await.unwrap();
        drop(driver);
    }

    /// A command of Chromium's own protocol.
    pub(crate) async fn cdp(&self, command: &str, params: Value) -> Value {
        let asked = Cdp(json!({ "cmd": command, "params": params }));
        self.client.issue_cmd(asked).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// The size of the page in CSS pixels. Up to 600 pixels it is a phone: its `viewport` of the page holds.
    pub(crate) async fn viewport(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width <= 600 });
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Whether the reader prefers `light` or `dark`.
    pub(crate) async fn prefers(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// The language that the browser asks for.
    pub(crate) async fn speaks(&self, language: &str) {
        let agent = self.ask("return navigator.userAgent").await;
        let agent = json!({ "userAgent": agent, "acceptLanguage": language });
        self.cdp("Emulation.setUserAgentOverride", agent).await;
    }

    /// Switches the scripts of pages off or on.
    pub(crate) async fn runs_scripts(&self, yes: bool) {
        self.cdp("Emulation.setScriptExecutionDisabled", json!({ "value": !yes })).await;
    }

    /// Opens an address.
    pub(crate) async fn open_page(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Runs a script of the test in the page and returns its result.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Like [`Browser::ask`], for a script that calls `arguments[arguments.length - 1]` with its result.
    pub(crate) async fn ask_later(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Where it is.
    pub(crate) async fn url(&self) -> String {
        self.client.current_url().await.map(String::from).unwrap_or_default()
    }

    /// What the page shows as text.
    pub(crate) async fn text(&self) -> String {
        // By the driver and not by a script: a page may be between two loads.
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until `look` returns something; `what` is for who reads that it never did.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut(&Browser) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            if start.elapsed() > PATIENCE {
                panic!("waited in vain: {what}\n{}\n{}", self.url().await, self.text().await);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the page shows a text.
    pub(crate) async fn shows(&self, text: &str) {
        self.until(&format!("the page shows {text:?}"), async |browser| {
            browser.text().await.contains(text).then_some(())
        })
        .await;
    }

    /// Waits until an element is there.
    pub(crate) async fn find(&self, css: &str) -> Element {
        self.until(css, async |browser| browser.client.find(Locator::Css(css)).await.ok()).await
    }

    /// Waits until an element is there that XPath finds.
    pub(crate) async fn find_by(&self, xpath: &str) -> Element {
        self.until(xpath, async |browser| browser.client.find(Locator::XPath(xpath)).await.ok()).await
    }

    /// Clicks. A page that changes by itself may replace an element between the look and the click.
    pub(crate) async fn click(&self, xpath: &str) {
        self.until(&format!("a click on {xpath}"), async |browser| browser.find_by(xpath).await.click().await.ok())
            .await;
    }

    /// Writes into a field in place of what it has.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        let done: Result<(), CmdError> = async {
            field.clear().await?;
            field.send_keys(text).await
        }
        .await;
        done.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Presses Tab so often.
    pub(crate) async fn press_tab(&self, times: usize) {
        for _ in 0..times {
            for kind in ["rawKeyDown", "keyUp"] {
                let key = json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
                self.cdp("Input.dispatchKeyEvent", key).await;
            }
        }
    }

    /// A picture of the whole page as PNG, at most so high.
    pub(crate) async fn picture(&self, width: u32, height_max: u64) -> Vec<u8> {
        use base64::Engine as _;
        let height = self.ask("return document.documentElement.scrollHeight").await.as_u64().unwrap_or_default();
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height.clamp(1, height_max), "scale": 1 });
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.cdp("Page.captureScreenshot", asked).await;
        let data = shot["data"].as_str().unwrap_or_default();
        base64::engine::general_purpose::STANDARD.decode(data).unwrap()
    }

    /// Its cookies, to be given back by [`Browser::set_cookies`].
    pub(crate) async fn cookies(&self) -> Value {
        self.cdp("Network.getAllCookies", json!({})).await["cookies"].clone()
    }

    /// Has these cookies and no others.
    pub(crate) async fn set_cookies(&self, cookies: &Value) {
        self.cdp("Network.clearBrowserCookies", json!({})).await;
        self.cdp("Network.setCookies", json!({ "cookies": cookies })).await;
    }
}
