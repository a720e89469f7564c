//! Topic aliases, those that the client sets and those that are set towards it (MQTT 5 §3.3.2.3.4).

use crate::mqtt::ReasonCode;
use crate::mqtt::codec::{CodecError, TopicAlias};
use windrose_event::Address;

/// What each alias stands for; an alias is one more than its index.
#[derive(Default)]
pub(super) struct Aliases {
    topics: Vec<Option<Address>>,
}

const INVALID: ReasonCode = ReasonCode::TOPIC_ALIAS_INVALID;

impl Aliases {
    /// The address of a topic with an alias: a named topic sets what the alias stands for, an empty one looks it up.
    pub(super) fn resolve(
        &mut self,
        alias: u16,
        named: Option<Address>,
        maximum: u16,
    ) -> Result<Address, CodecError> {
        if alias == 0 || alias > maximum {
            return Err(CodecError {
                code: INVALID,
                problem: "a topic alias is zero or beyond Topic Alias Maximum",
            });
        }
        let index = usize::from(alias) - 1;
        match named {
            Some(address) => {
                if self.topics.len() <= index {
                    self.topics.resize_with(index + 1, || None);
                }
                if let Some(topic) = self.topics.get_mut(index) {
                    *topic = Some(address.clone());
                }
                Ok(address)
            }
            None => self
                .topics
                .get(index)
                .and_then(Option::as_ref)
                .cloned()
                .ok_or(CodecError::protocol("a topic alias stands for nothing yet")),
        }
    }
}

/// What each alias towards the client stands for; an alias is one more than its index. First come, first served: the
/// topics that a client hears first are mostly the ones that it goes on hearing, and nothing is moved around per delivery.
pub(super) struct Given {
    topics: Vec<Address>,
    most: u16,
}

/// Aliases towards one client at most: they are looked through for each of its deliveries.
const MOST: u16 = 32;

impl Given {
    /// For a client that takes `theirs`, by a policy that allows `ours`; `None` if that comes to none.
    pub(super) fn new(theirs: u16, ours: u16) -> Option<Box<Self>> {
        let most = theirs.min(ours).min(MOST);
        (most > 0).then(|| Box::new(Self { topics: Vec::new(), most }))
    }

    /// The alias that an address has, or could be given.
    pub(super) fn alias(&self, address: &Address) -> Option<TopicAlias> {
        match self.topics.iter().position(|topic| topic == address) {
            Some(index) => Some(TopicAlias::Known(index as u16 + 1)),
            None if self.topics.len() < usize::from(self.most) => {
                Some(TopicAlias::New(self.topics.len() as u16 + 1))
            }
            None => None,
        }
    }

    /// The client was told of the next alias, with this address.
    pub(super) fn set(&mut self, address: &Address) {
        self.topics.push(address.clone());
    }
}
