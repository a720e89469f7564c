//! SASL (part 5 §5.3): who the peer is, before the connection is opened.

use super::{Failure, Server, State};
use crate::amqp::v1::codec::{SASL_HEADER, SaslCode, SaslFrame, Symbols, condition};
use bytes::Bytes;
use windrose_event::{Accepted, Claim, CloseCause, Intent, Now, Refusal, RefusalCause, Secret, Text};

const EXTERNAL: &str = "EXTERNAL";
const SCRAM: &str = "SCRAM-SHA-256";
const PLAIN: &str = "PLAIN";
const ANONYMOUS: &str = "ANONYMOUS";

impl Server {
    /// The peer's header says SASL: it is told what can be proved how.
    pub(super) fn begin_sasl(&mut self) {
        self.sasl = true;
        self.state = State::Sasl;
        let known = self.claim.as_ref().is_some_and(|claim| claim.certificate.is_some());
        let mut mechanisms = Vec::with_capacity(4);
        if known {
            mechanisms.push(EXTERNAL);
        }
        if self.config.plain {
            mechanisms.push(PLAIN);
        }
        if self.config.scram {
            mechanisms.push(SCRAM);
        }
        mechanisms.push(ANONYMOUS);
        let out = self.transmit.buffer();
        out.extend_from_slice(SASL_HEADER);
        SaslFrame::Mechanisms(Symbols::Slice(&mechanisms)).write(out);
        self.frames.sent += 1;
    }

    pub(super) fn sasl_frame(&mut self, body: &[u8]) -> Result<(), Failure> {
        const TURN: Failure = Failure::connection(condition::ILLEGAL_STATE, "a SASL frame came out of turn");
        match (SaslFrame::read(body)?, self.state) {
            (SaslFrame::Init { mechanism, initial_response, .. }, State::Sasl) => {
                let Some(claim) = self.claim.take() else { return Err(TURN) };
                match self.claimed(*claim, mechanism, initial_response) {
                    Some(claim) => self.ask(claim),
                    None => self.sasl_failed(SaslCode::Auth, "it picked no mechanism that it was offered"),
                }
                Ok(())
            }
            (SaslFrame::Response(response), State::Challenged) => {
                self.state = State::Asked;
                let response = Some(Secret::new(Bytes::copy_from_slice(response)));
                self.intend(Intent::Respond { response });
                Ok(())
            }
            _ => Err(TURN),
        }
    }

    /// What the peer claims by a mechanism; `None`: it may not, or it is not said as the mechanism has it.
    fn claimed(&self, claim: Claim, mechanism: &str, response: Option<&[u8]>) -> Option<Claim> {
        let response = response.unwrap_or_default();
        Some(match mechanism {
            EXTERNAL if claim.certificate.is_some() => claim,
            ANONYMOUS => claim,
            // RFC 4616: whom it acts for, who it is, its password.
            PLAIN if self.config.plain => {
                let mut parts = response.split(|byte| *byte == 0);
                let (_, name, password) = (parts.next()?, parts.next()?, parts.next()?);
                Claim {
                    username: Some(Text::copy_from_utf8(name).ok()?),
                    password: Some(Secret::new(Bytes::copy_from_slice(password))),
                    ..claim
                }
            }
            SCRAM if self.config.scram => Claim {
                method: Some(Text::from_static(SCRAM)),
                response: Some(Secret::new(Bytes::copy_from_slice(response))),
                ..claim
            },
            _ => return None,
        })
    }

    /// The registry asks the peer something.
    pub(super) fn challenge(&mut self, now: Now, data: Option<Bytes>) {
        if self.state != State::Asked || !self.sasl {
            return self
                .end(CloseCause::Protocol("it is asked something that it has no way to answer".into()));
        }
        SaslFrame::Challenge(&data.unwrap_or_default()).write(self.transmit.buffer());
        self.frames.sent += 1;
        self.state = State::Challenged;
        // However long the registry took, the peer has its whole time.
        self.last_heard = now.moment;
    }

    /// The peer is who it says.
    pub(super) fn sasl_succeeded(&mut self, accepted: &Accepted) {
        let additional_data = accepted.data.as_deref();
        SaslFrame::Outcome { code: SaslCode::Ok, additional_data }.write(self.transmit.buffer());
        self.frames.sent += 1;
        self.state = State::Proved;
    }

    /// The peer is not let in.
    pub(super) fn sasl_refused(&mut self, refusal: &Refusal) {
        let code = match refusal.cause {
            RefusalCause::BadCredentials
            | RefusalCause::AnonymousDenied
            | RefusalCause::NotAllowed
            | RefusalCause::BadSession
            | RefusalCause::Revoked
            | RefusalCause::Quarantined
            | RefusalCause::UnknownMethod => SaslCode::Auth,
            RefusalCause::Quota
            | RefusalCause::Throttled
            | RefusalCause::ShuttingDown
            | RefusalCause::Unavailable => SaslCode::SysTemp,
        };
        SaslFrame::Outcome { code, additional_data: None }.write(self.transmit.buffer());
        self.frames.sent += 1;
    }

    fn sasl_failed(&mut self, code: SaslCode, problem: &'static str) {
        SaslFrame::Outcome { code, additional_data: None }.write(self.transmit.buffer());
        self.frames.sent += 1;
        self.end(CloseCause::Protocol(problem.into()));
    }
}
