//! A thing that speaks CoAP: it publishes, and some observe what others publish. Its message layer is its own.

use super::record::{PubId, Record, Way};
use crate::rng::Rng;
use std::collections::HashMap;
use std::time::Duration;
use windrose_event::Moment;
use windrose_protocol::coap::codec::{Code, Kind, Message, OptionsBuf, option};

/// RFC 7252 §4.8.2.
const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// How long a separate response is awaited.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often an observer registers again (RFC 7641 §3.3.1).
const REFRESH: Duration = Duration::from_secs(900);

/// Groups of things whose publications are observed together.
pub(super) const GROUPS: u32 = 8;

/// What an exchange is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Publication(PubId),
    Registration,
    Deregistration,
}

/// The one exchange that is under way (RFC 7252 §4.7).
#[derive(Debug)]
struct Exchange {
    about: About,
    confirmable: bool,
    id: u16,
    token: [u8; 4],
    bytes: Vec<u8>,
    repeated: u32,
    timeout: Duration,
    due: Moment,
    /// The request was acknowledged and the response is on its way.
    acknowledged: bool,
}

/// A message of the node's that came, and what it was answered by.
#[derive(Debug)]
struct Heard {
    at: Moment,
    bytes: Vec<u8>,
    answer: Option<Vec<u8>>,
}

/// One thing.
#[derive(Debug)]
pub(super) struct Thing {
    pub(super) number: u32,
    /// The group that it observes, if it does.
    observes: Option<u32>,
    pace: Duration,
    exchange: Option<Exchange>,
    next_id: u16,
    next_token: u32,
    published: u32,
    publishes_at: Option<Moment>,
    registers_at: Option<Moment>,
    /// The token of its observation.
    observation: Option<[u8; 4]>,
    heard: HashMap<u16, Heard>,
    /// What it sends.
    pub(super) out: Vec<Vec<u8>>,
}

impl Thing {
    pub(super) fn new(number: u32, observes: Option<u32>, pace: Duration, rng: &mut Rng) -> Self {
        Self {
            number,
            observes,
            pace,
            exchange: None,
            next_id: rng.bits() as u16,
            next_token: rng.bits() as u32,
            published: 0,
            publishes_at: Some(Moment::default() + rng.micros(0, pace.as_micros() as u64)),
            registers_at: observes.map(|_| Moment::default()),
            observation: None,
            heard: HashMap::new(),
            out: Vec::new(),
        }
    }

    /// It publishes nothing more.
    pub(super) fn stop(&mut self) {
        self.publishes_at = None;
    }

    /// It observes no longer.
    pub(super) fn leave(&mut self, now: Moment) {
        self.registers_at = self.observation.map(|_| now);
        self.observes = None;
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.exchange.is_none() && self.publishes_at.is_none() && self.registers_at.is_none()
    }

