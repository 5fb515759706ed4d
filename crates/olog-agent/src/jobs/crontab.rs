//! Reads crontabs as Debian's cron does, and writes the line by which a job reports.
//!
//! A line that cron would refuse is a [`Mistake`] with its number; the lines around it are read. A command is text for a shell, in which the first
//! `%` without a backslash ends the command and begins its input. So the line for `exec` is made of the raw text: what has a backslash keeps it.

use chrono_tz::Tz;
use olog_proto::schedule::Schedule;

use super::is_exec;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `/etc/crontab`, `/etc/cron.d`: a user stands before the command.
    System,
    /// Of a user.
    User,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its line, from 1.
    pub(super) line: usize,
    /// The five fields, or `@daily` and kin.
    pub(super) schedule: String,
    /// The same, understood; `None`: `@reboot`.
    pub(super) when: Option<Schedule>,
    /// The time zone that `CRON_TZ` above it names; it may be none.
    pub(super) zone: Option<String>,
    /// Of a system crontab.
    pub(super) user: Option<String>,
    /// The raw text after that, input included.
    pub(super) command: String,
    /// The shell that cron starts.
    shell: String,
}

/// What cron would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Its line, from 1.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) problem: String,
}

/// Every job and every mistake, in their order.
pub(super) fn read(text: &str, layout: Layout) -> (Vec<Entry>, Vec<Mistake>) {
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    let (mut shell, mut zone) = ("/bin/sh".to_owned(), None);
    for (n, line) in text.lines().enumerate() {
        let line_text = line.trim();
        if line_text.is_empty() || line_text.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = assignment(line_text) {
            if name == "SHELL" {
                value.clone_into(&mut shell);
            }
            // `TZ` is of the command only: no cron runs by it.
            if name == "CRON_TZ" {
                zone = Some(value.to_owned()).filter(|zone| !zone.is_empty());
                if value.parse::<Tz>().is_err() && !value.is_empty() {
                    mistakes.push(Mistake { line: n + 1, problem: format!("CRON_TZ: no such time zone: {value}") });
                }
            }
            continue;
        }
        match entry(line_text, layout) {
            Ok(entry) => entries.push(Entry { line: n + 1, shell: shell.clone(), zone: zone.clone(), ..entry }),
            Err(problem) => mistakes.push(Mistake { line: n + 1, problem }),
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        let problem = "the last line has no line end: cron ignores it".to_owned();
        mistakes.push(Mistake { line: text.lines().count(), problem });
    }
    (entries, mistakes)
}

/// `NAME = VALUE`, quoted or not.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_matches(['"', '\'']);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (name, value.trim().trim_matches(['"', '\''])))
}

fn entry(line: &str, layout: Layout) -> Result<Entry, String> {
    let (schedule, when, rest) = match line.starts_with('@') {
        true => {
            let (word, rest) = next_word(line);
            const WORDS: [&str; 8] =
                ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
            if !WORDS.contains(&word) {
                return Err(format!("expected one of {}, found {word}", WORDS.join(" ")));
            }
            (word.to_owned(), word.parse::<Schedule>().ok(), rest)
        }
        false => {
            let (text, schedule, rest) = five_fields(line)?;
            (text, Some(schedule), rest)
        }
    };
    let (user, command) = match layout {
        Layout::System => {
            let (user, command) = next_word(rest);
            (Some(user.to_owned()), command)
        }
        Layout::User => (None, rest),
    };
    match command {
        "" if layout == Layout::System => Err("expected a user and a command after the schedule".to_owned()),
        "" => Err("expected a command after the schedule".to_owned()),
        command => {
            let command = command.to_owned();
            Ok(Entry { line: 0, schedule, when, zone: None, user, command, shell: String::new() })
        }
    }
}

fn next_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// The first five fields, if they are a schedule, and what comes after them.
fn five_fields(line: &str) -> Result<(String, Schedule, &str), String> {
    let (mut rest, mut fields) = (line, Vec::new());
    for _ in 0..5 {
        let (field, after) = next_word(rest);
        if field.is_empty() {
            return Err("expected five fields and a command".to_owned());
        }
        fields.push(field);
        rest = after;
    }
    let text = fields.join(" ");
    let schedule = text.parse::<Schedule>().map_err(|error| error.to_string())?;
    Ok((text, schedule, rest))
}

