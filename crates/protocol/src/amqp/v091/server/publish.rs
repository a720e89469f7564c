//! basic.publish: what a client's publication means (AMQP 0-9-1 §1.8.3.8, with RabbitMQ's extensions).

use super::content::Route;
use super::failure::Failure;
use super::queue::REPLY_TO;
use super::unsettled::{Entry, Returnable};
use super::{Server, tx};
use crate::amqp::v091::codec::{BasicPublish, Method, Properties, ReplyCode, TableBuf, Value};
use crate::amqp::v091::message::{RETAIN, address_for, details_of, keys_of, reply_key};
use bytes::Bytes;
use std::time::Duration;
use windrose_event::{
    Address, Assurance, Details, Intent, Original, Outcome, Publication, Publish, Text, is_namespace,
};

/// Copies that one publication may ask for besides itself (RabbitMQ: CC and BCC).
const MOST_COPIES: usize = 255;

/// Bytes of a publication's method and properties up to which they are remembered for the next.
const REMEMBERED: usize = 1_024;

/// What properties mean.
#[derive(Clone)]
pub(super) struct Described {
    details: Box<Details>,
    expiry: Option<Duration>,
    retain: bool,
    is_persistent: bool,
    /// Further routing keys.
    copies: Vec<Text>,
}

/// A publication that is understood.
pub(super) struct Understood {
    /// The exchange, if the engine has to look it up.
    through: Option<Text>,
    publication: Publication,
    mandatory: bool,
    copies: Vec<Text>,
    exchange: Option<Text>,
}

fn precondition(text: String) -> Failure {
    Failure::new(ReplyCode::PRECONDITION_FAILED, text)
}

impl Server {
    /// A whole publication: the frame of basic.publish, property flags and list, and the body.
    pub(super) fn publish(
        &mut self,
        number: u16,
        method: &[u8],
        properties: &[u8],
        body: Bytes,
    ) -> Result<(), Failure> {
        let channel = self.open_one(number)?;
        let mut route = match channel.route.take() {
            Some(route) if route.method == method => route,
            _ => route_of(method)?,
        };
        let described = match &route.described {
            Some(described) if route.properties == properties => (**described).clone(),
            _ => {
                let described = self.describe(number, method, properties)?;
                if route.properties == properties {
                    // The second time: there may be a third.
                    route.described = Some(Box::new(described.clone()));
                } else {
                    route.described = None;
                    route.properties.clear();
                    route.properties.extend_from_slice(properties);
                }
                described
            }
        };
        let through = route.through.clone();
        let (mandatory, address) = (route.mandatory, route.address.clone());
        let exchange = if described.copies.is_empty() { None } else { exchange_of(method) };
        let channel = self.open_one(number)?;
        // What is remembered stays with each channel, of which there may be thousands.
        channel.route = Some(route).filter(|_| method.len() + properties.len() <= REMEMBERED);
        let certain = described.is_persistent || channel.confirms.is_some();
        let Some(address) = address else {
            return self.publish_nowhere(number, described, mandatory, body);
        };
        let publication = Publication {
            address,
            payload: body,
            assurance: if certain { Assurance::AtLeastOnce } else { Assurance::AtMostOnce },
            retain: described.retain,
            expiry: described.expiry,
            details: Some(described.details),
        };
        let understood = Understood { through, publication, mandatory, copies: described.copies, exchange };
        match &mut self.open_one(number)?.tx {
            Some(transaction) => transaction.keep(understood),
            None => {
                self.send(number, understood, false);
                Ok(())
            }
        }
    }