    pub(super) fn next_timeout(&self) -> Option<Moment> {
        match &self.exchange {
            Some(exchange) => Some(exchange.due),
            None => [self.publishes_at, self.registers_at].into_iter().flatten().min(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Moment, rng: &mut Rng, record: &mut Record) {
        if let Some(exchange) = &mut self.exchange {
            if exchange.due > now {
                return;
            }
            if exchange.acknowledged || !exchange.confirmable || exchange.repeated == 4 {
                let number = self.number;
                record.note(now, || format!("thing {number} gives up {:?}", exchange.about));
                self.end_exchange();
            } else {
                exchange.repeated += 1;
                exchange.timeout *= 2;
                exchange.due = now + exchange.timeout;
                self.out.push(exchange.bytes.clone());
            }
        }
        self.begin(now, rng, record);
    }

    /// The next thing to do, unless something is under way.
    fn begin(&mut self, now: Moment, rng: &mut Rng, record: &mut Record) {
        if self.exchange.is_some() {
            return;
        }
        if self.registers_at.is_some_and(|at| at <= now) {
            let about = if self.observes.is_some() { About::Registration } else { About::Deregistration };
            self.registers_at = None;
            let token = match self.observation {
                Some(token) => token,
                None => self.token(),
            };
            self.observation = Some(token);
            let group = format!("g{}", self.number % GROUPS);
            let mut options: OptionsBuf =
                ["x", &group, "#"].map(|level| (option::URI_PATH, level.as_bytes())).into_iter().collect();
            options.insert_uint(option::OBSERVE, u32::from(about == About::Deregistration));
            self.request(now, rng, about, Code::GET, true, token, &options, &[]);
        } else if self.publishes_at.is_some_and(|at| at <= now) {
            self.publishes_at = Some(now + rng.micros(1, 2 * self.pace.as_micros() as u64));
            self.published += 1;
            let id = PubId(u64::from(self.number) << 32 | u64::from(self.published));
            let way = if rng.chance(50) {
                Way::Delivered
            } else {
                Way::Observed(rng.below(GROUPS as usize) as u32)
            };
            let confirmable = rng.chance(85);
            record.published(now, id, way, confirmable);
            let number = self.number;
            record.note(now, || format!("thing {number} publishes {id:?} {way:?} {confirmable}"));
            let name = format!("t{}", self.number);
            let (first, second) = match way {
                Way::Delivered => ("d".to_owned(), name),
                Way::Observed(group) => ("x".to_owned(), format!("g{group}/{name}")),
            };
            let levels = second.split('/').map(|level| (option::URI_PATH, level.as_bytes()));
            let options = std::iter::once((option::URI_PATH, first.as_bytes())).chain(levels).collect();
            let token = self.token();
            let payload = id.0.to_string();
            self.request(
                now,
                rng,
                About::Publication(id),
                Code::POST,
                confirmable,
                token,
                &options,
                payload.as_bytes(),
            );
        }
    }

    #[allow(clippy::too_many_arguments, reason = "they are a message's parts")]
    fn request(
        &mut self,
        now: Moment,
        rng: &mut Rng,
        about: About,
        code: Code,
        confirmable: bool,
        token: [u8; 4],
        options: &OptionsBuf,
        payload: &[u8],
    ) {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let kind = if confirmable { Kind::Con } else { Kind::Non };
        let mut bytes = Vec::new();
        Message { kind, code, id, token: &token, options: options.as_options(), payload }.encode(&mut bytes);
        let timeout = rng.millis(2_000, 3_000);
        self.out.push(bytes.clone());
        // Whoever is not sure to be heard does not wait for long.
        let due = now + if confirmable { timeout } else { Duration::from_secs(10) };
        let exchange =
            Exchange { about, confirmable, id, token, bytes, repeated: 0, timeout, due, acknowledged: false };
        self.exchange = Some(exchange);
    }

    fn token(&mut self) -> [u8; 4] {
        self.next_token = self.next_token.wrapping_add(1);
        self.next_token.to_be_bytes()
    }

    fn end_exchange(&mut self) -> Option<Exchange> {
        let exchange = self.exchange.take()?;
        if exchange.about == About::Deregistration {
            self.observation = None;
        }
        Some(exchange)
    }

    /// A datagram of the node's.
    pub(super) fn handle_datagram(&mut self, now: Moment, bytes: &[u8], rng: &mut Rng, record: &mut Record) {
        let message = match Message::parse(bytes, 8) {
            Ok(message) => message,
            Err(error) => return record.fail(format!("the node sends no message: {error:?} {bytes:02x?}")),
        };
        let number = self.number;
        record.note(now, || format!("thing {number} hears {message:?}"));
        match message.kind {
            Kind::Ack | Kind::Rst => {
                let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.id == message.id)
                else {
                    return;
                };
                if message.kind == Kind::Rst {
                    return record.fail(format!("the node rejects {:?}", exchange.about));
                }
                if message.code == Code::EMPTY {
                    if !exchange.acknowledged {
                        exchange.acknowledged = true;
                        exchange.due = now + PATIENCE;
                    }
                } else if exchange.token != message.token {
                    record.fail(format!("the node answers {:?} with another token", exchange.about));
                } else {
                    self.answered(now, &message, record);
                }
            }
            Kind::Con | Kind::Non => self.hear(now, &message, bytes, record),
        }
        self.begin(now, rng, record);
    }

    /// A message of its own: a separate response or a notification.
    fn hear(&mut self, now: Moment, message: &Message<'_>, bytes: &[u8], record: &mut Record) {
        self.heard.retain(|_, heard| now.since(heard.at) < EXCHANGE_LIFETIME);
        if let Some(heard) = self.heard.get(&message.id) {
            if heard.bytes != bytes {
                record.fail(format!("the node uses a message identifier again too soon: {message:?}"));
            }
            self.out.extend(heard.answer.clone());
            return;
        }
        let is_response = self.exchange.as_ref().is_some_and(|exchange| exchange.token == message.token);
        let is_notification = self.observation.is_some_and(|token| token == message.token);
        let kind = if is_response || is_notification { Kind::Ack } else { Kind::Rst };
        let mut answer = Vec::new();
        Message::empty(kind, message.id).encode(&mut answer);
        let answer = (message.kind == Kind::Con).then_some(answer);
        self.out.extend(answer.clone());
        self.heard.insert(message.id, Heard { at: now, bytes: bytes.to_vec(), answer });
        let is_separate = is_response
            && self.exchange.as_ref().is_some_and(|exchange| match exchange.about {
                About::Publication(_) => true,
                // The registration has a token with its notifications: its response names no event.
                About::Registration | About::Deregistration => !message.options.has(option::LOCATION_PATH),
            });
        if is_separate {
            self.answered(now, message, record);
        } else if is_notification {
            self.told(message, record);
        }
    }

    fn told(&mut self, message: &Message<'_>, record: &mut Record) {
        if !message.code.is_success() {
            // The observation has ended.
            self.observation = None;
            self.registers_at = self.registers_at.filter(|_| self.observes.is_some());
            return record.given_up(self.number);
        }
        match std::str::from_utf8(message.payload).ok().and_then(|text| text.parse().ok()) {
            Some(id) => record.told(self.number, PubId(id)),
            None if message.payload.is_empty() => {}
            None => record.fail(format!("a notification without a publication: {message:?}")),
        }
    }

    fn answered(&mut self, now: Moment, message: &Message<'_>, record: &mut Record) {
        let Some(exchange) = self.end_exchange() else { return };
        match exchange.about {
            About::Publication(id) => match message.code {
                Code::CHANGED => record.acknowledged(id),
                Code::TOO_MANY_REQUESTS | Code::SERVICE_UNAVAILABLE | Code::GATEWAY_TIMEOUT => {
                    record.refused()
                }
                code => record.fail(format!("{id:?} is answered by {code:?}")),
            },
            About::Registration => {
                // One that has left meanwhile says so now.
                self.registers_at = Some(if self.observes.is_some() { now + REFRESH } else { now });
                if message.code == Code::CONTENT && message.options.has(option::OBSERVE) {
                    record.observing(now, self.number, self.number % GROUPS);
                } else if message.code == Code::UNAUTHORIZED {
                    record.fail("an observer is to show itself, and its notifications are small".to_owned());
                } else {
                    self.observation = None;
                    self.registers_at = self.registers_at.filter(|_| self.observes.is_some());
                    record.given_up(self.number);
                }
            }
            About::Deregistration => {}
        }
    }
}
