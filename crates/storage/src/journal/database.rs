//! The database: what is kept, in redb's one file.
//!
//! Five tables: `about` (the version of all this, and how often it was opened), `sessions` (see `value`), `events` (those
//! that several messages wait for, by number), `retained` (last values by address; one without a payload says for a moment
//! that the address was cleared), `topology` (exchanges and bindings, see there).

use super::changes::{Change, Changes, Value, supersedes};
use super::event::{Origins, peek_event, read_event, write_event};
use super::topology::{BINDING, EXCHANGE, read_binding, read_exchange, read_queue, write_queue};
use super::value::*;
use bytes::Bytes;
use redb::{Database as Redb, ReadableDatabase, ReadableTable, Table, TableDefinition};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use windrose_engine::{Kept, KeptMessage, KeptQueue, KeptSession, MessageRecord, SessionNumber, ShardId};
use windrose_event::{Event, EventId};

const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const SESSIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("sessions");
const EVENTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("events");
const RETAINED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("retained");
const TOPOLOGY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("topology");

/// The version of all tables.
const VERSION: u64 = 1;

/// Memory for pages, read and not yet written.
const CACHE: usize = 64 << 20;

/// Events that are smaller are written with each message that waits for them: naming one costs as much.
const SHARE_FROM: usize = 64;

/// How long a cleared address is remembered, so that an older value of another shard does not come back.
const CLEARED_FOR: Duration = Duration::from_secs(10);

/// What goes wrong in redb.
pub(super) type Failure = Box<redb::Error>;

/// The open database.
pub(super) struct Database {
    path: PathBuf,
    redb: Option<Redb>,
    /// How many messages wait for each event in `events`.
    references: HashMap<u128, u32>,
    /// Addresses that were cleared, oldest first.
    cleared: VecDeque<(Instant, String)>,
}

/// Shared events that a commit adds and takes away.
type References = HashMap<u128, i64>;

fn fail(error: impl Into<redb::Error>) -> Failure {
    Box::new(error.into())
}

impl Database {
    /// Opens or makes the file. Says whether it is of a version that this program knows.
    pub(super) fn open(path: &Path) -> Result<(Self, u32), Failure> {
        let redb = open(path)?;
        let write = redb.begin_write().map_err(fail)?;
        let starts;
        {
            let mut about = write.open_table(ABOUT).map_err(fail)?;
            let version = about.get("version").map_err(fail)?.map_or(VERSION, |version| version.value());
            if version > VERSION {
                return Err(fail(redb::StorageError::Corrupted(format!(
                    "it was written by a later version of Windrose (its format is {version}, this one knows {VERSION})"
                ))));
            }
            starts = about.get("starts").map_err(fail)?.map_or(0, |starts| starts.value()) + 1;
            about.insert("version", VERSION).map_err(fail)?;
            about.insert("starts", starts).map_err(fail)?;
            write.open_table(SESSIONS).map_err(fail)?;
            write.open_table(EVENTS).map_err(fail)?;
            write.open_table(RETAINED).map_err(fail)?;
            write.open_table(TOPOLOGY).map_err(fail)?;
        }
        write.commit().map_err(fail)?;
        let database = Self {
            path: path.to_owned(),
            redb: Some(redb),
            references: HashMap::new(),
            cleared: VecDeque::new(),
        };
        Ok((database, starts as u32))
    }

    /// Bytes of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// After a failure: opens the file anew, as far as that is possible now.
    pub(super) fn reopen(&mut self) -> Result<(), Failure> {
        self.redb = None;
        self.redb = Some(open(&self.path)?);
        Ok(())
    }