    /// Hands a publication, and its copies, to the engine; says how many that were.
    pub(super) fn send(&mut self, number: u16, understood: Understood, is_committed: bool) -> u32 {
        let Understood { through, publication, mandatory, copies, exchange } = understood;
        let Some(channel) = self.channel(number) else { return 0 };
        let epoch = channel.epoch;
        let copies: Vec<Address> = copies
            .iter()
            .filter_map(|key| address_for(exchange.as_deref().unwrap_or_default(), key))
            .collect();
        let count = 1 + copies.len() as u32;
        let confirm = channel.confirms.as_mut().map_or(0, |confirms| confirms.expect(count as u16));
        let returnable = (mandatory && copies.is_empty()).then(|| {
            let original = publication.details.as_ref().and_then(|details| details.original.as_ref());
            let original = original.map(|original| original.bytes.clone()).unwrap_or_default();
            Box::new(Returnable { original, body: publication.payload.clone() })
        });
        for address in copies {
            let copy = Publication { address, retain: false, ..publication.clone() };
            self.send_one(Entry::new(number, epoch, confirm, is_committed, None), through.clone(), copy);
        }
        self.send_one(Entry::new(number, epoch, confirm, is_committed, returnable), through, publication);
        count
    }

    #[inline]
    fn send_one(&mut self, entry: Entry, through: Option<Text>, publication: Publication) {
        let tag = self.unsettled.push(entry);
        let publish = Publish { tag, again: false, publication };
        self.intend(match through {
            None => Intent::Publish(publish),
            Some(exchange) => Intent::PublishThrough { exchange, publish: Box::new(publish) },
        });
    }

    /// A publication to the default exchange without a key gets nowhere, as one to a queue that is not there.
    fn publish_nowhere(
        &mut self,
        number: u16,
        described: Described,
        mandatory: bool,
        body: Bytes,
    ) -> Result<(), Failure> {
        let channel = self.open_one(number)?;
        let epoch = channel.epoch;
        let confirm = channel.confirms.as_mut().map_or(0, |confirms| confirms.expect(1));
        let original = described.details.original.map(|original| original.bytes).unwrap_or_default();
        let returnable = mandatory.then(|| Box::new(Returnable { original, body }));
        let tag = self.unsettled.push(Entry::new(number, epoch, confirm, false, returnable));
        self.settle(tag, &Outcome::Accepted, false);
        Ok(())
    }

    /// What properties mean; they are kept as they are besides, with where the publication is for.
    fn describe(&mut self, number: u16, method: &[u8], bytes: &[u8]) -> Result<Described, Failure> {
        let mut properties = Properties::read(bytes)?;
        if let Some(claimed) = properties.user_id {
            self.check_user(claimed)?;
        }
        let expiry = properties.expiration.map(expiry_of).transpose()?;
        let header = |name: &str| properties.headers.and_then(|headers| headers.get(name));
        let retain = self.config.retain_available && header(RETAIN) == Some(Value::Bool(true));
        let mut copies = Vec::new();
        for name in ["CC", "BCC"] {
            copies.extend(match header(name) {
                None => Vec::new(),
                Some(Value::Array(list)) => keys_of(list).ok_or_else(|| unacceptable(name))?,
                Some(_) => return Err(unacceptable(name)),
            });
        }
        if copies.len() > MOST_COPIES {
            return Err(precondition(format!("more than {MOST_COPIES} routing keys in CC and BCC")));
        }
        // Receivers are not told of BCC, and get a reply address that is one.
        let mut changed = None;
        let without_bcc = properties.headers.filter(|headers| headers.get("BCC").is_some()).map(|headers| {
            let mut rest = TableBuf::new();
            headers.iter().filter(|(name, _)| *name != "BCC").for_each(|(name, value)| {
                rest.put(name, value);
            });
            rest
        });
        let reply_key = match properties.reply_to {
            Some(reply_to) if reply_to == REPLY_TO.as_bytes() => Some(self.reply_key(number)?),
            _ => None,
        };
        if without_bcc.is_some() || reply_key.is_some() {
            if let Some(rest) = &without_bcc {
                properties.headers = Some(rest.table());
            }
            if let Some(key) = &reply_key {
                properties.reply_to = Some(key.as_bytes());
            }
            let mut bytes = Vec::new();
            properties.write(&mut bytes);
            changed = Some(bytes);
        }
        let mut details = Box::new(details_of(&properties));
        let route = route_bytes(method);
        let properties_bytes = changed.as_deref().unwrap_or(bytes);
        let mut original = Vec::with_capacity(route.len() + properties_bytes.len());
        original.extend_from_slice(route);
        original.extend_from_slice(properties_bytes);
        details.original = Some(Original { form: Original::AMQP_0_9_1, bytes: original.into() });
        let is_persistent = properties.delivery_mode == Some(2);
        Ok(Described { details, expiry, retain, is_persistent, copies })
    }

