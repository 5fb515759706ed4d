//! The Unix socket over which the verbs (`status`, `incident ack` …) call a running daemon: where it is, who calls, how to call.
//!
//! The kernel says who is at the other end ([`Peer`]), so no password is needed. A stale socket file is removed only if nobody
//! answers on it ([`bind`]). What a verb means is not known here.

use std::{
    io,
    os::{
        fd::AsFd,
        linux::fs::MetadataExt as _,
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, geteuid};
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::{UnixListener, UnixStream};

/// The largest answer that a verb takes into memory.
const ANSWER_MAX: usize = 64 << 20;
/// How long a verb waits for the whole answer.
const ANSWER_AFTER: Duration = Duration::from_secs(60);
/// The group whose members may do everything.
const ADMIN_GROUP: &str = "olog-admin";

/// Where a daemon listens and a verb asks, unless the key `socket` says otherwise: `/run/PROGRAM/NAME.sock` if that
/// folder is there, else in `state_dir`.
pub fn default_path(program: &str, state_dir: &Path) -> PathBuf {
    let name = format!("{}.sock", program.strip_prefix("olog-").unwrap_or(program));
    let run = Path::new("/run").join(program);
    if run.is_dir() { run.join(name) } else { state_dir.join(name) }
}

/// Binds it, with the mode that decides who may connect at all. A file that nobody answers on is replaced.
pub fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another daemon answers there: stop it, or choose another `socket`",
            ));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Root, the daemon's own user, or a member of the group `olog-admin`: may do everything.
    pub is_admin: bool,
}

impl Peer {
    /// Asks the kernel.
    pub fn of(stream: impl AsFd) -> io::Result<Peer> {
        let who = rustix::net::sockopt::socket_peercred(&stream)?;
        let (uid, gid) = (who.uid.as_raw(), who.gid.as_raw());
        let is_admin = uid == 0 || uid == geteuid().as_raw() || in_admin_group(gid, who.pid, &stream);
        Ok(Peer { uid, gid, is_admin })
    }
}

/// By its main group, because nobody else can come in by this socket, or by the supplementary groups of the process that
/// connected, while it is still that user's.
fn in_admin_group(gid: u32, pid: Pid, stream: impl AsFd) -> bool {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let Some(admin) = group_id(&groups, ADMIN_GROUP) else { return false };
    gid == admin || is_open_to(admin, stream) || is_member(admin, pid)
}

/// Is the socket's file open to its owner and to this group only? Then the kernel let in nobody else. A sandbox that hides the
/// processes of others does not hide this.
fn is_open_to(group: u32, stream: impl AsFd) -> bool {
    let name = rustix::net::getsockname(stream).and_then(rustix::net::SocketAddrUnix::try_from);
    let Ok(name) = name else { return false };
    let Some(path) = name.path().and_then(|path| path.to_str().ok().map(PathBuf::from)) else { return false };
    std::fs::symlink_metadata(path).is_ok_and(|file| file.st_gid() == group && file.st_mode() & 0o006 == 0)
}

fn is_member(admin: u32, pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    line.split_whitespace().any(|id| id.parse() == Ok(admin))
}

fn group_id(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() == Some(name) { fields.nth(1)?.parse().ok() } else { None }
    })
}

/// Why a verb got no answer that it can use. Its text is for the person who typed the verb.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("{program} does not answer on {path}: is it running? (systemctl start {program})")]
    Away {
        /// The daemon.
        program: &'static str,
        /// Its socket.
        path: String,
    },
    /// The socket's mode forbids it.
    #[error("{path}: permission denied: become root, or join the group {ADMIN_GROUP}")]
    Forbidden {
        /// The socket.
        path: String,
    },
    /// The daemon said no, in its own words.
    #[error("{words}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What it said.
        words: String,
    },
    /// The conversation broke.
    #[error("{program} on {path}: {what}")]
    Broken {
        /// The daemon.
        program: &'static str,
        /// Its socket.
        path: String,
        /// How.
        what: String,
    },
}

/// The verbs' end: one request, one answer.
#[derive(Debug, Clone)]
pub struct Client {
    program: &'static str,
    path: PathBuf,
}

impl Client {
    /// Of `olog-agent` or `olog-hub`, on this socket.
    pub fn new(program: &'static str, path: PathBuf) -> Client {
        Client { program, path }
    }

    /// `GET`.
    pub async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, AskError> {
        self.json(Method::GET, target, None::<&()>).await
    }

    /// `POST`.
    pub async fn post<T: DeserializeOwned>(&self, target: &str, body: &impl Serialize) -> Result<T, AskError> {
        self.json(Method::POST, target, Some(body)).await
    }

    /// Any method with a JSON body and a JSON answer.
    pub async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, AskError> {
        let answer = self.bytes(method, target, body).await?;
        // A verb that answers nothing answers null.
        let text: &[u8] = if answer.is_empty() { b"null" } else { &answer };
        serde_json::from_slice(text).map_err(|e| self.broken(&format!("an answer that makes no sense: {e}")))
    }

    /// As it came: for verbs that make files.
    pub async fn bytes(&self, method: Method, target: &str, body: Option<&impl Serialize>) -> Result<Bytes, AskError> {
        tokio::time::timeout(ANSWER_AFTER, self.ask(method, target, body))
            .await
            .unwrap_or_else(|_| Err(self.broken("no answer within a minute")))
    }