    /// Writes changes, all or none, and returns when they are durable.
    pub(super) fn write(&mut self, changes: &Changes) -> Result<(), Failure> {
        let Some(redb) = &self.redb else { return Err(fail(redb::StorageError::DatabaseClosed)) };
        let write = redb.begin_write().map_err(fail)?;
        let mut references = References::new();
        let mut forgotten = 0;
        {
            let mut sessions = write.open_table(SESSIONS).map_err(fail)?;
            let mut events = write.open_table(EVENTS).map_err(fail)?;
            for session in &changes.ended {
                end(&mut sessions, *session, &mut references)?;
            }
            let popular = popular(changes);
            for (key, change) in &changes.sessions {
                match change {
                    Change::Remove => {
                        let old = sessions.remove(key.as_slice()).map_err(fail)?;
                        if let Some(event) = old.as_ref().and_then(|old| named(key, old.value())) {
                            *references.entry(event).or_default() -= 1;
                        }
                    }
                    Change::Put { value: Value::Message(message), .. } => {
                        let id = message.event.id.as_u128();
                        let known = self.references.contains_key(&id);
                        let shared = known || popular.get(&id).is_some_and(|count| *count > 1);
                        if shared {
                            let reference = references.entry(id).or_default();
                            if !known && *reference == 0 {
                                events.insert(id, write_event(&message.event).as_slice()).map_err(fail)?;
                            }
                            *reference += 1;
                        }
                        let value = write_message(message, shared);
                        sessions.insert(key.as_slice(), value.as_slice()).map_err(fail)?;
                    }
                    Change::Put { value, .. } => {
                        sessions.insert(key.as_slice(), encode(value).as_slice()).map_err(fail)?;
                    }
                }
            }
            for (event, change) in &references {
                let count = self.references.get(event).copied().map_or(0, i64::from) + change;
                if count <= 0 {
                    events.remove(event).map_err(fail)?;
                }
            }
            if !changes.topology.is_empty() {
                let mut topology = write.open_table(TOPOLOGY).map_err(fail)?;
                for (key, value) in &changes.topology {
                    match value {
                        Some(value) => drop(topology.insert(key.as_slice(), value.as_slice()).map_err(fail)?),
                        None => drop(topology.remove(key.as_slice()).map_err(fail)?),
                    }
                }
            }
            let mut retained = write.open_table(RETAINED).map_err(fail)?;
            for event in changes.retained.values() {
                retain(&mut retained, event)?;
            }
            let due = |cleared: &&(Instant, String)| cleared.0.elapsed() >= CLEARED_FOR;
            for (_, address) in self.cleared.iter().take_while(due) {
                forgotten += 1;
                forget_cleared(&mut retained, address)?;
            }
        }
        write.commit().map_err(fail)?;
        self.cleared.drain(..forgotten);
        let now = Instant::now();
        let cleared = changes.retained.values().filter(|event| event.payload.is_empty());
        self.cleared.extend(cleared.map(|event| (now, event.address.as_str().to_owned())));
        for (event, change) in references {
            let count = self.references.get(&event).copied().map_or(0, i64::from) + change;
            match u32::try_from(count) {
                Ok(count) if count > 0 => drop(self.references.insert(event, count)),
                _ => drop(self.references.remove(&event)),
            }
        }
        Ok(())
    }

