//! The `exec` channel: a command of the operator runs once per call, reads the notification on standard input, and answers with its
//! exit code.
//!
//! `command` is a program and its arguments; no shell is involved. `stdin` selects the input: `json` (the object is documented in
//! docs/operations.md), `text`, `markdown` or `html`. In an argument, `{title}` and `{summary}` are replaced by those of the
//! notification; log text never becomes a separate argument. The environment holds only `PATH`, `HOME` and `LANG`. The command has no
//! ambient capabilities, whatever this process has, unless `keep_capabilities` says so.
//!
//! A run may take 10 s. After that its whole process group is killed. The output is read to its end, and its last lines are kept.
//!
//! Exit codes follow sysexits(3):
//!
//! | exit code | meaning | consequence |
//! |---|---|---|
//! | 0 | accepted | done |
//! | 75 (temporary failure) | the service is busy | retry with backoff |
//! | 65 (data error) | the message's form was refused | one more try as short plain text |
//! | 77 (no permission), or no such program | the configuration is wrong | the channel stops until the operator rearms it |
//! | other codes and signals | unknown | this notification is tried again after the others; nothing is lost |

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use olog_daemon::config::{Key, Table, quote};
use olog_daemon::keys;
use olog_daemon::secret::Secret;
use olog_proto::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{About, Answer, Form, Limits, Message, Receiver, Refusal, Unit};

/// Characters of a body: as many as a report has.
const BODY_MAX: usize = 40_000;
/// A run is over after this.
const RUN_MAX: Duration = Duration::from_secs(10);
/// The version of the object on standard input: fields may be added to it, never changed.
const VERSION: u32 = 1;
/// What is kept of each output.
const TAIL_MAX: usize = 4096;
/// Characters of the last line that are told.
const WORDS_MAX: usize = 300;
/// After its end, for what it has written to be read: a child of its own may hold the pipe.
const READ_ON_MAX: Duration = Duration::from_millis(500);
/// Where programs are if the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command that is run for each notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exec {
    program: String,
    /// They may hold secrets: shown only as masked.
    args: Vec<Argument>,
    /// What is masked in them.
    secrets: Vec<Secret>,
    input: Input,
    keeps_capabilities: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Argument(String);

impl std::fmt::Debug for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Argument {
    /// Of an address (`tgram://TOKEN/CHAT`) and of `--key=VALUE` the beginning.
    fn masked(&self) -> String {
        match self.0.find("://") {
            Some(at) => format!("{}…", self.0.get(..at + 3).unwrap_or_default()),
            None => match self.0.find('=') {
                Some(at) => format!("{}…", self.0.get(..=at).unwrap_or_default()),
                None => self.0.clone(),
            },
        }
    }

    /// What was left out of it.
    fn secret(&self) -> Option<Secret> {
        let shown = self.masked();
        let shown = shown.strip_suffix('…').filter(|shown| shown.len() < self.0.len())?;
        self.0.strip_prefix(shown).and_then(Secret::new)
    }
}

/// What stands on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Input {
    #[default]
    Json,
    Form(Form),
}

const INPUTS: [(&str, Input); 4] = [
    ("json", Input::Json),
    ("text", Input::Form(Form::Text)),
    ("markdown", Input::Form(Form::Markdown)),
    ("html", Input::Form(Form::Html)),
];

/// Of the type `exec`.
pub(crate) static KEYS: &[Key] = keys! {
    /// A program and its arguments. No shell reads it.
    "command", Texts, Wrong("expected a program and its arguments as a list of strings"), "0.1";
    /// What stands on its standard input.
    "stdin", Choice(&["json", "text", "markdown", "html"]), Is("\"json\""), "0.1";
    /// The program has the capabilities of its daemon: the agent's may then read every file.
    "keep_capabilities", Bool, Is("false"), "0.1";
};

impl Exec {
    /// Reads [`KEYS`].
    pub(crate) fn parse(table: &mut Table) -> Option<Exec> {
        table.declare(KEYS);
        let input = table.take_choice("stdin", &INPUTS).unwrap_or_default();
        let word = |text: &str| {
            if text.contains('\0') { Err("must not hold a NUL".to_owned()) } else { Ok(text.to_owned()) }
        };
        let mut words = table.take_list_as("command", word)?.into_iter();
        let Some(program) = words.next().filter(|program| !program.is_empty()) else {
            table.fault("command", "expected a program and its arguments as a list of strings");
            return None;
        };
        if program.contains('/') && !program.starts_with('/') {
            table.fault("command", "expected a program's name, or its path from /");
        }
        let mut exec = Exec::new(program, words.map(Argument).collect(), input);
        exec.keeps_capabilities = table.take_bool("keep_capabilities").unwrap_or_default();
        let args = exec.args.iter().map(|arg| quote(&arg.masked()));
        let command: Vec<String> = std::iter::once(quote(&exec.program)).chain(args).collect();
        table.show_toml("command", format!("[{}]", command.join(", ")));
        Some(exec)
    }

