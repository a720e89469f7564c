//! Filters of sources: which messages a link wants (part 3 §3.5.8, and those registered by apache.org).

use crate::amqp::v1::codec::{Descriptor, Map, MapWriter, Value};
use crate::amqp::v1::message::text_of;
use windrose_event::{HeadersTest, Text};

/// What a link's filters come to.
#[derive(Default)]
pub(super) struct Filters {
    /// A binding key: of a topic, or of a direct binding.
    pub(super) binding: Option<Text>,
    /// Which headers messages must have.
    pub(super) headers: Option<HeadersTest>,
    /// Whether the connection's own messages are left out.
    pub(super) no_local: bool,
    /// Those that are kept to, to be told: what is not among them is not.
    pub(super) applied: MapWriter,
}

/// Headers that a test may name.
const MOST_HEADERS: usize = 64;

impl Filters {
    /// Reads a filter set. What is not understood is not kept to, and the answer says so by leaving it out.
    pub(super) fn read(set: Option<&Map<'_>>) -> Self {
        let mut filters = Self::default();
        let Some(set) = set else { return filters };
        for (pair, raw) in set.iter().zip(set.raw()) {
            let (Ok((key, value)), Ok((raw_key, raw_value))) = (pair, raw) else { break };
            if filters.take(&key, &value).is_some() {
                filters.applied.raw(raw_key, raw_value);
            }
        }
        filters
    }

    fn take(&mut self, key: &Value<'_>, value: &Value<'_>) -> Option<()> {
        let (name, value) = match value {
            Value::Described(described) => (kind(described.descriptor()), described.value().ok()?),
            value => (None, *value),
        };
        match name.or_else(|| key.text().and_then(named))? {
            Kind::Binding => self.binding = Some(value.text()?.into()),
            Kind::NoLocal => self.no_local = true,
            Kind::Headers => {
                let Value::Map(map) = value else { return None };
                self.headers = Some(headers(&map)?);
            }
        }
        Some(())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Binding,
    Headers,
    NoLocal,
}

/// Codes of the registered descriptors, whose domain is apache.org's.
const APACHE: u64 = 0x0000_468c_0000_0000;

fn kind(descriptor: Descriptor<'_>) -> Option<Kind> {
    match descriptor {
        Descriptor::Code(code) => match code.checked_sub(APACHE)? {
            0 | 1 => Some(Kind::Binding),
            2 => Some(Kind::Headers),
            3 => Some(Kind::NoLocal),
            _ => None,
        },
        Descriptor::Name(name) => named(name),
        Descriptor::Other => None,
    }
}

fn named(name: &str) -> Option<Kind> {
    match name {
        "apache.org:legacy-amqp-direct-binding:string" | "apache.org:legacy-amqp-topic-binding:string" => {
            Some(Kind::Binding)
        }
        "apache.org:legacy-amqp-headers-binding:map" => Some(Kind::Headers),
        "apache.org:no-local-filter:list" => Some(Kind::NoLocal),
        _ => None,
    }
}

/// The test that a headers binding is: `x-match` says whether one is enough.
fn headers(map: &Map<'_>) -> Option<HeadersTest> {
    let mut test = HeadersTest::default();
    for pair in map.iter() {
        let (key, value) = pair.ok()?;
        match key.text()? {
            "x-match" => test.any = value.text()? == "any",
            name if name.starts_with("x-") => {}
            _ if test.wanted.len() == MOST_HEADERS => return None,
            name => test.wanted.push((name.into(), text_of(&value).filter(|_| value != Value::Null))),
        }
    }
    Some(test)
}