    /// Reads all that is kept. Entries that cannot be read are left out and counted.
    pub(super) fn load(&mut self, start: u32) -> Result<(Kept, u64), Failure> {
        let Some(redb) = &self.redb else { return Err(fail(redb::StorageError::DatabaseClosed)) };
        let read = redb.begin_read().map_err(fail)?;
        let mut loading = Loading::default();
        let table = read.open_table(EVENTS).map_err(fail)?;
        for entry in table.iter().map_err(fail)? {
            let (id, bytes) = entry.map_err(fail)?;
            match read_event(Bytes::copy_from_slice(bytes.value()), &mut loading.origins) {
                Some(event) => drop(loading.events.insert(id.value(), (Arc::new(event), 0))),
                None => loading.skipped += 1,
            }
        }
        let table = read.open_table(SESSIONS).map_err(fail)?;
        for entry in table.iter().map_err(fail)? {
            let (key, value) = entry.map_err(fail)?;
            if loading.entry(key.value(), value.value()).is_none() {
                loading.skipped += 1;
            }
        }
        loading.finish_session();
        let table = read.open_table(RETAINED).map_err(fail)?;
        let mut retained = Vec::new();
        for entry in table.iter().map_err(fail)? {
            let (address, value) = entry.map_err(fail)?;
            match read_event(Bytes::copy_from_slice(value.value()), &mut loading.origins) {
                Some(event) if event.payload.is_empty() => {
                    self.cleared.push_back((Instant::now(), address.value().to_owned()));
                }
                Some(event) => retained.push(Arc::new(event)),
                None => loading.skipped += 1,
            }
        }
        let (mut exchanges, mut bindings) = (Vec::new(), Vec::new());
        let table = read.open_table(TOPOLOGY).map_err(fail)?;
        for entry in table.iter().map_err(fail)? {
            let (key, value) = entry.map_err(fail)?;
            let (key, value) = (Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value()));
            let read = match key.first() {
                Some(&EXCHANGE) => read_exchange(value).map(|exchange| exchanges.push(exchange)),
                Some(&BINDING) => read_binding(key, value).map(|binding| bindings.push(binding)),
                _ => None,
            };
            loading.skipped += u64::from(read.is_none());
        }
        self.references = loading
            .events
            .iter()
            .map(|(id, (_, count))| (*id, *count))
            .filter(|(_, count)| *count > 0)
            .collect();
        let unused: Vec<u128> =
            loading.events.iter().filter(|(_, (_, count))| *count == 0).map(|(id, _)| *id).collect();
        let Loading { sessions, queues, orphans, skipped, .. } = loading;
        drop((table, read));
        self.clean(&orphans, &unused)?;
        let (retained, exchanges, bindings) = (retained.into(), exchanges.into(), bindings.into());
        Ok((Kept { start, sessions, retained, exchanges, queues, bindings }, skipped))
    }

    /// Takes out what belongs to nobody any more.
    fn clean(&self, orphans: &[SessionNumber], unused: &[u128]) -> Result<(), Failure> {
        let Some(redb) = self.redb.as_ref().filter(|_| !orphans.is_empty() || !unused.is_empty()) else {
            return Ok(());
        };
        let write = redb.begin_write().map_err(fail)?;
        {
            let mut sessions = write.open_table(SESSIONS).map_err(fail)?;
            for session in orphans {
                end(&mut sessions, *session, &mut References::new())?;
            }
            let mut events = write.open_table(EVENTS).map_err(fail)?;
            for event in unused {
                events.remove(event).map_err(fail)?;
            }
        }
        write.commit().map_err(fail)
    }

    /// Entries of all tables, for tests.
    #[cfg(test)]
    pub(super) fn entries(&self) -> Result<[u64; 3], Failure> {
        use redb::ReadableTableMetadata;
        let Some(redb) = &self.redb else { return Ok([0; 3]) };
        let read = redb.begin_read().map_err(fail)?;
        Ok([
            read.open_table(SESSIONS).map_err(fail)?.len().map_err(fail)?,
            read.open_table(EVENTS).map_err(fail)?.len().map_err(fail)?,
            read.open_table(RETAINED).map_err(fail)?.len().map_err(fail)?,
        ])
    }
}

fn open(path: &Path) -> Result<Redb, Failure> {
    Redb::builder().set_cache_size(CACHE).create(path).map_err(fail)
}

/// How many messages of these changes wait for each event that is worth sharing.
fn popular(changes: &Changes) -> HashMap<u128, u32> {
    let mut counts = HashMap::new();
    for change in changes.sessions.values() {
        if let Change::Put { value: Value::Message(MessageRecord { event, .. }), .. } = change
            && event.payload.len() >= SHARE_FROM
        {
            *counts.entry(event.id.as_u128()).or_default() += 1;
        }
    }
    counts
}

fn encode(value: &Value) -> Vec<u8> {
    match value {
        Value::Session(session) => write_session(session),
        Value::Queue(queue) => write_queue(queue),
        Value::Taken(state) => write_taken(*state),
        Value::Subscription(subscription) => write_subscription(subscription),
        Value::Flight { tag, received } => write_flight(*tag, *received),
        Value::Message(message) => write_message(message, false),
    }
}

/// The shared event that an entry names.
fn named(key: &[u8], value: &[u8]) -> Option<u128> {
    (Letter::of(key) == Some(Letter::Message)).then(|| shared_event(value))?.map(EventId::as_u128)
}

/// Takes all of a session out.
fn end(
    sessions: &mut Table<'_, &[u8], &[u8]>,
    session: SessionNumber,
    references: &mut References,
) -> Result<(), Failure> {
    let from = session.0.to_be_bytes();
    let to = session.0.wrapping_add(1).to_be_bytes();
    for entry in sessions.extract_from_if(from.as_slice()..to.as_slice(), |_, _| true).map_err(fail)? {
        let (key, value) = entry.map_err(fail)?;
        if let Some(event) = named(key.value(), value.value()) {
            *references.entry(event).or_default() -= 1;
        }
    }
    Ok(())
}

/// Writes a last value, unless a later one is there.
fn retain(retained: &mut Table<'_, &str, &[u8]>, event: &Event) -> Result<(), Failure> {
    let address = event.address.as_str();
    let later = match retained.get(address).map_err(fail)? {
        Some(known) => peek_event(known.value())
            .is_some_and(|(time, id, _)| !supersedes((event.time, event.id), (time, id))),
        None => false,
    };
    if !later {
        retained.insert(address, write_event(event).as_slice()).map_err(fail)?;
    }
    Ok(())
}

