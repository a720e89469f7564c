//! Topic aliases that the client sets (MQTT 5 §3.3.2.3.4).

use crate::mqtt::ReasonCode;
use crate::mqtt::codec::CodecError;
use windrose_event::{Address, Text};

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
                    // Its own buffer: the packet's would be kept for as long as the connection lives.
                    *topic = Address::new(Text::from(address.as_str())).ok();
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
