//! Millions of subscriptions or retained messages: a process that makes them, and then uses a few, step by step as told.

use super::caller::Caller;
use super::packet::{self, Packet};
use crate::{Result, helper};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Sessions that share the subscriptions.
pub(crate) const SESSIONS: usize = 1_000;

/// Subscriptions of each.
pub(crate) const EACH: usize = 1_000;

/// Retained messages: topics of a site, and sites.
pub(crate) const THINGS: usize = 10_000;
pub(crate) const SITES: usize = 100;

/// Topics that messages are published to in turn, each with one subscriber.
const TOPICS: usize = 1_000;

/// Messages of one write, as in the traffic cases.
const BATCH: usize = 16;

/// Writes before what they bring is awaited.
const WRITES: usize = 8;

/// Packets that wait for their answers: SUBSCRIBEs, and retained publications.
const PIPELINE: usize = 50;

/// The work of one process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Where the server listens.
    pub(crate) server: SocketAddr,
    /// MQTT protocol level.
    pub(crate) mqtt: u8,
    /// Bytes of each payload.
    pub(crate) payload: usize,
}

/// What it is told, step by step; each is answered when it is done.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// One session subscribes to the topics that messages are published to.
    Listen,
    /// So many messages go from one publisher to that session.
    Publish(usize),
    /// All the others subscribe, half of them with wildcards, beside and between those topics.
    Subscribe,
    /// A last value for every thing of every site.
    Retain,
    /// A subscriber to all things of one site gets them.
    Fetch(usize),
}

/// Runs as one process.
pub(crate) fn main() -> Result<()> {
    let Some(work) = helper::told::<Work>()? else { return Ok(()) };
    let mut many = Many::connect(work)?;
    helper::say(&())?;
    while let Some(step) = helper::told::<Step>()? {
        many.step(step)?;
        helper::say(&())?;
    }
    Ok(())
}

struct Many {
    work: Work,
    publisher: Caller,
    subscriber: Caller,
    sessions: Vec<Caller>,
    payload: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

impl Many {
    fn connect(work: Work) -> Result<Self> {
        let publisher = Caller::connect(work.server, work.mqtt, "publisher")?;
        let subscriber = Caller::connect(work.server, work.mqtt, "subscriber")?;
        let payload = packet::payload(work.payload);
        let frame = |number| packet::publish(work.mqtt, &topic(number), 0, &payload).0;
        let frames = (0..TOPICS).map(frame).collect();
        Ok(Self { publisher, subscriber, sessions: Vec::new(), payload, frames, work })
    }

    fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Listen => subscribe(&mut self.subscriber, self.work.mqtt, (0..TOPICS).map(topic)),
            Step::Publish(messages) => self.publish(messages),
            Step::Subscribe => self.subscribe(),
            Step::Retain => self.retain(),
            Step::Fetch(site) => self.fetch(site),
        }
    }

    fn publish(&mut self, messages: usize) -> Result<()> {
        let mut frames = self.frames.iter().cycle();
        for _ in 0..messages / (BATCH * WRITES) {
            for _ in 0..WRITES {
                let batch: Vec<u8> = frames.by_ref().take(BATCH).flatten().copied().collect();
                self.publisher.say(&batch)?;
            }
            self.subscriber.await_all(BATCH * WRITES, |packet| matches!(packet, Packet::Publish(_)))?;
        }
        Ok(())
    }

    fn subscribe(&mut self) -> Result<()> {
        for session in 0..SESSIONS {
            let mut caller =
                Caller::connect(self.work.server, self.work.mqtt, &format!("session-{session}"))?;
            let first = session * EACH;
            subscribe(&mut caller, self.work.mqtt, (first..first + EACH).map(filter))?;
            caller.rest();
            self.sessions.push(caller);
        }
        Ok(())
    }

    fn retain(&mut self) -> Result<()> {
        let things = (0..SITES).flat_map(|site| (0..THINGS).map(move |thing| (site, thing)));
        let things: Vec<_> = things.collect();
        for pipeline in things.chunks(PIPELINE) {
            let mut bytes = Vec::new();
            for (id, (site, thing)) in (1_u16..).zip(pipeline) {
                let kept = format!("kept/{site}/{thing}");
                let (mut frame, at) = packet::publish(self.work.mqtt, &kept, 1, &self.payload);
                if let Some(place) = at.and_then(|at| frame.get_mut(at..at + 2)) {
                    place.copy_from_slice(&id.to_be_bytes());
                }
                if let Some(first) = frame.first_mut() {
                    *first |= 1;
                }
                bytes.extend(frame);
            }
            self.publisher.say(&bytes)?;
            self.publisher.await_all(pipeline.len(), |packet| packet == Packet::PubAck)?;
        }
        Ok(())
    }

    fn fetch(&mut self, site: usize) -> Result<()> {
        self.subscriber.say(&packet::subscribe(self.work.mqtt, &format!("kept/{site}/+"), 0))?;
        self.subscriber.await_all(THINGS, |packet| matches!(packet, Packet::Publish(_)))
    }
}

fn subscribe(caller: &mut Caller, mqtt: u8, filters: impl Iterator<Item = String>) -> Result<()> {
    let packets: Vec<_> = filters.map(|filter| packet::subscribe(mqtt, &filter, 0)).collect();
    for pipeline in packets.chunks(PIPELINE) {
        caller.say(&pipeline.concat())?;
        let mut refused = false;
        caller.await_all(pipeline.len(), |packet| {
            refused |= matches!(packet, Packet::SubAck(3..));
            matches!(packet, Packet::SubAck(_))
        })?;
        if refused {
            return Err("the server refuses a subscription".into());
        }
    }
    Ok(())
}

/// A topic that is published to.
fn topic(number: usize) -> String {
    format!("fleet/{}/{number}/speed", number % SITES)
}

/// Somebody's filter, of which none matches a topic that is published to; every other one has a wildcard.
fn filter(number: usize) -> String {
    // Beside the things that are published to, on the same sites.
    let (site, thing) = (number % SITES, TOPICS + number);
    match number / SITES % 4 {
        0 => format!("fleet/{site}/{thing}/speed"),
        1 => format!("fleet/{site}/{thing}/+/value"),
        2 => format!("fleet/{site}/{thing}/position"),
        _ => format!("fleet/+/{thing}/#"),
    }
}
