//! A REST service that takes everything: HTTP/1.1 with keep-alive, 204 to every POST, and a count of them.
//!
//! As small as it can be, because it runs beside the server that is measured.

use crate::{Result, helper};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);

/// The longest request that is taken, head and body.
const REQUEST: usize = 1 << 20;

/// Runs as the sink's process: says where it listens, then serves until it is killed.
pub(crate) fn main() -> Result<()> {
    // The line that starts every helper; there is nothing to tell.
    if helper::told::<()>()?.is_none() {
        return Ok(());
    }
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    helper::say(&listener.local_addr()?)?;
    std::thread::spawn(|| {
        // Nobody speaks on standard input any more: its end is the end.
        let _ = helper::told::<()>();
        std::process::exit(0);
    });

    let mut events = Events::with_capacity(1_024);
    let mut scratch = vec![0; 1 << 16];
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut count = 0;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.set_nodelay(true);
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(clients.len()), both)?;
                    clients.push(Some(Client { stream, input: Vec::new(), output: Vec::new() }));
                }
            } else if let Some(slot) = clients.get_mut(event.token().0)
                && let Some(client) = slot
                && client.serve(&mut scratch, &mut count).is_err()
            {
                // Gone, or not HTTP: either way the connection ends here.
                *slot = None;
            }
        }
    }
}

/// Asks a sink how many requests it has had.
pub(crate) fn count(sink: SocketAddr) -> Result<u64> {
    let mut stream = std::net::TcpStream::connect(sink)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /count HTTP/1.1\r\nhost: sink\r\n\r\n")?;
    let mut answer = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
        let text = String::from_utf8_lossy(&answer);
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Some(count) = body.strip_suffix('\n')
        {
            return Ok(count.parse()?);
        }
    }
}

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Client {
    /// Reads what is there and answers every whole request.
    fn serve(&mut self, scratch: &mut [u8], count: &mut u64) -> std::io::Result<()> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.input.extend_from_slice(scratch.get(..read).unwrap_or_default());
                    // Less than there was room for: there is no more.
                    if read < scratch.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            if self.input.len() > REQUEST {
                return Err(ErrorKind::InvalidData.into());
            }
        }
        let mut answered = 0;
        while let Some(length) = request(self.input.get(answered..).unwrap_or_default())? {
            let request = self.input.get(answered..answered + length).unwrap_or_default();
            if request.starts_with(b"POST ") {
                *count += 1;
                self.output.extend(b"HTTP/1.1 204 No Content\r\n\r\n");
            } else {
                let body = format!("{count}\n");
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                self.output.extend(head.bytes().chain(body.bytes()));
            }
            answered += length;
        }
        self.input.drain(..answered);
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The length of the first request, if all of it is there.
fn request(input: &[u8]) -> std::io::Result<Option<usize>> {
    let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = input.get(..end).unwrap_or_default();
    let mut body = 0;
    for line in head.split(|byte| *byte == b'\n') {
        if let Some(value) = value_of(line, b"content-length:") {
            let value = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse::<usize>().ok());
            body = value.filter(|body| *body <= REQUEST).ok_or(ErrorKind::InvalidData)?;
        } else if value_of(line, b"transfer-encoding:").is_some() {
            // Events have known lengths; a sender that does not say them is not what is measured here.
            return Err(ErrorKind::InvalidData.into());
        }
    }
    let length = end + 4 + body;
    Ok((input.len() >= length).then_some(length))
}

/// What follows a header's name and colon, if the line is that header.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    line.split_at_checked(name.len())
        .filter(|(start, _)| start.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_request_is_whole_only_with_its_body() {
        let bytes = b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nx: y\r\n\r\nhelloPOST ";
        let whole = bytes.len() - 5;
        assert_eq!(request(bytes).unwrap(), Some(whole));
        assert_eq!(request(&bytes[..whole]).unwrap(), Some(whole));
        assert_eq!(request(&bytes[..whole - 1]).unwrap(), None);
        assert_eq!(request(&bytes[..20]).unwrap(), None);
        assert_eq!(request(b"GET /count HTTP/1.1\r\n\r\n").unwrap(), Some(23));
    }

    #[test]
    fn a_body_without_a_sane_length_is_refused() {
        assert!(request(b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n").is_err());
        assert!(request(b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n").is_err());
        assert!(request(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