    /// Whoever says who it is must be it (RabbitMQ: validated user-id).
    fn check_user(&self, claimed: &[u8]) -> Result<(), Failure> {
        let user = self.user.as_deref().unwrap_or("anonymous");
        if claimed == user.as_bytes() {
            return Ok(());
        }
        let claimed = String::from_utf8_lossy(claimed);
        Err(precondition(format!("user_id property set to '{claimed}' but authenticated user was '{user}'")))
    }

    /// Where replies to this channel's consumer of replies go.
    fn reply_key(&mut self, number: u16) -> Result<String, Failure> {
        let replies = self.channel(number).and_then(|channel| channel.replies.as_ref());
        let (_, address) =
            replies.ok_or_else(|| precondition("fast reply consumer does not exist".to_owned()))?;
        Ok(reply_key(address))
    }
}

fn unacceptable(name: &str) -> Failure {
    precondition(format!("unacceptable type for {name} header: it is no list of texts"))
}

/// How long a message is good for: milliseconds, as text.
fn expiry_of(expiration: &[u8]) -> Result<Duration, Failure> {
    let text = std::str::from_utf8(expiration).unwrap_or_default();
    let millis = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    millis.map(Duration::from_millis).ok_or_else(|| {
        precondition(format!("invalid expiration '{}': not a number", String::from_utf8_lossy(expiration)))
    })
}

/// Exchange and routing key of basic.publish as they are on the wire, and nothing that may follow them.
fn route_bytes(method: &[u8]) -> &[u8] {
    // After class, number and what is reserved.
    let rest = method.get(6..).unwrap_or_default();
    let exchange = rest.first().copied().map_or(0, usize::from);
    let key = rest.get(1 + exchange).copied().map_or(0, usize::from);
    rest.get(..2 + exchange + key).unwrap_or_default()
}

/// Reads basic.publish.
fn route_of(method: &[u8]) -> Result<Box<Route>, Failure> {
    let Method::BasicPublish(publish) = Method::read(method)? else {
        return Err(Failure::new(ReplyCode::INTERNAL_ERROR, "not basic.publish"));
    };
    let BasicPublish { exchange, routing_key, mandatory, immediate } = publish;
    if immediate {
        return Err(Failure::new(ReplyCode::NOT_IMPLEMENTED, "immediate=true"));
    }
    let address = address_for(exchange, routing_key);
    let through = (!is_namespace(exchange)).then(|| Text::from(exchange));
    let method = method.to_vec();
    Ok(Box::new(Route { method, address, through, mandatory, properties: Vec::new(), described: None }))
}

fn exchange_of(method: &[u8]) -> Option<Text> {
    match Method::read(method) {
        Ok(Method::BasicPublish(publish)) => Some(Text::from(publish.exchange)),
        _ => None,
    }
}

impl Entry {
    fn new(
        channel: u16,
        epoch: u32,
        number: u64,
        is_committed: bool,
        returnable: Option<Box<Returnable>>,
    ) -> Self {
        Self { channel, is_settled: false, is_committed, epoch, number, returnable }
    }
}

impl Understood {
    /// About how much memory it takes.
    pub(super) fn weight(&self) -> usize {
        tx::OVERHEAD + self.publication.payload.len() + self.copies.len() * 64
    }
}