impl Entry {
    /// The command without its input, and the input with its `%`.
    fn parts(&self) -> (&str, &str) {
        let mut escaped = false;
        for (at, c) in self.command.char_indices() {
            if c == '%' && !escaped {
                return self.command.split_at_checked(at).unwrap_or((&self.command, ""));
            }
            escaped = c == '\\' && !escaped;
        }
        (&self.command, "")
    }

    /// The same line, with the command run by `exec`.
    pub(super) fn reporting(&self, task: &str) -> String {
        let (command, input) = self.parts();
        let command = command.trim_end();
        let command = if needs_shell(command) {
            format!("{} -c '{}'", self.shell, command.replace('\'', r"'\''"))
        } else {
            command.to_owned()
        };
        let user = self.user.as_deref().map(|user| format!("{user} ")).unwrap_or_default();
        let input = if input.is_empty() { String::new() } else { format!(" {input}") };
        format!("{} {user}olog-agent exec --task {task} -- {command}{input}", self.schedule)
    }

    /// A name for its task: the program, without folders and the ending of a script.
    pub(super) fn task(&self) -> String {
        task_of(self.parts().0)
    }

    /// The folder whose scripts it runs.
    pub(super) fn run_parts(&self) -> Option<&str> {
        let mut words = self.command.split_whitespace();
        words.any(|word| word.rsplit('/').next() == Some("run-parts")).then_some(())?;
        words.find(|word| word.starts_with('/')).map(|word| word.trim_end_matches([';', ')', '}']))
    }

    /// It reports by `exec`.
    pub(super) fn is_by_exec(&self) -> bool {
        is_exec(&self.command)
    }
}

/// More than a program with its arguments: `exec` starts programs, not shell commands.
fn needs_shell(command: &str) -> bool {
    const SHELL_WORDS: [&str; 23] = [
        ".", ":", "[", "!", "{", "cd", "command", "eval", "exec", "export", "for", "if", "case", "while", "until",
        "set", "source", "trap", "ulimit", "umask", "unset", "wait", "alias",
    ];
    let (first, _) = next_word(command);
    command.contains(['|', '&', ';', '<', '>', '(', ')', '`']) || first.contains('=') || SHELL_WORDS.contains(&first)
}

/// A name for the task of a command: its program, without folders and the ending of a script.
pub(super) fn task_of(command: &str) -> String {
    const PASSED_OVER: [&str; 22] = [
        "sudo", "nice", "ionice", "nohup", "env", "chronic", "sh", "bash", "dash", "python", "python3", "perl", "php",
        "ruby", "node", "test", "[", "then", "do", "else", "exec", "command",
    ];
    const PREPARES: [&str; 10] = ["cd", "test", "[", "export", ".", "source", "if", "while", "for", "umask"];
    // Options of the programs above that have a value: `sudo -u USER`, `nice -n 19`.
    const WITH_VALUE: [&str; 3] = ["-u", "-g", "-n"];
    // The first part that is a command of its own: `cd /srv && make`, `test -x /x || make`.
    let part = |part: &&str| {
        let (first, _) = next_word(part.trim_start_matches(['{', '(', ' ']));
        !first.is_empty() && !PREPARES.contains(&first)
    };
    let whole = command.split(['&', '|', ';']).map(str::trim).find(part).unwrap_or(command);
    let mut is_value = false;
    let words = whole.split_whitespace().filter(|word| {
        let is_passed_over = is_value;
        is_value = WITH_VALUE.contains(word);
        !is_passed_over
    });
    let name = |word: &str| {
        let word = word.trim_matches(['\'', '"', '{', '(', ')', '}']);
        word.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    };
    let is_program = |word: &String| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && !word.contains('=')
            && !PASSED_OVER.contains(&word.as_str())
    };
    let found = words.map(name).find(is_program).unwrap_or_default();
    let stem = [".sh", ".py", ".pl", ".php", ".rb", ".js"].iter().find_map(|end| found.strip_suffix(end));
    let plain: String =
        stem.unwrap_or(&found).chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    if plain.is_empty() { "job".to_owned() } else { plain }
}

#[cfg(test)]
mod tests;
