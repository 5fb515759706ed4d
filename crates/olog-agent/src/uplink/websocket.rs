//! A hub's end of a websocket, for the tests: text in, text out.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    subprotocol: &str,
) -> Result<WebSocketStream<S>, Error> {
    #[expect(clippy::result_large_err, reason = "the websocket crate's own type")]
    let echo = |_: &Request, mut answer: Response| -> Result<Response, ErrorResponse> {
        answer.headers_mut().insert("sec-websocket-protocol", subprotocol.parse().unwrap());
        Ok(answer)
    };
    accept_hdr_async(stream, echo).await
}

pub(crate) async fn send<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, text: String) {
    socket.send(Message::text(text)).await.unwrap();
}

/// The next text; `None` when the other side is gone.
pub(crate) async fn hear<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Option<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return None,
        }
    }
}
