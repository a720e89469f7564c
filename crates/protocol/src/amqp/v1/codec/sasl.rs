//! SASL frames (part 5 §5.3).

use super::format::descriptor;
use super::{CodecError, Fields, FrameKind, ListWriter, Reader, Symbols, finish_frame, start_frame};

/// The body of a SASL frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SaslFrame<'a> {
    /// From the server: what it knows (§5.3.3.1).
    Mechanisms(Symbols<'a>),
    /// From the client: what it picked, and what it says first (§5.3.3.2).
    Init {
        /// The mechanism.
        mechanism: &'a str,
        /// What it says first, if anything.
        initial_response: Option<&'a [u8]>,
        /// The host that it means.
        hostname: Option<&'a str>,
    },
    /// From the server (§5.3.3.3).
    Challenge(&'a [u8]),
    /// From the client (§5.3.3.4).
    Response(&'a [u8]),
    /// From the server, the last (§5.3.3.5).
    Outcome {
        /// How it ended.
        code: SaslCode,
        /// What is said besides.
        additional_data: Option<&'a [u8]>,
    },
}

/// How SASL ended (part 5 §5.3.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's own")]
pub enum SaslCode {
    Ok,
    Auth,
    Sys,
    SysPerm,
    SysTemp,
}

impl SaslCode {
    const ALL: [Self; 5] = [Self::Ok, Self::Auth, Self::Sys, Self::SysPerm, Self::SysTemp];
}

const MANDATORY: CodecError = CodecError::field("a SASL frame lacks what it must have");

impl<'a> SaslFrame<'a> {
    /// Reads a frame's body.
    pub fn read(body: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let code = reader.descriptor()?.code();
        let mut fields = Fields::new(reader.list()?);
        Ok(match code {
            Some(descriptor::SASL_MECHANISMS) => Self::Mechanisms(fields.symbols()?),
            Some(descriptor::SASL_INIT) => Self::Init {
                mechanism: fields.symbol()?.ok_or(MANDATORY)?,
                initial_response: fields.binary()?,
                hostname: fields.string()?,
            },
            Some(descriptor::SASL_CHALLENGE) => Self::Challenge(fields.binary()?.ok_or(MANDATORY)?),
            Some(descriptor::SASL_RESPONSE) => Self::Response(fields.binary()?.ok_or(MANDATORY)?),
            Some(descriptor::SASL_OUTCOME) => {
                let code = fields.ubyte()?.and_then(|code| SaslCode::ALL.get(usize::from(code)).copied());
                Self::Outcome { code: code.ok_or(MANDATORY)?, additional_data: fields.binary()? }
            }
            _ => return Err(CodecError::decode("a SASL frame carries what is none of SASL's")),
        })
    }

    /// Appends it as a whole frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = start_frame(out, FrameKind::Sasl, 0);
        match self {
            Self::Mechanisms(mechanisms) => {
                let mut list = ListWriter::described(out, descriptor::SASL_MECHANISMS);
                list.symbols(mechanisms);
                list.finish();
            }
            Self::Init { mechanism, initial_response, hostname } => {
                let mut list = ListWriter::described(out, descriptor::SASL_INIT);
                list.symbol(Some(mechanism));
                list.binary(*initial_response);
                list.string(*hostname);
                list.finish();
            }
            Self::Challenge(data) => {
                let mut list = ListWriter::described(out, descriptor::SASL_CHALLENGE);
                list.binary(Some(data));
                list.finish();
            }
            Self::Response(data) => {
                let mut list = ListWriter::described(out, descriptor::SASL_RESPONSE);
                list.binary(Some(data));
                list.finish();
            }
            Self::Outcome { code, additional_data } => {
                let mut list = ListWriter::described(out, descriptor::SASL_OUTCOME);
                list.ubyte(Some(*code as u8));
                list.binary(*additional_data);
                list.finish();
            }
        }
        finish_frame(out, start, 0);
    }
}
