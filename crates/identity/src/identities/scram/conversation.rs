//! The server's side of the exchange (RFC 5802 §5): two messages each.

use super::keys::{Hash, Keys, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use windrose_event::{Conversation, Refusal, RefusalCause, Secret, Step, Verdict};

/// The longest message that is looked at.
const LONGEST: usize = 4_096;

/// Who has a user name, and what proves it. For an unknown one the keys of nobody, lest a guesser learn who is known.
pub(crate) trait Knows: Send + Sync {
    /// The keys, and what follows if the peer has them, or that nobody can be asked. May wait.
    fn keys(&self, username: &str) -> Result<(Keys, Verdict), Refusal>;

    /// Somebody had no keys, or wrong ones, for the user name.
    fn failed(&self, username: &str);
}

/// One exchange.
pub(crate) struct Exchange {
    registry: Box<dyn Knows>,
    /// Our part of the nonce.
    nonce: String,
    state: State,
}

enum State {
    /// Nothing was said.
    Fresh,
    /// The client has said who it is, and was told the salt.
    Challenged(Box<Challenged>),
    Over,
}

struct Challenged {
    username: String,
    keys: Keys,
    verdict: Verdict,
    /// What the client said first without its GS2 header, and what it was answered.
    said: String,
    /// What the last message repeats: the GS2 header, and the whole nonce.
    header: String,
    nonce: String,
}

impl Exchange {
    /// A new one, with some chance of ours.
    pub(crate) fn new(registry: Box<dyn Knows>, chance: &[u8]) -> Self {
        Self { registry, nonce: STANDARD.encode(chance), state: State::Fresh }
    }

    /// `client-first-message`: the GS2 header, the name, the client's nonce.
    fn first(&self, text: &str) -> Result<Challenged, Refusal> {
        let mut parts = text.splitn(3, ',');
        let (Some(binding), Some(authority), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("its first message has no GS2 header"));
        };
        if !matches!(binding, "n" | "y") {
            return Err(bad("it asks for channel binding, which was not offered"));
        }
        if !authority.is_empty() {
            return Err(bad("it wants to act for somebody else"));
        }
        let mut attributes = bare.split(',');
        let name = attributes.next().and_then(|name| name.strip_prefix("n="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let (Some(name), Some(nonce)) = (name, nonce.filter(|nonce| !nonce.is_empty())) else {
            return Err(bad("its first message has no name, or no nonce"));
        };
        let username = name.replace("=2C", ",").replace("=3D", "=");
        let (keys, verdict) = self.registry.keys(&username)?;
        let nonce = format!("{nonce}{}", self.nonce);
        let salt = STANDARD.encode(&keys.salt);
        let answer = format!("r={nonce},s={salt},i={}", keys.iterations);
        let said = format!("{bare},{answer}");
        Ok(Challenged { username, keys, verdict, said, header: format!("{binding},{authority},"), nonce })
    }
}

impl Challenged {
    fn answer(&self) -> Bytes {
        let answer = self.said.rsplit_once(",r=").map_or("", |(_, answer)| answer);
        Bytes::from(format!("r={answer}"))
    }

    /// `client-final-message`: the header and the nonce again, and the proof. Returns the signature of ours.
    fn last(&self, text: &str) -> Result<String, String> {
        let Some((unproved, proof)) = text.rsplit_once(",p=") else {
            return Err("its last message has no proof".to_owned());
        };
        let expected = format!("c={},r={}", STANDARD.encode(&self.header), self.nonce);
        if unproved != expected {
            return Err("its last message does not repeat the header and the nonce".to_owned());
        }
        let proof: Hash = STANDARD
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or("its proof is not 32 bytes in base64")?;
        let whole: [&[u8]; 3] = [self.said.as_bytes(), b",", unproved.as_bytes()];
        let mut key = hmac(&self.keys.stored, &whole);
        key.iter_mut().zip(proof).for_each(|(byte, proof)| *byte ^= proof);
        let is_right = Sha256::digest(key).as_slice().ct_eq(&self.keys.stored);
        if !bool::from(is_right) {
            let name: String = self.username.chars().take(100).collect();
            return Err(format!("the password for the user name {name:?} is wrong, or nobody has that name"));
        }
        Ok(format!("v={}", STANDARD.encode(hmac(&self.keys.server, &whole))))
    }
}

impl Conversation for Exchange {
    fn step(&mut self, response: Option<&Secret>) -> Step {
        let response = response.map(Secret::reveal).unwrap_or_default();
        let text = match std::str::from_utf8(response) {
            Ok(text) if text.len() <= LONGEST => text,
            _ => return refused("what it says is no text, or too long".to_owned()),
        };
        match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh if text.is_empty() => {
                // It said nothing with its claim (RFC 4422 §3.3).
                self.state = State::Fresh;
                Step::Challenge(None)
            }
            State::Fresh => match self.first(text) {
                Ok(challenged) => {
                    let answer = challenged.answer();
                    self.state = State::Challenged(Box::new(challenged));
                    Step::Challenge(Some(answer))
                }
                Err(refusal) => Step::Refused(refusal),
            },
            State::Challenged(challenged) => match (challenged.last(text), &challenged.verdict) {
                (Ok(signature), Ok(identity)) => {
                    Step::Known { identity: identity.clone(), data: Some(signature.into()) }
                }
                (Ok(_), Err(refusal)) => Step::Refused(refusal.clone()),
                (Err(problem), _) => {
                    self.registry.failed(&challenged.username);
                    refused(problem)
                }
            },
            State::Over => refused("the exchange is over".to_owned()),
        }
    }
}

fn refused(detail: String) -> Step {
    Step::Refused(Refusal { cause: RefusalCause::BadCredentials, detail })
}

fn bad(detail: &str) -> Refusal {
    Refusal { cause: RefusalCause::BadCredentials, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use windrose_event::Identity;

    /// The account of RFC 7677 §3.
    struct One;

    impl Knows for One {
        fn keys(&self, username: &str) -> Result<(Keys, Verdict), Refusal> {
            let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
            let keys = Keys::of(b"pencil", &salt, 4_096);
            let verdict = if username == "user" { Ok(Identity::anonymous()) } else { Err(bad("nobody")) };
            Ok((keys, verdict))
        }

        fn failed(&self, _: &str) {}
    }

    fn exchange() -> Exchange {
        let mut exchange = Exchange::new(Box::new(One), b"");
        exchange.nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
        exchange
    }

    fn say(exchange: &mut Exchange, text: &str) -> Step {
        exchange.step(Some(&Secret::new(text.to_owned())))
    }

    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_exchange_is_as_in_rfc_7677() {
        let mut exchange = exchange();
        assert!(matches!(exchange.step(None), Step::Challenge(None)), "it may say nothing at first");
        match say(&mut exchange, FIRST) {
            Step::Challenge(Some(data)) => assert_eq!(
                data,
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
            ),
            other => panic!("{other:?}"),
        }
        match say(&mut exchange, LAST) {
            Step::Known { data: Some(data), .. } => {
                assert_eq!(data, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(say(&mut exchange, LAST), Step::Refused(_)), "it is over");
    }

    #[test]
    fn what_is_not_said_as_it_should_be_is_refused() {
        for first in
            ["", "n", "n,,", "p=tls-unique,,n=user,r=x", "n,a=admin,n=user,r=x", "n,,n=user,r=", "n,,r=x"]
        {
            let mut exchange = exchange();
            let step = say(&mut exchange, first);
            assert!(matches!(step, Step::Refused(_)) || first.is_empty(), "{first}: {step:?}");
        }
        for (from, to) in [("c=biws", "c=eSws"), ("p=dH", "p=DH"), ("j)h", "j)H"), (",p=", ",q=")] {
            let mut exchange = exchange();
            say(&mut exchange, FIRST);
            assert!(matches!(say(&mut exchange, &LAST.replace(from, to)), Step::Refused(_)), "{to}");
        }
    }

    #[test]
    fn a_name_that_nobody_has_is_told_no_sooner() {
        let mut exchange = exchange();
        assert!(matches!(say(&mut exchange, &FIRST.replace("user", "other")), Step::Challenge(Some(_))));
        assert!(matches!(say(&mut exchange, LAST), Step::Refused(_)));
    }
}
