//! Asks questions in a terminal, or reads the answers as lines from a pipe; in the chosen language.
//!
//! In a terminal a wrong answer is explained and the question repeated, and a secret is read without being shown. From a pipe
//! every line is one answer: a wrong one ends setup, because the next line answers the next question.

use std::{
    fmt::Display,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
};

use olog_push::words::{Arg, Localizer};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::print_lines;

/// Bytes of an answer.
const ANSWER_MAX: u64 = 16 * 1024;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_U: u8 = 21;
const BACKSPACES: [u8; 2] = [8, 127];

/// Why setup ended early.
#[derive(Debug)]
pub(super) enum SetupStop {
    /// No more answers, at this question.
    Ended(String),
    Wrong {
        question: String,
        problem: String,
    },
    Cancelled,
    Io(io::Error),
}

impl From<io::Error> for SetupStop {
    fn from(error: io::Error) -> SetupStop {
        SetupStop::Io(error)
    }
}

/// Asks.
#[derive(Debug)]
pub(super) struct Asker {
    is_terminal: bool,
    /// The language of the questions.
    pub(super) say: Localizer,
}

impl Asker {
    pub(super) fn new(say: Localizer) -> Asker {
        Asker { is_terminal: io::stdin().is_terminal(), say }
    }

    /// A sentence of the catalogue.
    pub(super) fn t(&self, key: &str, args: &[Arg<'_>]) -> String {
        self.say.text(key, args)
    }

    /// As [`Asker::ask`], for a question that may have no default; `None` when the answers have ended.
    pub(super) fn ask_or<T>(
        &mut self,
        question: &str,
        default: &str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SetupStop> {
        match self.ask(question, Some(default), check) {
            Ok(answer) => Ok(Some(answer)),
            Err(SetupStop::Ended(_)) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// A question; an empty answer is the default, if there is one.
    pub(super) fn ask<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, SetupStop> {
        loop {
            self.prompt(question, default)?;
            let line = self.line()?.ok_or_else(|| SetupStop::Ended(question.to_owned()))?;
            let answer = if line.is_empty() { default.unwrap_or_default() } else { &line };
            match check(answer) {
                Ok(answer) => return Ok(answer),
                Err(problem) => self.again(question, problem)?,
            }
        }
    }

    /// A secret; an empty answer keeps the one that is there, if there is one.
    pub(super) fn secret<T>(
        &mut self,
        question: &str,
        is_there: bool,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SetupStop> {
        loop {
            // Before the question: whoever types at once is not shown either.
            let quiet = if self.is_terminal { Some(Quiet::new(self.t("setup-echo", &[]))?) } else { None };
            self.prompt(question, is_there.then(|| self.t("setup-there", &[])))?;
            let line = if quiet.is_some() { unseen()? } else { self.line()? };
            drop(quiet);
            let line = line.ok_or_else(|| SetupStop::Ended(question.to_owned()))?;
            if line.is_empty() && is_there {
                return Ok(None);
            }
            match check(&line) {
                Ok(answer) => return Ok(Some(answer)),
                Err(problem) => self.again(question, problem)?,
            }
        }
    }

    /// Yes or no; when the answers have ended, the default.
    pub(super) fn yes(&mut self, question: &str, default: bool) -> Result<bool, SetupStop> {
        loop {
            self.prompt(
                &format!("{question}{}", self.t("setup-question-mark", &[])),
                Some(if default { "y" } else { "n" }),
            )?;
            match self.line()?.as_deref() {
                None | Some("") => return Ok(default),
                Some("y" | "Y" | "yes") => return Ok(true),
                Some("n" | "N" | "no") => return Ok(false),
                Some(_) => self.again(question, self.t("setup-yes-or-no", &[]))?,
            }
        }
    }

    fn prompt(&self, question: &str, default: Option<impl Display>) -> Result<(), SetupStop> {
        let default = default.map_or_else(String::new, |default| format!(" [{default}]"));
        let end = if self.is_terminal { "" } else { "\n" };
        let mut err = io::stderr();
        write!(err, "{question}{default}: {end}")?;
        Ok(err.flush()?)
    }

    /// The next line without the white space around it; `None` at the end.
    fn line(&self) -> Result<Option<String>, SetupStop> {
        let mut line = String::new();
        let n = io::stdin().lock().take(ANSWER_MAX).read_line(&mut line)?;
        Ok((n > 0).then(|| line.trim().to_owned()))
    }

    fn again(&self, question: &str, problem: String) -> Result<(), SetupStop> {
        if !self.is_terminal {
            return Err(SetupStop::Wrong { question: question.to_owned(), problem });
        }
        print_lines(&problem);
        Ok(())
    }
}

/// A line from a terminal that is [`Quiet`]. Its keys are read one by one, so that Ctrl-C leaves the terminal as it was.
fn unseen() -> Result<Option<String>, SetupStop> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    // Not by `BufRead`: what is read ahead would be read while it is shown.
    let mut keys = io::stdin().lock();
    let ended = loop {
        if keys.read(&mut byte)? == 0 {
            break line.is_empty();
        }
        match byte {
            [b'\r' | b'\n'] => break false,
            [CTRL_C] => return Err(SetupStop::Cancelled),
            [CTRL_D] if line.is_empty() => break true,
            [CTRL_U] => line.clear(),
            [key] if BACKSPACES.contains(&key) => drop(line.pop()),
            [key] if (line.len() as u64) < ANSWER_MAX => line.push(key),
            [_] => {}
        }
    };
    print_lines("");
    Ok((!ended).then(|| String::from_utf8_lossy(&line).trim().to_owned()))
}

/// The terminal shows no keys and gives them one by one, until this is dropped.
struct Quiet {
    was: Termios,
    /// Said if the terminal stays quiet.
    warning: String,
}

impl Quiet {
    fn new(warning: String) -> Result<Quiet, SetupStop> {
        let was = tcgetattr(io::stdin()).map_err(io::Error::from)?;
        let mut quiet = was.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet).map_err(io::Error::from)?;
        Ok(Quiet { was, warning })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if tcsetattr(io::stdin(), OptionalActions::Now, &self.was).is_err() {
            print_lines(&self.warning);
        }
    }
}
