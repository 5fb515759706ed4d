//! Asks the service manager by its own programs. Every call has a time limit, and its answer a bound.

use std::{collections::BTreeMap, ffi::OsString, io, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};

/// A call takes no longer.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const ANSWER_MAX: u64 = 4 << 20;
/// Lines of a unit's journal that are reported, and bytes of them.
const JOURNAL_LINES: &str = "20";
const JOURNAL_MAX: usize = 8 * 1024;
/// The journal's ids of three messages of systemd: the main process exited, the unit failed, the unit ended well.
const EXITED: &str = "MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15";
const FAILED: &str = "MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c";
const SUCCEEDED: &str = "MESSAGE_ID=7ad2d189f7e94e70a38c781354912448";
/// What systemd writes about our own hook is no news of the unit.
const HOOK_LINES: [&str; 2] = ["Triggering OnFailure= dependencies.", "Triggering OnSuccess= dependencies."];
/// Units whose properties are asked for at once: a command line is bounded.
const UNITS_AT_ONCE: usize = 200;

/// A unit's properties, as `systemctl show` prints them.
pub type Properties = BTreeMap<String, String>;

/// How the run of a unit ended, in systemd's words; what is not known is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastEnd {
    /// `success`, `exit-code`, `signal`, `timeout` …
    pub result: Option<String>,
    /// `exited`, `killed` or `dumped`.
    pub code: Option<String>,
    /// An exit code, or a signal's number or name.
    pub status: Option<String>,
}

/// The programs; each with the arguments that come first.
#[derive(Debug, Clone)]
pub struct Systemd {
    /// `systemctl`.
    pub systemctl: Vec<OsString>,
    /// `journalctl`.
    pub journalctl: Vec<OsString>,
}

impl Default for Systemd {
    fn default() -> Systemd {
        Systemd { systemctl: vec!["systemctl".into()], journalctl: vec!["journalctl".into()] }
    }
}

impl Systemd {
    /// `systemctl ARGS`; its output, or what it complained of.
    pub async fn control(&self, args: &[&str]) -> io::Result<Vec<u8>> {
        call(&self.systemctl, args).await
    }

    /// These properties of these units, one map for each unit that was found, in their order.
    pub async fn show(&self, units: &[&str], properties: &[&str]) -> io::Result<Vec<Properties>> {
        let properties = format!("--property={}", properties.join(","));
        let mut all = Vec::new();
        for units in units.chunks(UNITS_AT_ONCE) {
            let mut args = vec!["show", "--no-pager", properties.as_str(), "--"];
            args.extend(units);
            all.extend(blocks(&String::from_utf8_lossy(&self.control(&args).await?)));
        }
        Ok(all)
    }

    /// The last lines of a unit's journal.
    pub async fn journal(&self, unit: &str) -> io::Result<String> {
        let unit = format!("--unit={unit}");
        // The lines that the unit wrote right before its end may still be on their way.
        if let Err(error) = call(&self.journalctl, &["--sync"]).await {
            tracing::debug!(%error, "the journal was not synchronised");
        }
        let args = [&unit, "--lines", JOURNAL_LINES, "--output=cat", "--no-pager", "--quiet"];
        let text = String::from_utf8_lossy(&call(&self.journalctl, &args).await?).into_owned();
        let lines = text.lines().filter(|line| !HOOK_LINES.iter().any(|hook| line.ends_with(hook)));
        let text = lines.collect::<Vec<_>>().join("\n");
        let from = text.ceil_char_boundary(text.len().saturating_sub(JOURNAL_MAX));
        Ok(text.get(from..).unwrap_or_default().trim_end().to_owned())
    }

    /// How the unit's last run ended, as the journal has it: for a unit that already runs again.
    pub async fn last_end(&self, unit: &str) -> io::Result<LastEnd> {
        let unit = format!("--unit={unit}");
        let args = [&unit, "--lines=2", "--output=json", "--no-pager", "--quiet", EXITED, FAILED, SUCCEEDED];
        Ok(last_end(&String::from_utf8_lossy(&call(&self.journalctl, &args).await?)))
    }
}

/// Of the last two of these messages: the second says whether the run ended well, the first how its main process exited.
fn last_end(lines: &str) -> LastEnd {
    let messages: Vec<serde_json::Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let text = |message: &serde_json::Value, field: &str| {
        message.get(field).and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let Some((last, before)) = messages.split_last() else { return LastEnd::default() };
    let exited = before.last().filter(|before| before.get("EXIT_CODE").is_some());
    match text(last, "UNIT_RESULT") {
        Some(result) => LastEnd {
            result: Some(result),
            code: exited.and_then(|exited| text(exited, "EXIT_CODE")),
            status: exited.and_then(|exited| text(exited, "EXIT_STATUS")),
        },
        None => LastEnd::default(),
    }
}

/// `KEY=VALUE` lines; an empty line ends a unit. A property with several values has a line for each: they are joined.
fn blocks(text: &str) -> Vec<Properties> {
    let properties = |block: &str| {
        let mut found = Properties::new();
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            found.entry(key.to_owned()).or_default().push_str(value);
        }
        found
    };
    text.split("\n\n").map(properties).filter(|found| !found.is_empty()).collect()
}

async fn call(program: &[OsString], args: &[&str]) -> io::Result<Vec<u8>> {
    let Some((name, first)) = program.split_first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", name.to_string_lossy()));
    let mut command = Command::new(name);
    command.args(first).args(args).env("SYSTEMD_COLORS", "0").env("SYSTEMD_PAGER", "").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(named)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (out, err) = tokio::join!(bounded(stdout), bounded(stderr));
        let (out, err) = (out?, err?);
        match child.wait().await? {
            status if status.success() => Ok(out),
            status => {
                let err = String::from_utf8_lossy(&err);
                let said = err.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                Err(io::Error::other(if said.is_empty() { status.to_string() } else { said.to_owned() }))
            }
        }
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", LIMIT.as_secs()));
    timeout(LIMIT, ended).await.unwrap_or_else(|_| Err(late())).map_err(named)
}

/// All that comes, of which no more than [`ANSWER_MAX`] is returned: a program that is not read would wait.
async fn bounded(from: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let Some(mut from) = from else { return Ok(Vec::new()) };
    let mut answer = Vec::new();
    (&mut from).take(ANSWER_MAX).read_to_end(&mut answer).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(answer)
}