    fn new(program: String, args: Vec<Argument>, input: Input) -> Exec {
        let secrets = args.iter().filter_map(Argument::secret).collect();
        Exec { program, args, secrets, input, keeps_capabilities: false }
    }

    /// What is masked there.
    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        self.secrets.iter().collect()
    }

    /// As much as a report has, in the form that is read.
    pub(crate) fn limits(&self) -> Limits {
        let form = if let Input::Form(form) = self.input { form } else { Form::Html };
        Limits { unit: Unit::Characters, form, body: BODY_MAX, plain: BODY_MAX, summary_chars: 100 }
    }

    /// The program stands for whomever it tells.
    pub(crate) fn receivers(&self) -> Vec<Receiver> {
        let name = self.program.rsplit('/').next().unwrap_or_default();
        vec![Receiver { id: name.to_owned() }]
    }

    /// As [`Exec::receivers`]: there is but one.
    pub(crate) fn in_one_call(&self, left: &[Receiver]) -> Vec<Receiver> {
        self.receivers().into_iter().filter(|receiver| left.contains(receiver)).collect()
    }

    /// One run; ends soon after 10 s at the latest.
    pub(crate) async fn send(&self, message: &Message, to: &[Receiver], now: Timestamp) -> Vec<(Receiver, Answer)> {
        let Some(receiver) = self.receivers().into_iter().find(|receiver| to.contains(receiver)) else {
            return Vec::new();
        };
        let mut command = Command::new(&self.program);
        command
            .args(self.args.iter().map(|arg| filled(&arg.0, message)))
            .env_clear()
            .envs(environment())
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let answer = match self.run(command, self.input(message, now)).await {
            Ok(answer) => answer,
            Err(error) => self.unstarted(&error),
        };
        vec![(receiver, self.in_words(answer))]
    }

    async fn run(&self, mut command: Command, input: Vec<u8>) -> io::Result<Answer> {
        let mut child = if self.keeps_capabilities { command.spawn()? } else { spawn_unprivileged(command)? };
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut said, mut complained) = (Tail::default(), Tail::default());
        let ended = {
            let talk = async {
                let write = async {
                    if let Some(mut stdin) = stdin {
                        // A program may end without having read it.
                        drop(stdin.write_all(&input).await);
                    }
                };
                tokio::join!(write, said.read(stdout), complained.read(stderr));
            };
            tokio::pin!(talk);
            let run = async {
                let mut is_over = false;
                let status = loop {
                    tokio::select! {
                        status = child.wait() => break status,
                        () = &mut talk, if !is_over => is_over = true,
                    }
                };
                if !is_over {
                    drop(timeout(READ_ON_MAX, &mut talk).await);
                }
                status
            };
            timeout(RUN_MAX, run).await
        };
        let Ok(status) = ended else {
            drop(group);
            // Killed, so this comes at once; reaped later if not.
            drop(timeout(READ_ON_MAX, child.wait()).await);
            let last = complained.last_line().or_else(|| said.last_line()).unwrap_or_default();
            let why = format!("killed after {} s {last}", RUN_MAX.as_secs());
            return Ok(Answer::Later { after: None, why });
        };
        // It has ended by itself: what it started on purpose may live on.
        group.0 = None;
        Ok(answer(status?, &said, &complained))
    }

    fn unstarted(&self, error: &io::Error) -> Answer {
        let why = format!("cannot run {}: {error}", self.program);
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                Answer::Refused { class: Refusal::Credential, why }
            }
            _ => Answer::Later { after: None, why },
        }
    }

    fn input(&self, message: &Message, now: Timestamp) -> Vec<u8> {
        match self.input {
            Input::Json => object(message, now).to_string().into_bytes(),
            Input::Form(form) => message.body(form).0.as_bytes().to_vec(),
        }
    }

    /// Bounded, on one line, without a secret that the program repeats.
    fn in_words(&self, answer: Answer) -> Answer {
        let words = |words: String| {
            let masked = self.secrets.iter().filter(|secret| secret.reveal().len() >= 6);
            let words = masked.fold(words, |words, secret| words.replace(secret.reveal(), &secret.masked()));
            words.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect()
        };
        match answer {
            Answer::Accepted { words: said } => Answer::Accepted { words: words(said) },
            Answer::Later { after, why } => Answer::Later { after, why: words(why) },
            Answer::Refused { class, why } => Answer::Refused { class, why: words(why) },
        }
    }
}

