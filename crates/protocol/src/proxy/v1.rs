//! Version 1: a line of text (§2.1).

use super::{Header, HeaderError, begins};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest line, with its end.
const LINE: usize = 107;

pub(super) fn read(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    match begins(bytes, b"PROXY ") {
        None => return Ok(None),
        Some(false) => return Err(HeaderError("the connection does not begin with a PROXY protocol header")),
        Some(true) => {}
    }
    let window = &bytes[..bytes.len().min(LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE {
            Ok(None)
        } else {
            Err(HeaderError("the PROXY line does not end within 107 bytes"))
        };
    };
    let length = end + 2;
    let line = std::str::from_utf8(&window[b"PROXY ".len()..end])
        .map_err(|_| HeaderError("the PROXY line is not text"))?;
    // What follows UNKNOWN is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(Some(Header { length, ..Header::default() }));
    }
    let source = source(line).ok_or(HeaderError("the PROXY line's addresses are not understood"))?;
    Ok(Some(Header { length, source: Some(source), ..Header::default() }))
}

/// `TCP4 192.168.0.1 192.168.0.11 56324 443`
fn source(line: &str) -> Option<SocketAddr> {
    let mut words = line.split(' ');
    let family = words.next()?;
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => Some(word.parse::<Ipv4Addr>().ok()?.into()),
            "TCP6" => Some(word.parse::<Ipv6Addr>().ok()?.into()),
            _ => None,
        }
    };
    let (source, _destination) = (address()?, address()?);
    let mut port = || -> Option<u16> {
        let word = words.next()?;
        let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        plain.then(|| word.parse().ok())?
    };
    let (port, _destination) = (port()?, port()?);
    words.next().is_none().then(|| SocketAddr::new(source, port))
}
