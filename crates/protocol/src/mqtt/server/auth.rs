//! Enhanced authentication (MQTT 5 §4.12): AUTH packets carry a conversation between the client and the registry, before
//! CONNACK and, if the client wants, again later.

use super::{Server, State};
use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{Auth, CodecError, Packet, Properties};
use bytes::Bytes;
use windrose_event::{Claim, Intent, Now, Secret, Text};

/// What the machine knows of a client that named an authentication method in CONNECT.
pub(super) struct Authentication {
    method: Text,
    /// What the client said of itself, without its secrets: re-authentication begins with it.
    claim: Claim,
    turn: Turn,
}

/// Whose word is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nobody's: the client is known.
    Nobody,
    /// The client's: it was sent AUTH.
    Client,
    /// The registry's.
    Registry,
}

impl Authentication {
    /// Of a claim that is about to be asked for.
    pub(super) fn new(method: Text, claim: &Claim) -> Box<Self> {
        let claim = Claim { password: None, response: None, ..claim.clone() };
        Box::new(Self { method, claim, turn: Turn::Registry })
    }

    /// The method and data of AUTH and CONNACK: the method is the one of CONNECT [MQTT-4.12.0-5].
    pub(super) fn properties(&self, data: Option<Bytes>) -> Properties {
        Properties {
            authentication_method: Some(self.method.clone()),
            authentication_data: data,
            ..Properties::default()
        }
    }
}

impl Server {
    /// AUTH from the client.
    pub(super) fn auth(&mut self, auth: Auth) -> Result<(), CodecError> {
        let Some(authentication) = &mut self.authentication else {
            return Err(CodecError::protocol("AUTH came without an authentication method in CONNECT"));
        };
        let properties = auth.properties.map(|properties| *properties).unwrap_or_default();
        if properties.authentication_method.as_ref() != Some(&authentication.method) {
            return Err(CodecError::protocol("AUTH has another authentication method than CONNECT"));
        }
        let response = properties.authentication_data.map(Secret::new);
        let intent = match (auth.code, authentication.turn) {
            (ReasonCode::CONTINUE_AUTHENTICATION, Turn::Client) => Intent::Respond { response },
            (ReasonCode::RE_AUTHENTICATE, Turn::Nobody) => {
                Intent::Reidentify(Box::new(Claim { response, ..authentication.claim.clone() }))
            }
            _ => return Err(CodecError::protocol("AUTH came out of turn, or with a server's reason code")),
        };
        authentication.turn = Turn::Registry;
        if self.state == State::Challenged {
            self.state = State::Opening;
        }
        self.intend(intent);
        Ok(())
    }

    /// The registry asks the client something.
    pub(super) fn challenge(&mut self, now: Now, data: Option<Bytes>) {
        if !self.say_auth(ReasonCode::CONTINUE_AUTHENTICATION, data, Turn::Client) {
            return;
        }
        if self.state == State::Opening {
            self.state = State::Challenged;
            // However long the registry took, the client has its whole time.
            self.last_heard = now.moment;
            self.parse_partial(now);
        }
    }

    /// The client has proved itself anew.
    pub(super) fn reidentified(&mut self, data: Option<Bytes>) {
        self.say_auth(ReasonCode::SUCCESS, data, Turn::Nobody);
    }

    /// The client is known, and its session is open.
    pub(super) fn authenticated(&mut self) {
        if let Some(authentication) = &mut self.authentication {
            authentication.turn = Turn::Nobody;
        }
    }

    fn say_auth(&mut self, code: ReasonCode, data: Option<Bytes>, turn: Turn) -> bool {
        let Some(authentication) = &mut self.authentication else { return false };
        authentication.turn = turn;
        let properties = Some(Box::new(authentication.properties(data)));
        let said = self.say(Packet::Auth(Auth { code, properties }));
        if !said {
            let problem = "AUTH is larger than the client's Maximum Packet Size";
            self.fail(CodecError { code: ReasonCode::PACKET_TOO_LARGE, problem });
        }
        said
    }
}