    /// `POST` of a file as it is.
    pub async fn send_file<T: DeserializeOwned>(&self, target: &str, file: Bytes) -> Result<T, AskError> {
        let answer =
            tokio::time::timeout(ANSWER_AFTER, self.send(Method::POST, target, "application/octet-stream", file));
        let answer = answer.await.unwrap_or_else(|_| Err(self.broken("no answer within a minute")))?;
        serde_json::from_slice(&answer).map_err(|e| self.broken(&format!("an answer that makes no sense: {e}")))
    }

    async fn ask(&self, method: Method, target: &str, body: Option<&impl Serialize>) -> Result<Bytes, AskError> {
        let body =
            body.map(serde_json::to_vec).transpose().map_err(|e| self.broken(&e.to_string()))?.unwrap_or_default();
        self.send(method, target, "application/json", Bytes::from(body)).await
    }

    async fn send(&self, method: Method, target: &str, kind: &str, body: Bytes) -> Result<Bytes, AskError> {
        let stream = UnixStream::connect(&self.path).await.map_err(|e| self.not_connected(&e))?;
        let broken = |e: &dyn std::fmt::Display| self.broken(&e.to_string());
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", self.program)
            .header("content-type", kind)
            .body(Full::new(body))
            .map_err(|e| broken(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
        let conversation = async {
            let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
            let status = answer.status();
            let bytes =
                Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(|e| broken(&e))?.to_bytes();
            if status.is_success() {
                Ok(bytes)
            } else {
                Err(AskError::Refused { status, words: words(status, &bytes) })
            }
        };
        // The connection moves the bytes; it ends by itself when the conversation does.
        tokio::pin!(conversation, connection);
        tokio::select! {
            answer = &mut conversation => answer,
            ended = &mut connection => match ended {
                Ok(()) => conversation.await,
                Err(e) => Err(broken(&e)),
            },
        }
    }

    fn not_connected(&self, error: &io::Error) -> AskError {
        let path = self.path.display().to_string();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AskError::Away { program: self.program, path }
            }
            io::ErrorKind::PermissionDenied => AskError::Forbidden { path },
            _ => self.broken(&error.to_string()),
        }
    }

    fn broken(&self, what: &str) -> AskError {
        AskError::Broken { program: self.program, path: self.path.display().to_string(), what: what.to_owned() }
    }
}

/// What a refusal says: problem+json's `detail` or `title`, else the text.
fn words(status: StatusCode, body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let field = |name| problem.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let text = || Some(String::from_utf8_lossy(body).trim().to_owned()).filter(|text| !text.is_empty());
    field("detail").or_else(|| field("title")).or_else(text).unwrap_or_else(|| status.to_string())
}

/// The owner of a folder: what root writes into it is given to that user.
pub fn owner_of(folder: &Path) -> io::Result<(u32, u32)> {
    let found = std::fs::metadata(folder)?;
    Ok((found.st_uid(), found.st_gid()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Answers one connection with these bytes.
    async fn answer(listener: UnixListener, bytes: &'static str) -> Peer {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(bytes.as_bytes()).await.unwrap();
        Peer::of(&stream).unwrap()
    }

    #[tokio::test]
    async fn a_verb_gets_its_answer_and_the_daemon_knows_who_asks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let listener = bind(&path, 0o660).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let client = Client::new("olog-hub", path);
        let (got, peer) = tokio::join!(
            client.get::<Vec<u32>>("/status"),
            answer(listener, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2]")
        );
        assert_eq!(got.unwrap(), [1, 2]);
        assert_eq!((peer.uid, peer.is_admin), (geteuid().as_raw(), true));
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_daemons_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let listener = bind(&path, 0o660).unwrap();
        let client = Client::new("olog-hub", path);
        let no = "HTTP/1.1 409 Conflict\r\ncontent-length: 24\r\n\r\n{\"detail\":\"no device x\"}";
        let (got, _) = tokio::join!(client.post::<()>("/device/forget", &"x"), answer(listener, no));
        assert_eq!(got.unwrap_err().to_string(), "no device x");
    }

    #[tokio::test]
    async fn a_daemon_that_is_away_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let error = Client::new("olog-hub", path.clone()).get::<()>("/").await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("olog-hub does not answer on {}: is it running? (systemctl start olog-hub)", path.display())
        );
    }

    #[tokio::test]
    async fn only_a_socket_that_nobody_answers_on_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let first = bind(&path, 0o666).unwrap();
        assert_eq!(bind(&path, 0o666).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        drop(bind(&path, 0o666).unwrap());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(bind(&path, 0o666).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[tokio::test]
    async fn who_comes_in_by_a_socket_of_one_group_is_in_that_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let group = rustix::process::getegid().as_raw();
        for (mode, is_open) in [(0o660, true), (0o666, false)] {
            let listener = bind(&path, mode).unwrap();
            let (_peer, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
            let (stream, _) = accepted.unwrap();
            assert_eq!((is_open_to(group, &stream), is_open_to(group + 1, &stream)), (is_open, false));
        }
    }

    #[test]
    fn a_groups_number_is_found_by_its_name() {
        let groups = "root:x:0:\nolog-admin:x:998:alice,bob\nolog-adm:x:5:\n";
        assert_eq!((group_id(groups, "olog-admin"), group_id(groups, "olog")), (Some(998), None));
    }
}
