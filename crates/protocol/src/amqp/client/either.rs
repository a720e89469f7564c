//! Which of the two clients speaks: the document says, or the server's protocol header does (AMQP 1.0 §2.2, 0-9-1 §4.2.2).

use super::{ClientConfig, ClientOutput, ClientVersion};
use crate::Transmit;
use crate::amqp::{v1, v091};
use std::sync::Arc;
use windrose_event::{Event, Filter, Moment, Now, Outcome, Tag};

/// One session with a server.
pub struct Client {
    config: Arc<ClientConfig>,
    spoken: Spoken,
    /// Whether the server is known to speak this version, or the document says so.
    decided: bool,
    /// Whether the other version was tried since the server last spoke one.
    turned: bool,
    /// Whether something came on this connection.
    heard: bool,
    /// Whether the connection that ends is to be followed by one of the other version.
    turning: bool,
}

enum Spoken {
    V1(Box<v1::Client>),
    V091(Box<v091::Client>),
}

/// Calls the same of whichever client speaks.
macro_rules! either {
    ($self:expr, $client:ident => $call:expr) => {
        match &mut $self.spoken {
            Spoken::V1($client) => $call,
            Spoken::V091($client) => $call,
        }
    };
}

/// What a server's protocol header begins with, whatever its version.
const HEADER: &[u8; 4] = b"AMQP";

impl Client {
    /// A session that has no connection yet.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        let spoken = match config.version {
            ClientVersion::V1 => Spoken::V1(Box::new(v1::Client::new(Arc::clone(&config)))),
            ClientVersion::Auto | ClientVersion::V091 => {
                Spoken::V091(Box::new(v091::Client::new(Arc::clone(&config))))
            }
        };
        let decided = config.version != ClientVersion::Auto;
        Self { config, spoken, decided, turned: false, heard: false, turning: false }
    }

    /// A transport is up.
    pub fn handle_connected(&mut self, now: Now) {
        (self.heard, self.turning) = (false, false);
        either!(self, client => client.handle_connected(now));
    }

    /// Takes a whole read.
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        if !self.heard && !self.decided {
            // 0-9-1 servers say their header only to those who came with another (0-9-1 §4.2.2).
            let refused = matches!(self.spoken, Spoken::V091(_)) && bytes.first() == HEADER.first()
                || matches!(self.spoken, Spoken::V1(_)) && bytes.starts_with(b"AMQP\x00\x00\x09");
            if refused {
                self.turning = true;
                let again = self.turned;
                return either!(self, client => client.leave(again.then(|| {
                    "the server speaks neither AMQP 0-9-1 nor 1.0".to_owned()
                })));
            }
        }
        self.heard |= !bytes.is_empty();
        either!(self, client => client.handle_bytes(now, bytes));
    }

    /// The transport has ended, or could not be had. What was published and is not confirmed is given back.
    pub fn handle_eof(&mut self, now: Now) {
        // A server that closes without a word may not know the version.
        let turns = !self.decided && (self.turning || !self.heard && self.was_connected());
        let waiting = if turns { either!(self, client => client.take_waiting()) } else { Vec::new() };
        either!(self, client => client.handle_eof(now));
        if turns {
            self.turn(now, waiting);
        }
    }

    fn was_connected(&self) -> bool {
        match &self.spoken {
            Spoken::V1(client) => client.is_connected(),
            Spoken::V091(client) => client.is_connected(),
        }
    }

    fn turn(&mut self, now: Now, waiting: Vec<(u64, Arc<Event>)>) {
        let mut outputs = Vec::new();
        while let Some(output) = self.poll_output() {
            outputs.push(output);
        }
        let config = Arc::clone(&self.config);
        self.spoken = match self.spoken {
            Spoken::V1(_) => Spoken::V091(Box::new(v091::Client::new(config))),
            Spoken::V091(_) => Spoken::V1(Box::new(v1::Client::new(config))),
        };
        (self.turned, self.turning) = (true, false);
        either!(self, client => {
            client.put_all(outputs);
            for (token, event) in waiting {
                client.publish(now, token, event);
            }
        });
    }

    /// Acts on [`Client::next_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        either!(self, client => client.handle_timeout(now));
    }

    /// When [`Client::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        match &self.spoken {
            Spoken::V1(client) => client.next_timeout(),
            Spoken::V091(client) => client.next_timeout(),
        }
    }

    /// The next output, if any.
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        let output = either!(self, client => client.poll_output());
        if let Some(ClientOutput::Opened) = output {
            (self.decided, self.turned) = (true, false);
        }
        output
    }

    /// What waits to be written.
    pub fn transmit(&mut self) -> &mut Transmit {
        either!(self, client => client.transmit())
    }

    /// Publishes an event, now or as soon as the connection is open. Answered once, by [`ClientOutput::Settled`], and if
    /// the event wants an answer perhaps by [`ClientOutput::Replied`] besides.
    pub fn publish(&mut self, now: Now, token: u64, event: Arc<Event>) {
        either!(self, client => client.publish(now, token, event));
    }

    /// The caller no longer waits for a publication's outcome. One that was not sent yet never is.
    pub fn abandon(&mut self, token: u64) {
        either!(self, client => client.abandon(token));
    }

    /// Subscribes to what a filter matches. `identifier` tells the subscription from others. `false`: not open.
    pub fn subscribe(&mut self, now: Now, filter: &Filter, identifier: u32) -> bool {
        either!(self, client => client.subscribe(now, filter, identifier))
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, now: Now, filter: &Filter) -> bool {
        either!(self, client => client.unsubscribe(now, filter))
    }

    /// What became of a message.
    pub fn settle(&mut self, now: Now, tag: Tag, outcome: &Outcome) {
        either!(self, client => client.settle(now, tag, outcome));
    }

    /// The transport is not read any more, or is read again: the server's silence says nothing meanwhile.
    pub fn set_paused(&mut self, now: Now, paused: bool) {
        either!(self, client => client.set_paused(now, paused));
    }

    /// The server has not answered for too long: the connection ends.
    pub fn give_up(&mut self, _now: Now) {
        either!(self, client => client.leave(Some("no answer came in time".to_owned())));
    }

    /// Says good-bye and ends the session, so that the server keeps nothing of it.
    pub fn disconnect(&mut self, now: Now) {
        either!(self, client => client.disconnect(now));
    }

    /// Whether the connection is open.
    pub fn is_open(&self) -> bool {
        match &self.spoken {
            Spoken::V1(client) => client.is_open(),
            Spoken::V091(client) => client.is_open(),
        }
    }

    /// When something last came.
    pub fn last_heard(&self) -> Moment {
        match &self.spoken {
            Spoken::V1(client) => client.last_heard(),
            Spoken::V091(client) => client.last_heard(),
        }
    }
}
