//! The trace: what happened, kept as values and told in words only when something went wrong.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use windrose_event::Moment;

/// A client of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u16);

/// A connection of the run, from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u32);

/// One publication: what a client put on the wire as a new packet. Payloads begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PubId(pub u32);

/// A packet as its client saw it.
#[derive(Clone, Copy, Debug, Hash)]
pub struct PacketNote {
    /// Whose.
    pub client: ClientId,
    /// By which connection.
    pub link: LinkId,
    /// The specification's name of its kind.
    pub name: &'static str,
    /// Its packet identifier, if it has one.
    pub packet_id: u16,
    /// Its reason code, if it has one.
    pub code: u8,
    /// DUP.
    pub dup: bool,
    /// The publication in it, or that it answers.
    pub publication: Option<PubId>,
}

/// Something that happened.
#[derive(Clone, Debug, Hash)]
#[allow(missing_docs, reason = "the fields are what they are called")]
pub enum Note {
    /// A client opened a connection to a shard.
    Opened { client: ClientId, link: LinkId, shard: u16 },
    /// A client wrote a packet.
    Sent(PacketNote),
    /// A client read a packet.
    Got(PacketNote),
    /// The node read bytes.
    Read { client: ClientId, link: LinkId, bytes: usize },
    /// A connection was cut.
    Cut { client: ClientId, link: LinkId },
    /// One side knows that its connection is gone.
    Gone { client: ClientId, link: LinkId, node: bool },
    /// The node does not read from a connection, or does again.
    Braked { client: ClientId, link: LinkId, paused: bool },
    /// A shard sent events to a member.
    Dispatched { shard: u16, dispatch: u64, member: usize, publications: Vec<PubId> },
    /// A service has the events.
    Took { shard: u16, dispatch: u64, publications: Vec<PubId> },
    /// A shard got a member's answer.
    Answered { shard: u16, dispatch: u64, outcome: &'static str, publications: Vec<PubId> },
    /// A shard sent another one a message.
    Told { from: u16, to: u16, what: &'static str, session: Option<Arc<str>>, publications: Vec<PubId> },
    /// The message arrived.
    Heard { from: u16, to: u16, what: &'static str, session: Option<Arc<str>>, publications: Vec<PubId> },
    /// The directory answered.
    Located { shard: u16, client: ClientId, holder: Option<u16> },
    /// A shard took a new document.
    Reloaded { shard: u16, document: usize },
    /// The services changed their mood.
    Mood(&'static str),
    /// A client is not let in any more, or again.
    Revoked { client: ClientId, revoked: bool },
    /// A shard heard that a client is not let in any more.
    Ended { client: ClientId, shard: u16 },
    /// From here on there are no faults.
    Calm,
    /// The node's process is killed, and starts again.
    Crash,
    /// The node shuts down.
    Drain,
}

impl Note {
    /// Whether it speaks of the publication, or of one of the clients without speaking of any publication.
    fn concerns(&self, publication: Option<PubId>, clients: &[ClientId]) -> bool {
        match self {
            Self::Sent(packet) | Self::Got(packet) => {
                let theirs = clients.contains(&packet.client);
                match (packet.publication, publication) {
                    (Some(one), Some(other)) => one == other,
                    (Some(_), None) | (None, _) => theirs,
                }
            }
            Self::Opened { client, .. }
            | Self::Cut { client, .. }
            | Self::Gone { client, .. }
            | Self::Braked { client, .. }
            | Self::Located { client, .. } => clients.contains(client),
            Self::Read { .. } => false,
            Self::Dispatched { publications, .. }
            | Self::Took { publications, .. }
            | Self::Answered { publications, .. } => publication.is_some_and(|id| publications.contains(&id)),
            Self::Told { session, publications, .. } | Self::Heard { session, publications, .. } => {
                publication.is_some_and(|id| publications.contains(&id))
                    || session
                        .as_deref()
                        .is_some_and(|name| clients.iter().any(|client| name == client.name()))
            }
            Self::Reloaded { .. }
            | Self::Revoked { .. }
            | Self::Ended { .. }
            | Self::Mood(_)
            | Self::Calm
            | Self::Crash
            | Self::Drain => true,
        }
    }
}

impl ClientId {
    /// The client identifier that it uses.
    pub fn name(self) -> String {
        format!("client-{}", self.0)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { client, link, shard } => {
                write!(f, "{} opens link {} to shard {shard}", client.name(), link.0)
            }
            Self::Sent(packet) => write!(f, "{} -> {packet}", packet.client.name()),
            Self::Got(packet) => write!(f, "{} <- {packet}", packet.client.name()),
            Self::Read { client, link, bytes } => {
                write!(f, "node reads {bytes} bytes of {} by link {}", client.name(), link.0)
            }
            Self::Cut { client, link } => write!(f, "link {} of {} is cut", link.0, client.name()),
            Self::Gone { client, link, node } => {
                let side = if *node { "node" } else { "client" };
                write!(f, "{side} notices that link {} of {} is gone", link.0, client.name())
            }
            Self::Braked { client, link, paused } => {
                let what = if *paused { "stops reading" } else { "reads again" };
                write!(f, "node {what} link {} of {}", link.0, client.name())
            }
            Self::Dispatched { shard, dispatch, member, publications } => {
                write!(f, "shard {shard} dispatches {dispatch} to member {member}: {publications:?}")
            }
            Self::Took { shard, dispatch, publications } => {
                write!(f, "the service takes dispatch {dispatch} of shard {shard}: {publications:?}")
            }
            Self::Answered { shard, dispatch, outcome, publications } => {
                write!(f, "shard {shard} hears {outcome} of dispatch {dispatch}: {publications:?}")
            }
            Self::Told { from, to, what, session, publications } => {
                write!(
                    f,
                    "shard {from} tells shard {to} {what} {} {publications:?}",
                    session.as_deref().unwrap_or("")
                )
            }
            Self::Heard { from, to, what, session, publications } => {
                write!(
                    f,
                    "shard {to} hears {what} of shard {from} {} {publications:?}",
                    session.as_deref().unwrap_or("")
                )
            }
            Self::Located { shard, client, holder } => {
                write!(f, "shard {shard} is told that {} was at {holder:?}", client.name())
            }
            Self::Reloaded { shard, document } => write!(f, "shard {shard} takes document {document}"),
            Self::Revoked { client, revoked: true } => write!(f, "{} is revoked", client.name()),
            Self::Revoked { client, revoked: false } => write!(f, "{} is let in again", client.name()),
            Self::Ended { client, shard } => {
                write!(f, "shard {shard} hears that {} is revoked", client.name())
            }
            Self::Mood(mood) => write!(f, "the services are {mood}"),
            Self::Calm => f.write_str("no more faults"),
            Self::Crash => f.write_str("the node is killed and starts again"),
            Self::Drain => f.write_str("the node shuts down"),
        }
    }
}

impl fmt::Display for PacketNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (link {}", self.name, self.link.0)?;
        if self.packet_id != 0 {
            write!(f, ", id {}", self.packet_id)?;
        }
        if self.dup {
            f.write_str(", DUP")?;
        }
        if self.code != 0 {
            write!(f, ", code {:#04x}", self.code)?;
        }
        if let Some(publication) = self.publication {
            write!(f, ", publication {}", publication.0)?;
        }
        f.write_str(")")
    }
}

/// Steps that are kept; older ones count for the hash only.
const KEPT: usize = 200_000;

/// What happened in a run, in order.
#[derive(Debug, Default)]
pub struct Trace {
    notes: VecDeque<(Moment, Note)>,
    hasher: DefaultHasher,
}

impl Trace {
    /// Adds a note.
    pub fn note(&mut self, at: Moment, note: Note) {
        (at, &note).hash(&mut self.hasher);
        if self.notes.len() == KEPT {
            self.notes.pop_front();
        }
        self.notes.push_back((at, note));
    }

    /// A number that stands for everything that happened: the same run, the same number.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// The last `most` notes about a publication and its clients, in words.
    pub fn tell(&self, publication: Option<PubId>, clients: &[ClientId], most: usize) -> String {
        let concerned = self.notes.iter().filter(|(_, note)| note.concerns(publication, clients));
        let mut told: Vec<String> = concerned.rev().take(most).map(line).collect();
        told.reverse();
        told.join("\n")
    }

    /// Everything, in words.
    pub fn tell_all(&self) -> String {
        self.notes.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn line((at, note): &(Moment, Note)) -> String {
    format!("{:>10.3} ms  {note}", at.as_micros() as f64 / 1_000.0)
}