/// Forgets that an address was cleared, unless it has a value again.
fn forget_cleared(retained: &mut Table<'_, &str, &[u8]>, address: &str) -> Result<(), Failure> {
    let is_cleared = match retained.get(address).map_err(fail)? {
        Some(known) => peek_event(known.value()).is_some_and(|(_, _, has_payload)| !has_payload),
        None => false,
    };
    if is_cleared {
        retained.remove(address).map_err(fail)?;
    }
    Ok(())
}

/// Sessions as they are put together from the table's rows, which stand in the order of sessions, letters and positions.
#[derive(Default)]
struct Loading {
    origins: Origins,
    /// Events that several messages wait for, and how many were seen.
    events: HashMap<u128, (Arc<Event>, u32)>,
    sessions: Vec<KeptSession>,
    queues: Vec<KeptQueue>,
    /// Sessions of which only traces are there.
    orphans: Vec<SessionNumber>,
    skipped: u64,
    present: Option<Present>,
}

/// The session whose rows are being read. `F`, `M`, `Q`, `S`, `T`, `U` is the order of letters.
struct Present {
    number: SessionNumber,
    /// Messages that were sent, in order, with their tags.
    flights: VecDeque<(u64, windrose_event::Tag, bool)>,
    kept: Option<KeptSession>,
    /// Whether there is a row of the session itself, even if it cannot be read.
    known: bool,
    messages: Vec<KeptMessage>,
}

impl Loading {
    /// Takes a row. `None`: it cannot be read.
    fn entry(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let number = session_of(key)?;
        if self.present.as_ref().is_none_or(|present| present.number != number) {
            self.finish_session();
            let (flights, messages) = (VecDeque::new(), Vec::new());
            self.present = Some(Present { number, flights, kept: None, known: false, messages });
        }
        let present = self.present.as_mut()?;
        let value = Bytes::copy_from_slice(value);
        match Letter::of(key)? {
            Letter::Flight => {
                let (tag, received) = read_flight(value)?;
                present.flights.push_back((position_of(key)?, tag, received));
            }
            Letter::Message => {
                let position = position_of(key)?;
                let events = &mut self.events;
                let message = read_message(value, &mut self.origins, |event, _| {
                    let (event, count) = events.get_mut(&event.as_u128())?;
                    *count += 1;
                    Some(event.clone())
                })?;
                present.before(position);
                let tag = match present.flights.front() {
                    Some((sent, tag, _)) if *sent == position => Some(*tag),
                    _ => None,
                };
                if tag.is_some() {
                    present.flights.pop_front();
                }
                present.messages.push(KeptMessage { position, tag, message: Some(message) });
            }
            Letter::Queue => {
                present.known = true;
                present.before(u64::MAX);
                let record = read_queue(number, value)?;
                let messages = std::mem::take(&mut present.messages);
                // Dealt to a shard later.
                self.queues.push(KeptQueue { record, home: ShardId(0), messages });
            }
            Letter::Session => {
                present.known = true;
                present.before(u64::MAX);
                let session = read_session(number, value, &mut self.origins)?;
                let messages = std::mem::take(&mut present.messages);
                present.kept =
                    Some(KeptSession { session, subscriptions: Vec::new(), messages, taken: Vec::new() });
            }
            Letter::Taken => {
                let taken = (tag_of(key)?, read_taken(value)?);
                if let Some(kept) = &mut present.kept {
                    kept.taken.push(taken);
                }
            }
            Letter::Subscription => {
                let subscription = read_subscription(value)?;
                if let Some(kept) = &mut present.kept {
                    kept.subscriptions.push(subscription);
                }
            }
        }
        Some(())
    }

    fn finish_session(&mut self) {
        if let Some(present) = self.present.take() {
            match present.kept {
                Some(kept) => self.sessions.push(kept),
                None if present.known => {}
                None => self.orphans.push(present.number),
            }
        }
    }
}

impl Present {
    /// Notes the messages before a position that the peer has: of those only the tags are left.
    fn before(&mut self, position: u64) {
        while let Some((sent, tag, received)) = self.flights.pop_front_if(|(sent, ..)| *sent < position) {
            // A tag without its message would be sent again as if the peer had it.
            if received {
                self.messages.push(KeptMessage { position: sent, tag: Some(tag), message: None });
            }
        }
    }
}
