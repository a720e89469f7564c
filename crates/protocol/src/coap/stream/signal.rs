//! Signals: what the ends of a stream say to each other (RFC 8323 §5).

use super::frame::Frame;
use super::{REMOTE, State, Stream};
use crate::coap::codec::{Code, OptionView, Options, OptionsBuf, option, read_uint};
use crate::coap::{SessionId, Token};
use bytes::Bytes;
use windrose_event::{CloseCause, Now};

/// Max-Message-Size, of CSM (RFC 8323 §5.3.1).
const MAX_MESSAGE_SIZE: u16 = 2;
/// Block-Wise-Transfer, of CSM (RFC 8323 §5.3.2).
const BLOCK_WISE_TRANSFER: u16 = 4;
/// Extended-Token-Length, of CSM (RFC 8974 §2.2.1).
const EXTENDED_TOKEN_LENGTH: u16 = 6;
/// Custody, of Ping and Pong (RFC 8323 §5.4.1).
const CUSTODY: u16 = 2;
/// Bad-CSM-Option, of Abort (RFC 8323 §5.6).
const BAD_CSM_OPTION: u16 = 2;

/// The smallest message that answers can be made to fit into.
const SMALLEST_MESSAGE: u32 = 128;

/// Pings whose answers may wait at once; others are answered without the promise that Custody is.
const MOST_CUSTODY: usize = 16;

impl Stream {
    /// The first of our messages: what we take (RFC 8323 §5.3).
    pub(super) fn say_csm(&mut self) {
        let mut options = OptionsBuf::default();
        options.insert_uint(MAX_MESSAGE_SIZE, self.config.message_bytes);
        options.insert(BLOCK_WISE_TRANSFER, &[]);
        if self.config.server.token_bytes > 8 {
            options.insert_uint(EXTENDED_TOKEN_LENGTH, self.config.server.token_bytes.into());
        }
        self.say(Code::CSM, &[], options.as_options(), &Bytes::new());
    }

    /// A signal from the peer.
    pub(super) fn signal(&mut self, now: Now, frame: &Frame<'_>) {
        if self.state == State::Fresh && frame.code != Code::CSM {
            if frame.code == Code::ABORT {
                return self.end(CloseCause::Goodbye);
            }
            return self.abort("CSM must be the first message", None);
        }
        match frame.code {
            Code::CSM => self.settings(now, frame.options),
            Code::PING => self.ping(frame),
            Code::RELEASE => self.state = State::Released,
            Code::ABORT => self.end(CloseCause::Goodbye),
            // Pong is a sign of life, as everything is; others are not known here, and harm nobody.
            _ => {}
        }
    }

    /// CSM: what the peer takes. It may say so again at any time (RFC 8323 §5.3).
    fn settings(&mut self, now: Now, options: Options<'_>) {
        let mut blocks = false;
        for OptionView { number, value } in options {
            match number {
                MAX_MESSAGE_SIZE if value.len() <= 4 => {
                    let most = read_uint(value).unwrap_or_default();
                    if most < SMALLEST_MESSAGE {
                        return self.abort("no answer fits into messages so small", Some(MAX_MESSAGE_SIZE));
                    }
                    self.peer_message_bytes = most;
                }
                BLOCK_WISE_TRANSFER => blocks = true,
                number if option::is_critical(number) => {
                    return self.abort("an option of CSM is critical and not known", Some(number));
                }
                _ => {}
            }
        }
        // Several blocks at once, if both ends take them (RFC 8323 §6).
        let bert = blocks && self.peer_message_bytes > super::BASE_MESSAGE;
        self.binding.set_stream(self.peer_message_bytes, bert);
        if self.state == State::Fresh {
            self.state = State::Open;
            let claim = self.claim.take().map(|claim| *claim).unwrap_or_default();
            self.binding.handle_session(now, SessionId(0), claim);
            self.binding.open_own_lane(now, REMOTE);
        }
    }

    /// Ping: with Custody its answer says that all that came before it is done (RFC 8323 §5.4.1).
    fn ping(&mut self, frame: &Frame<'_>) {
        let wants_custody = frame.options.iter().any(|option| option.number == CUSTODY);
        if wants_custody && self.custody.len() < MOST_CUSTODY {
            return self.custody.push_back((self.next_ask, Token::from(frame.token)));
        }
        self.say(Code::PONG, frame.token, Options::default(), &Bytes::new());
    }

    /// Answers the pings before which everything is done.
    pub(super) fn say_pongs(&mut self) {
        while let Some((later, _)) = self.custody.front()
            && self.asks.first_key_value().is_none_or(|(first, _)| first >= later)
            && let Some((_, token)) = self.custody.pop_front()
        {
            let mut options = OptionsBuf::default();
            options.insert(CUSTODY, &[]);
            self.say(Code::PONG, &token, options.as_options(), &Bytes::new());
        }
    }

    /// Ends the connection because of what the peer sent, and says why (RFC 8323 §5.6).
    pub(super) fn abort(&mut self, problem: &'static str, option: Option<u16>) {
        let mut options = OptionsBuf::default();
        if let Some(number) = option {
            options.insert_uint(BAD_CSM_OPTION, number.into());
        }
        self.say(Code::ABORT, &[], options.as_options(), &Bytes::from_static(problem.as_bytes()));
        self.end(CloseCause::Protocol(problem.into()));
    }
}
