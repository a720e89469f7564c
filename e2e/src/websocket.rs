//! A WebSocket client of the harness's own, which can misbehave, and a way for other clients through it.

use crate::http::{self, Message};
use crate::relay::Relay;
use crate::wait::SOON;
use std::io::{BufReader, Cursor, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// First bytes of frames (RFC 6455 §5.2): the last one of a message, and the kinds.
pub const FIN: u8 = 0x80;
/// More of a message.
pub const CONTINUATION: u8 = 0;
/// A message of text.
pub const TEXT: u8 = 1;
/// A message of bytes.
pub const BINARY: u8 = 2;
/// Good-bye.
pub const CLOSE: u8 = 8;
/// A question for a sign of life.
pub const PING: u8 = 9;
/// Its answer.
pub const PONG: u8 = 10;

const MASK: [u8; 4] = [0x5a, 0x01, 0xff, 0x80];

/// A client's frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The request for a WebSocket that MQTT is spoken on.
pub fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: e2e\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
}

/// Sends a request and reads the answer.
///
/// # Panics
/// If there is no answer in time.
pub fn ask(address: SocketAddr, request: &str) -> Message {
    let mut stream = open(address);
    stream.write_all(request.as_bytes()).expect("a request can be sent");
    http::read(&mut BufReader::new(stream)).expect("an answer in time").expect("an answer")
}

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the node accepts connections");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    stream
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl WebSocket {
    /// Connects.
    ///
    /// # Panics
    /// If it is not accepted.
    pub fn connect(address: SocketAddr, path: &str) -> Self {
        Self::connect_as(address, path, "mqtt")
    }

    /// Connects for another protocol than MQTT.
    ///
    /// # Panics
    /// If it is not accepted.
    pub fn connect_as(address: SocketAddr, path: &str, subprotocol: &str) -> Self {
        Self::over(open(address), path, subprotocol)
    }

    /// Shakes hands over a connection that there is.
    fn over(mut stream: TcpStream, path: &str, subprotocol: &str) -> Self {
        let request = request(path).replace("Protocol: mqtt", &format!("Protocol: {subprotocol}"));
        stream.write_all(request.as_bytes()).expect("a request can be sent");
        let mut socket = Self { stream, buffer: Vec::new() };
        while !socket.buffer.ends_with(b"\r\n\r\n") {
            // Byte by byte: frames may follow.
            let mut byte = [0];
            socket.stream.read_exact(&mut byte).expect("an answer in time");
            socket.buffer.extend(byte);
        }
        let answer = http::read(&mut Cursor::new(std::mem::take(&mut socket.buffer)));
        let answer = answer.expect("the answer is HTTP").expect("there is an answer");
        assert_eq!(answer.status(), 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(answer.header("sec-websocket-protocol"), Some(subprotocol));
        socket
    }

    /// Sends bytes, whatever they are.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next frame: first byte and payload. `None`: the server closed the connection.
    ///
    /// # Panics
    /// If none comes in time, or a server's frame is masked.
    pub fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame in time: {error}"),
            }
        }
    }

    /// The payloads of the next frames of data, until there are `length` bytes.
    ///
    /// # Panics
    /// If the connection ends before, or something other than data comes.
    pub fn data(&mut self, length: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < length {
            let (first, payload) = self.receive().expect("more data");
            assert_eq!(first, FIN | BINARY, "a frame of data");
            data.extend(payload);
        }
        data
    }

    /// Reads up to the Close frame and the connection's end: the code.
    ///
    /// # Panics
    /// If there is no Close frame, or something follows it.
    pub fn closed(&mut self) -> Option<u16> {
        loop {
            let (first, payload) = self.receive().expect("a Close frame before the end");
            if first == FIN | CLOSE {
                assert_eq!(self.receive(), None, "nothing follows a Close frame");
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, length, rest @ ..] = &self.buffer[..] else { return None };
        assert_eq!(length & 0x80, 0, "a server's frame is not masked");
        let (length, rest) = match length {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
            }
            short => (usize::from(*short), rest),
        };
        let frame = (*first, rest.get(..length)?.to_vec());
        let left = rest.len() - length;
        self.buffer.drain(..self.buffer.len() - left);
        Some(frame)
    }
}

/// How a relay cuts what a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Each read is a frame.
    Reads,
    /// Each byte is a frame, some of them are parts of longer messages, and questions for signs of life come between.
    Bytes,
}

/// A way for any client of MQTT over TCP through a WebSocket.
pub fn relay(target: SocketAddr, path: &str, cut: Cut) -> Relay {
    let path = path.to_owned();
    Relay::start(move |client: TcpStream| {
        let mut socket = WebSocket::connect(target, &path);
        let mut up = socket.stream.try_clone().expect("a socket");
        let mut from = client.try_clone().expect("a socket");
        std::thread::spawn(move || {
            let mut chunk = [0; 8 * 1024];
            while let Ok(read @ 1..) = from.read(&mut chunk) {
                if up.write_all(&cut_up(&chunk[..read], cut)).is_err() {
                    return;
                }
            }
            let _ = up.write_all(&frame(FIN | CLOSE, &1000_u16.to_be_bytes()));
        });
        let mut down = client;
        let _ = socket.stream.set_read_timeout(None);
        while let Some((first, payload)) = socket.receive() {
            if first == FIN | BINARY && down.write_all(&payload).is_err() || first == FIN | CLOSE {
                break;
            }
        }
        let _ = down.shutdown(std::net::Shutdown::Both);
    })
}

fn cut_up(bytes: &[u8], cut: Cut) -> Vec<u8> {
    if cut == Cut::Reads {
        return frame(FIN | BINARY, bytes);
    }
    let mut out = Vec::new();
    for part in bytes.chunks(3) {
        let last = part.len() - 1;
        for (index, byte) in part.iter().enumerate() {
            let kind = if index == 0 { BINARY } else { CONTINUATION };
            out.extend(frame(kind | if index == last { FIN } else { 0 }, &[*byte]));
            out.extend(frame(FIN | PING, b"?"));
        }
    }
    out
}
