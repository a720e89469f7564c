//! A body in chunks (RFC 9112 §7.1), taken apart however it is cut.

use super::head::Violation;

/// Bytes of extensions and trailers, which mean nothing here, before it is too much.
const MAX_EXTRA: usize = 16 * 1024;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a chunk's size, of so many digits so far.
    Size { size: u64, digits: u8 },
    /// In what follows the size.
    Extension { size: u64 },
    /// After the carriage return that ends a size's line.
    SizeEnd { size: u64 },
    /// In a chunk's data, with so many bytes left.
    Data { left: u64 },
    /// After a chunk's data.
    DataEnd,
    /// After the carriage return that ends a chunk's data.
    DataEndLine,
    /// At the beginning of a trailer, or of the line that ends the body.
    Trailers,
    /// In a trailer.
    Trailer,
    /// After the carriage return that ends a trailer.
    TrailerEnd,
    /// After the carriage return of the last line.
    LastLine,
    /// After the body.
    End,
}

/// Takes the chunks of one body apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    at: At,
    extra: usize,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size { size: 0, digits: 0 }, extra: 0 }
    }

    /// Whether the body is whole.
    pub(super) fn is_end(&self) -> bool {
        self.at == At::End
    }

    /// Takes the next piece of data off the front of `bytes`. It is empty when all bytes are used up, or at the end.
    pub(super) fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<&'b [u8], Violation> {
        while self.at != At::End {
            if let At::Data { left } = self.at {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (data, rest) = bytes.split_at(length);
                *bytes = rest;
                let left = left - length as u64;
                self.at = if left == 0 { At::DataEnd } else { At::Data { left } };
                return Ok(data);
            }
            let Some((byte, rest)) = bytes.split_first() else { break };
            *bytes = rest;
            self.at = self.step(*byte)?;
        }
        Ok(&[])
    }

    /// Takes in a byte that is not data.
    fn step(&mut self, byte: u8) -> Result<At, Violation> {
        Ok(match (self.at, byte) {
            (At::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                // More digits than a length has are none, even if they are zeros.
                if digits >= 16 {
                    return Err(Violation::Chunk);
                }
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                At::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (At::Size { size, digits: 1.. }, b'\r') => At::SizeEnd { size },
            (At::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => At::Extension { size },
            (At::Extension { size }, b'\r') => At::SizeEnd { size },
            (At::Extension { .. }, b'\n') => return Err(Violation::Chunk),
            (At::Extension { .. }, _) => self.skip()?,
            (At::SizeEnd { size: 0 }, b'\n') => At::Trailers,
            (At::SizeEnd { size }, b'\n') => At::Data { left: size },
            (At::DataEnd, b'\r') => At::DataEndLine,
            (At::DataEndLine, b'\n') => At::Size { size: 0, digits: 0 },
            (At::Trailers, b'\r') => At::LastLine,
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::Trailers | At::Trailer, b'\n') => return Err(Violation::Chunk),
            (At::Trailers | At::Trailer, _) => {
                self.skip()?;
                At::Trailer
            }
            (At::TrailerEnd, b'\n') => At::Trailers,
            (At::LastLine, b'\n') => At::End,
            _ => return Err(Violation::Chunk),
        })
    }

    /// Leaves out a byte that means nothing here.
    fn skip(&mut self) -> Result<At, Violation> {
        self.extra += 1;
        if self.extra > MAX_EXTRA { Err(Violation::Chunk) } else { Ok(self.at) }
    }
}