/// What stands on the standard input of a program for each value of `stdin`.
#[cfg(test)]
pub(crate) fn inputs(message: &Message, now: Timestamp) -> Vec<(&'static str, Vec<u8>)> {
    INPUTS.iter().map(|(name, input)| (*name, Exec::new("x".into(), Vec::new(), *input).input(message, now))).collect()
}

/// Starts a command without the ambient capabilities of this process: the agent may read every file, and its channel's program need not.
/// They are those of a thread, and what it starts inherits them: so a thread that gives them up starts the command.
fn spawn_unprivileged(mut command: Command) -> io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    let start = move || {
        let _entered = runtime.enter();
        // Without ambient capabilities there is nothing to give up; an older kernel has none.
        if let Err(error) = rustix::thread::clear_ambient_capability_set()
            && error != rustix::io::Errno::INVAL
        {
            return Err(error.into());
        }
        command.spawn()
    };
    let thread = std::thread::Builder::new().name("olog-exec".to_owned()).spawn(start)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts the command panicked")))
}

/// Kills a run with all that it started, unless it has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0
            && let Err(error) = kill_process_group(leader, Signal::KILL)
        {
            // Gone already is as good.
            tracing::debug!(%error, "the process group of a command is not killed");
        }
    }
}

/// The end of an output.
#[derive(Debug, Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// To its end; what cannot be read is its end.
    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut chunk).await {
            self.0.extend_from_slice(chunk.get(..n).unwrap_or_default());
            let over = self.0.len().saturating_sub(TAIL_MAX);
            self.0.drain(..over);
        }
    }

    fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}

fn answer(status: ExitStatus, said: &Tail, complained: &Tail) -> Answer {
    let how = status.to_string();
    if status.success() {
        let words = said.last_line().or_else(|| complained.last_line()).unwrap_or(how);
        return Answer::Accepted { words };
    }
    let why = complained.last_line().or_else(|| said.last_line());
    let why = why.map_or_else(|| how.clone(), |line| format!("{how}: {line}"));
    let class = match status.code() {
        Some(75) => return Answer::Later { after: None, why },
        Some(65) => Refusal::Format,
        Some(77) => Refusal::Credential,
        _ => Refusal::Other,
    };
    Answer::Refused { class, why }
}

fn environment() -> Vec<(&'static str, OsString)> {
    let of = |key: &'static str| std::env::var_os(key).map(|value| (key, value));
    let path = of("PATH").unwrap_or_else(|| ("PATH", PATH.into()));
    // Without a locale many programs refuse what is not ASCII.
    let lang = of("LANG").unwrap_or_else(|| ("LANG", "C.UTF-8".into()));
    [Some(path), Some(lang), of("HOME")].into_iter().flatten().collect()
}

/// The argument with the notification's title and summary where it names them.
fn filled(arg: &str, message: &Message) -> String {
    let line = |words: &str| words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let mut filled = String::new();
    let mut rest = arg;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let known = [("{title}", &message.title), ("{summary}", &message.summary)];
        rest = match known.iter().find_map(|(name, words)| from.strip_prefix(name).map(|rest| (rest, words))) {
            Some((behind, words)) => {
                filled.push_str(&line(words));
                behind
            }
            None => {
                filled.push('{');
                from.strip_prefix('{').unwrap_or_default()
            }
        };
    }
    filled + rest
}

/// The object on standard input.
fn object(message: &Message, now: Timestamp) -> Value {
    let one = |about: &About| {
        let at = in_utc(about.at);
        json!({ "kind": about.kind, "device": about.device, "task": about.task, "incident": about.incident, "at": at })
    };
    let about: Vec<Value> = message.about.iter().map(one).collect();
    let worst = about.first().cloned().unwrap_or_else(|| json!({}));
    let field = |key: &str| worst.get(key).cloned().unwrap_or_default();
    json!({
        "version": VERSION,
        "kind": field("kind"),
        "title": message.title,
        "summary": message.summary,
        "text": message.text,
        "html": message.html,
        "markdown": message.markdown,
        "device": field("device"),
        "task": field("task"),
        "incident": field("incident"),
        "at": field("at"),
        "sent_at": in_utc(now),
        "about": about,
    })
}

/// RFC 3339.
fn in_utc(at: Timestamp) -> Option<String> {
    let at = chrono::DateTime::from_timestamp_millis(at.0)?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests;
