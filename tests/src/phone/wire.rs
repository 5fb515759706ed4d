//! The part of HTTP/1.1 that the phone needs: one request after the other on a connection, and the ways to break off.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Habit, Shared, service};

const REQUEST_MAX: usize = 1024 * 1024;

/// Accepts connections until it is dropped, which closes them.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let n = shared.change(|kept| { kept.n_connections += 1; kept.n_connections - 1 });
                let shared = shared.clone();
                connections.spawn(async move { serve(stream, n, &shared).await.unwrap_or_default() });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, n: usize, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    while let Some((path, body)) = request(&mut stream, &mut bytes).await? {
        let habit = shared.change(|kept| kept.next.pop_front().unwrap_or_else(|| kept.habit.clone()));
        let answer = service::take(shared, n, &path, &body, &habit);
        match habit {
            Habit::Reset | Habit::TakeAndReset => {
                stream.set_zero_linger()?;
                return Ok(());
            }
            Habit::Hang => std::future::pending().await,
            Habit::TakeAndHold => {
                released(shared).await;
                write(&mut stream, 200, &answer).await?;
            }
            Habit::Status(status) => write(&mut stream, status, "out of order").await?,
            Habit::Redirect(to) => {
                let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
            }
            Habit::Drip => drip(&mut stream, &answer).await?,
            Habit::Flood => flood(&mut stream).await?,
            Habit::Well | Habit::Row(..) | Habit::Code(..) => write(&mut stream, 200, &answer).await?,
        }
    }
    Ok(())
}

/// The next request's path and body; `None` when the other side has closed.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
            let length = head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            let whole = end + 4 + length.unwrap_or(0);
            if bytes.len() >= whole {
                let mut request: Vec<u8> = bytes.drain(..whole).collect();
                let body = request.split_off(end + 4);
                let mut words = head.split_whitespace();
                let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                return Ok(Some((format!("{method} {path}"), body)));
            }
        }
        if bytes.len() > REQUEST_MAX {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

async fn write(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

async fn drip(stream: &mut TcpStream, body: &str) -> std::io::Result<()> {
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for byte in whole.bytes() {
        stream.write_all(&[byte]).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn flood(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    loop {
        stream.write_all(b"1000\r\n").await?;
        stream.write_all(&[b' '; 0x1000]).await?;
        stream.write_all(b"\r\n").await?;
    }
}

async fn released(shared: &Shared) {
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if shared.kept().habit != Habit::TakeAndHold {
            return;
        }
        changed.await;
    }
}
