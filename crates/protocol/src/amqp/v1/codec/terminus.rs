//! Sources and targets: the ends of a link (part 3 §3.5), and coordinators of transactions (part 4 §4.5.1).

use super::format::descriptor;
use super::value::{Map, Value};
use super::{CodecError, DeliveryState, Fields, ListWriter, Reader, Symbols};

/// What of a terminus outlives the link (part 3 §3.5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing.
    #[default]
    None,
    /// That it exists.
    Configuration,
    /// Unsettled deliveries besides.
    UnsettledState,
}

impl Durability {
    fn field(fields: &mut Fields<'_>) -> Result<Self, CodecError> {
        match fields.uint()? {
            None | Some(0) => Ok(Self::None),
            Some(1) => Ok(Self::Configuration),
            Some(2) => Ok(Self::UnsettledState),
            Some(_) => Err(CodecError::field("a terminus has a durability that there is not")),
        }
    }

    fn put(self, list: &mut ListWriter<'_>) {
        list.uint(Some(self as u32).filter(|number| *number > 0));
    }
}

/// A source (§3.5.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source<'a> {
    /// Where messages come from.
    pub address: Option<&'a str>,
    /// What outlives the link.
    pub durable: Durability,
    /// When the terminus's time begins to run: `link-detach`, `session-end` (also if left out), `connection-close`, `never`.
    pub expiry_policy: Option<&'a str>,
    /// For how many seconds it is kept then.
    pub timeout: u32,
    /// Whether a new node is asked for.
    pub dynamic: bool,
    /// What the new node should be like.
    pub dynamic_node_properties: Option<Map<'a>>,
    /// `move` or `copy`.
    pub distribution_mode: Option<&'a str>,
    /// Which messages, by name.
    pub filter: Option<Map<'a>>,
    /// What becomes of deliveries that nothing is said of.
    pub default_outcome: Option<DeliveryState<'a>>,
    /// The outcomes that may be said.
    pub outcomes: Symbols<'a>,
    /// Extensions.
    pub capabilities: Symbols<'a>,
}

impl Default for Source<'_> {
    fn default() -> Self {
        Self {
            address: None,
            durable: Durability::None,
            expiry_policy: None,
            timeout: 0,
            dynamic: false,
            dynamic_node_properties: None,
            distribution_mode: None,
            filter: None,
            default_outcome: None,
            outcomes: Symbols::None,
            capabilities: Symbols::None,
        }
    }
}

/// An address is a string by these parts; whoever writes a symbol is understood, too.
fn address<'a>(fields: &mut Fields<'a>) -> Result<Option<&'a str>, CodecError> {
    match fields.any()? {
        Value::Null => Ok(None),
        value => value.text().map(Some).ok_or(CodecError::field("an address is no string")),
    }
}

impl<'a> Source<'a> {
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, CodecError> {
        if reader.descriptor()?.code() != Some(descriptor::SOURCE) {
            return Err(CodecError::field("a source was to come, and another value did"));
        }
        let mut fields = Fields::new(reader.list()?);
        Ok(Self {
            address: address(&mut fields)?,
            durable: Durability::field(&mut fields)?,
            expiry_policy: fields.symbol()?,
            timeout: fields.uint()?.unwrap_or(0),
            dynamic: fields.boolean()?.unwrap_or(false),
            dynamic_node_properties: fields.map()?,
            distribution_mode: fields.symbol()?,
            filter: fields.map()?,
            default_outcome: DeliveryState::field(&mut fields)?,
            outcomes: fields.symbols()?,
            capabilities: fields.symbols()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut list = ListWriter::described(out, descriptor::SOURCE);
        list.string(self.address);
        self.durable.put(&mut list);
        list.symbol(self.expiry_policy);
        list.uint(Some(self.timeout).filter(|seconds| *seconds > 0));
        list.flag(self.dynamic);
        list.map(self.dynamic_node_properties.as_ref());
        list.symbol(self.distribution_mode);
        list.map(self.filter.as_ref());
        match &self.default_outcome {
            Some(outcome) => list.field(|out| outcome.write(out)),
            None => list.null(),
        }
        list.symbols(&self.outcomes);
        list.symbols(&self.capabilities);
        list.finish();
    }
}

/// A target (§3.5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Target<'a> {
    /// Where messages go; `None`: where each says itself.
    pub address: Option<&'a str>,
    /// What outlives the link.
    pub durable: Durability,
    /// When the terminus's time begins to run.
    pub expiry_policy: Option<&'a str>,
    /// For how many seconds it is kept then.
    pub timeout: u32,
    /// Whether a new node is asked for.
    pub dynamic: bool,
    /// What the new node should be like.
    pub dynamic_node_properties: Option<Map<'a>>,
    /// Extensions.
    pub capabilities: Symbols<'a>,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Terminus<'a> {
    /// To a node.
    Target(Target<'a>),
    /// To what coordinates transactions (part 4 §4.5.1).
    Coordinator {
        /// What it should be able to.
        capabilities: Symbols<'a>,
    },
    /// To what we do not know.
    Other,
}

impl<'a> Terminus<'a> {
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, CodecError> {
        match reader.descriptor()?.code() {
            Some(descriptor::TARGET) => {}
            Some(descriptor::COORDINATOR) => {
                let mut fields = Fields::new(reader.list()?);
                return Ok(Self::Coordinator { capabilities: fields.symbols()? });
            }
            _ => return Ok(Self::Other),
        }
        let mut fields = Fields::new(reader.list()?);
        Ok(Self::Target(Target {
            address: address(&mut fields)?,
            durable: Durability::field(&mut fields)?,
            expiry_policy: fields.symbol()?,
            timeout: fields.uint()?.unwrap_or(0),
            dynamic: fields.boolean()?.unwrap_or(false),
            dynamic_node_properties: fields.map()?,
            capabilities: fields.symbols()?,
        }))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Target(target) => {
                let mut list = ListWriter::described(out, descriptor::TARGET);
                list.string(target.address);
                target.durable.put(&mut list);
                list.symbol(target.expiry_policy);
                list.uint(Some(target.timeout).filter(|seconds| *seconds > 0));
                list.flag(target.dynamic);
                list.map(target.dynamic_node_properties.as_ref());
                list.symbols(&target.capabilities);
                list.finish();
            }
            Self::Coordinator { capabilities } => {
                let mut list = ListWriter::described(out, descriptor::COORDINATOR);
                list.symbols(capabilities);
                list.finish();
            }
            Self::Other => ListWriter::described(out, descriptor::TARGET).finish(),
        }
    }
}
