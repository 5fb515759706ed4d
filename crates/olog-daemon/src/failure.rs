//! What a worker does about an error: the one failure policy of both daemons.
//!
//! | [`Consequence`] | the cause | what the worker does |
//! |---|---|---|
//! | `Retry` | the outside world: a full disk, a busy store, a network that is down | keeps its work, waits, tries the same again, for as long as it takes |
//! | `SetAside` | this one row, event, message or file is bad, now and later | marks it, counts it, tells it once, and goes on with the next |
//! | `End` | a bug, or a state in which going on would do harm | ends the process; the service manager starts it again |
//!
//! Every error type of a deep module says its consequence by implementing [`Failure`], beside its definition, where the
//! author knows what each variant means. [`crate::workers::Duty`] acts on it and keeps the count. A worker never chains its
//! duties with `?`: an error of one duty must not keep the others from running.

use std::{error::Error, io};

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// The same work succeeds later without any change to it.
    Retry,
    /// The item is bad and stays bad; the others are not affected.
    SetAside,
    /// The process cannot go on.
    End,
}

/// An error that says what follows from it.
pub trait Failure: Error {
    /// What the worker that met this error does.
    fn consequence(&self) -> Consequence;
}

impl Failure for io::Error {
    fn consequence(&self) -> Consequence {
        of_io(self)
    }
}

/// What follows from an error of the file system or the network. The owner of a wrapped `io::Error` calls this for its variant.
pub fn of_io(error: &io::Error) -> Consequence {
    use io::ErrorKind as Kind;
    /// EIO has no kind of its own: the disk fails, which no single file is to blame for.
    const EIO: i32 = 5;
    /// A file descriptor that is not open: our own mistake.
    const EBADF: i32 = 9;
    /// The process, and the whole system, have too many open files: it passes.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    match error.raw_os_error() {
        Some(EIO | ENFILE | EMFILE) => return Consequence::Retry,
        Some(EBADF) => return Consequence::End,
        _ => {}
    }
    match error.kind() {
        Kind::StorageFull
        | Kind::QuotaExceeded
        | Kind::ReadOnlyFilesystem
        | Kind::WouldBlock
        | Kind::Interrupted
        | Kind::TimedOut
        | Kind::ResourceBusy
        | Kind::OutOfMemory
        | Kind::StaleNetworkFileHandle
        | Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::NotConnected
        | Kind::BrokenPipe
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable => Consequence::Retry,
        _ => Consequence::SetAside,
    }
}

/// An error with its causes, on one line: `cannot open the spool: no space left on device`. A cause that the text names
/// already is not repeated.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_system_has_its_consequence() {
        let table = [
            (28, "ENOSPC", Consequence::Retry),
            (122, "EDQUOT", Consequence::Retry),
            (30, "EROFS", Consequence::Retry),
            (5, "EIO", Consequence::Retry),
            (11, "EAGAIN", Consequence::Retry),
            (4, "EINTR", Consequence::Retry),
            (12, "ENOMEM", Consequence::Retry),
            (16, "EBUSY", Consequence::Retry),
            (24, "EMFILE", Consequence::Retry),
            (116, "ESTALE", Consequence::Retry),
            (110, "ETIMEDOUT", Consequence::Retry),
            (111, "ECONNREFUSED", Consequence::Retry),
            (113, "EHOSTUNREACH", Consequence::Retry),
            (2, "ENOENT", Consequence::SetAside),
            (13, "EACCES", Consequence::SetAside),
            (1, "EPERM", Consequence::SetAside),
            (21, "EISDIR", Consequence::SetAside),
            (36, "ENAMETOOLONG", Consequence::SetAside),
            (40, "ELOOP", Consequence::SetAside),
            (9, "EBADF", Consequence::End),
        ];
        for (code, name, consequence) in table {
            assert_eq!(of_io(&io::Error::from_raw_os_error(code)), consequence, "{name}");
        }
        let bad = io::Error::new(io::ErrorKind::InvalidData, "not a log file");
        assert_eq!(bad.consequence(), Consequence::SetAside);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn an_error_is_printed_with_its_causes_and_none_of_them_twice() {
        let deepest = Layer { text: "no space left on device", source: None };
        let middle =
            Layer { text: "cannot write /var/lib/x: no space left on device", source: Some(Box::new(deepest)) };
        let error = Layer { text: "the spool is not open", source: Some(Box::new(middle)) };
        assert_eq!(chain(&error), "the spool is not open: cannot write /var/lib/x: no space left on device");
    }
}
