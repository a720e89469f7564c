//! Services that do with each request exactly what a test says.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// What a service does with a request.
pub(crate) enum Act {
    /// Answers, and keeps the connection.
    Answer(Vec<u8>),
    /// Answers, and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Says nothing more.
    Hang,
}

impl Act {
    /// An answer with a status line, further header lines and a body.
    pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Self {
        Self::Answer(
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into(),
        )
    }

    /// `204 No Content`.
    pub(crate) fn ok() -> Self {
        Self::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
    }
}

/// What a service got: the connection's number, from zero, and the request's head and body.
pub(crate) type Requests = Rc<RefCell<Vec<(usize, String)>>>;

/// A service of HTTP/1.1 on a port of its own. `act` is told the connection's number and the request's number on it.
pub(crate) async fn start(act: impl FnMut(usize, usize) -> Act + 'static) -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::default();
    let seen = Rc::clone(&requests);
    tokio::task::spawn_local(async move {
        let act: Rc<RefCell<dyn FnMut(usize, usize) -> Act>> = Rc::new(RefCell::new(act));
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let (act, seen) = (Rc::clone(&act), Rc::clone(&seen));
            tokio::task::spawn_local(async move { connection(stream, number, &act, &seen).await });
        }
    });
    (address, requests)
}

/// Serves one connection.
pub(crate) async fn connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    number: usize,
    act: &RefCell<dyn FnMut(usize, usize) -> Act>,
    seen: &Requests,
) {
    for index in 0.. {
        let Some(request) = read_request(&mut stream).await else { return };
        seen.borrow_mut().push((number, request));
        let act = (act.borrow_mut())(number, index);
        match act {
            Act::Answer(bytes) => stream.write_all(&bytes).await.unwrap(),
            Act::AnswerAndClose(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                return;
            }
            Act::Close => return,
            Act::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse::<usize>().unwrap());
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
