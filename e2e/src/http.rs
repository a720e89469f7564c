//! As much HTTP/1.1 as the harness needs, for its service and for looking at the admin API.

use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A message: a request or a response.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The first line, without its end.
    pub start: String,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Message {
    /// The first value of a header field; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A response's status.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// A request's method.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or("")
    }

    /// A request's target.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.text()))
    }
}

/// Reads a message; `None` at the connection's end.
pub fn read(source: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut message = Message::default();
    if !line(source, &mut message.start)? {
        return Ok(None);
    }
    loop {
        let mut field = String::new();
        if !line(source, &mut field)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        message.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let chunked = message.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
    if chunked {
        loop {
            let mut size = String::new();
            line(source, &mut size)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)
                .map_err(|_| io::ErrorKind::InvalidData)?;
            let start = message.body.len();
            message.body.resize(start + size, 0);
            source.read_exact(&mut message.body[start..])?;
            line(source, &mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = message.header("content-length").and_then(|length| length.parse().ok()) {
        message.body.resize(length, 0);
        source.read_exact(&mut message.body)?;
    } else if message.start.starts_with("HTTP/") && message.header("connection") == Some("close") {
        source.read_to_end(&mut message.body)?;
    }
    Ok(Some(message))
}

fn line(source: &mut impl BufRead, into: &mut String) -> io::Result<bool> {
    let read = source.read_line(into)?;
    into.truncate(into.trim_end_matches(['\r', '\n']).len());
    Ok(read > 0)
}

/// Asks for a resource on a connection of its own.
pub fn get(address: SocketAddr, target: &str) -> io::Result<Message> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(
        format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    read(&mut io::BufReader::new(stream))?.ok_or(io::ErrorKind::UnexpectedEof.into())
}
