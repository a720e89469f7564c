//! Version 2: binary, with more to say than addresses (§2.2).

use super::{Header, HeaderError, Tls, begins, crc32c};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;
/// The largest header that is read: one with a client's certificate in it has a few kilobytes.
const LARGEST: usize = 16 * 1024;

// Kinds of additional values (§2.2.7).
const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_COMMON_NAME: u8 = 0x22;
const SSL_CLIENT_CERTIFICATE: u8 = 0x28;

// What the client did (§2.2.6): used TLS, brought a certificate on this connection, or earlier in the TLS session.
const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERTIFICATE: u8 = 0x02 | 0x04;

const SHORT: HeaderError = HeaderError("a value in the PROXY header is longer than what holds it");

pub(super) fn read(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    match begins(bytes, SIGNATURE) {
        None => return Ok(None),
        Some(false) => return Err(HeaderError("the connection does not begin with a PROXY protocol header")),
        Some(true) => {}
    }
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else { return Ok(None) };
    if command >> 4 != 2 {
        return Err(HeaderError("the PROXY header has a version other than 1 and 2"));
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LARGEST {
        return Err(HeaderError("the PROXY header has more than 16 KiB"));
    }
    let Some(whole) = bytes.get(..length) else { return Ok(None) };
    match command & 0x0f {
        // LOCAL: the proxy speaks for itself, to see whether we live; the rest is to be ignored.
        0 => Ok(Some(Header { length, ..Header::default() })),
        1 => proxied(family, whole).map(Some),
        _ => Err(HeaderError("the PROXY header has an unknown command")),
    }
}

fn proxied(family: u8, whole: &[u8]) -> Result<Header, HeaderError> {
    let block = &whole[FIXED..];
    let (source, addresses) = match family {
        0x11 | 0x12 => (v4(block)?, 12),
        0x21 | 0x22 => (v6(block)?, 36),
        // Unix sockets have no address of ours.
        0x31 | 0x32 => (None, 216),
        // Not specified: the connection's own address is used and the rest is to be ignored.
        0x00 => return Ok(Header { length: whole.len(), ..Header::default() }),
        _ => return Err(HeaderError("the PROXY header has an unknown address family or transport")),
    };
    let mut header = Header { length: whole.len(), source, ..Header::default() };
    let mut values = Values(block.get(addresses..).ok_or(SHORT)?);
    while let Some((kind, value)) = values.next()? {
        match kind {
            ALPN => header.alpn = Some(value.to_vec()),
            AUTHORITY => header.authority = Some(text(value)?),
            CRC32C => check(whole, value, values.0.len())?,
            UNIQUE_ID if value.len() > 128 => {
                return Err(HeaderError("the PROXY header's unique id has more than 128 bytes"));
            }
            UNIQUE_ID => header.unique_id = Some(value.to_vec()),
            SSL => header.tls = tls(value)?,
            // What we do not know is skipped, and so is padding.
            _ => {}
        }
    }
    Ok(header)
}

fn v4(block: &[u8]) -> Result<Option<SocketAddr>, HeaderError> {
    let (address, port) = (block.first_chunk::<4>(), block.get(8..).and_then(<[_]>::first_chunk));
    Ok(Some(socket(Ipv4Addr::from(*address.ok_or(SHORT)?).into(), *port.ok_or(SHORT)?)))
}

fn v6(block: &[u8]) -> Result<Option<SocketAddr>, HeaderError> {
    let (address, port) = (block.first_chunk::<16>(), block.get(32..).and_then(<[_]>::first_chunk));
    Ok(Some(socket(Ipv6Addr::from(*address.ok_or(SHORT)?).into(), *port.ok_or(SHORT)?)))
}

fn socket(address: IpAddr, port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(address, u16::from_be_bytes(port))
}

/// The sum over the whole header, its own four bytes counted as zeros (§2.2.3). `after` bytes follow the value.
fn check(whole: &[u8], value: &[u8], after: usize) -> Result<(), HeaderError> {
    let sum = <[u8; 4]>::try_from(value)
        .map_err(|_| HeaderError("the PROXY header's checksum is not four bytes"))?;
    let (before, rest) = whole.split_at(whole.len() - after - sum.len());
    let counted = crc32c::of([before, &[0; 4], &rest[sum.len()..]]);
    if counted != u32::from_be_bytes(sum) {
        return Err(HeaderError("the PROXY header's checksum is wrong"));
    }
    Ok(())
}

fn tls(value: &[u8]) -> Result<Option<Tls>, HeaderError> {
    let (&client, rest) = value.split_first().ok_or(SHORT)?;
    let (verify, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    let is_verified = client & CLIENT_CERTIFICATE != 0 && u32::from_be_bytes(*verify) == 0;
    let mut tls = Tls { is_verified, ..Tls::default() };
    let mut values = Values(rest);
    while let Some((kind, value)) = values.next()? {
        match kind {
            SSL_VERSION => tls.version = Some(text(value)?),
            SSL_COMMON_NAME => tls.common_name = Some(text(value)?),
            SSL_CLIENT_CERTIFICATE => tls.certificate = Some(value.to_vec()),
            _ => {}
        }
    }
    Ok((client & CLIENT_SSL != 0).then_some(tls))
}

fn text(value: &[u8]) -> Result<String, HeaderError> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.contains('\0'));
    text.map(str::to_owned).ok_or(HeaderError("a text in the PROXY header is not UTF-8"))
}

/// Values with their kinds and lengths in front (§2.2.7).
struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, HeaderError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let ([kind, high, low], rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(Some((*kind, value)))
    }
}
