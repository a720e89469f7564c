//! The client of DTLS, with a pre-shared key: what tests and load are made with. It speaks one suite, sends again only when
//! told to, and expects nothing of its peer but a server of ours or of others.

use super::assembly::Assembly;
use super::flight::Numbers;
use super::handshake::Keys;
use super::message::{Fragment, HEADER as MESSAGE_HEADER, MAX_MESSAGE, kind, put_fragment, whole};
use super::prf::{CLIENT_FINISHED, Master, SERVER_FINISHED, psk_premaster};
use super::record::{self, Position, VERSION, VERSION_1_0, Window, put_header, split_record};
use super::suite::{Exchange, Key, SUITES, Suite};
use super::wire::{Reader, put_vec8, put_vec16};

/// What a datagram did to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that concerns its user.
    Nothing,
    /// There is something to send.
    Answer,
    /// The session is there.
    Connected,
    /// Application data.
    Plain(Vec<u8>),
    /// The peer ended it, by this alert.
    Alert(u8),
}

/// A client.
pub struct Client {
    suite: &'static Suite,
    identity: Vec<u8>,
    key: Vec<u8>,
    random: [u8; 32],
    server_random: [u8; 32],
    extended: bool,
    transcript: Vec<u8>,
    assembly: Assembly,
    next_message: u16,
    keys: Option<Keys>,
    master: Option<Master>,
    numbers: Numbers,
    window: Window,
    /// Datagrams of the last flight; a repetition has numbers of its own.
    flight: Vec<(u8, Vec<u8>)>,
    /// A ticket of an earlier session and its master secret, or those of this one.
    ticket: Option<(Vec<u8>, Vec<u8>)>,
    resumes: bool,
}

impl Client {
    /// A client that offers the suite of this number, which has to be one with nothing but a pre-shared key. `random` is
    /// its own for each session.
    pub fn new(suite: u16, identity: &[u8], key: &[u8], random: [u8; 32], extended: bool) -> Option<Self> {
        let suite = SUITES.iter().find(|known| known.code == suite && known.exchange == Exchange::Psk)?;
        let mut client = Self {
            suite,
            identity: identity.to_vec(),
            key: key.to_vec(),
            random,
            server_random: [0; 32],
            extended,
            transcript: Vec::new(),
            assembly: Assembly::new(0, MAX_MESSAGE),
            next_message: 0,
            keys: None,
            master: None,
            numbers: Numbers::default(),
            window: Window::default(),
            flight: Vec::new(),
            ticket: None,
            resumes: false,
        };
        client.say_hello(&[]);
        Some(client)
    }

    /// Another client that goes on from where this one got a ticket.
    pub fn resume(&self, random: [u8; 32]) -> Option<Self> {
        let mut client = Self::new(self.suite.code, &self.identity, &self.key, random, true)?;
        client.ticket = Some(self.ticket.clone()?);
        client.next_message = 0;
        client.say_hello(&[]);
        Some(client)
    }

    fn say_hello(&mut self, cookie: &[u8]) {
        let mut body = VERSION.to_vec();
        body.extend_from_slice(&self.random);
        body.push(0);
        put_vec8(&mut body, cookie);
        put_vec16(&mut body, &self.suite.code.to_be_bytes());
        put_vec8(&mut body, &[0]);
        if self.extended {
            let mut extensions = vec![0, 23, 0, 0, 0, 35];
            put_vec16(&mut extensions, self.ticket.as_ref().map_or(&[], |(ticket, _)| ticket));
            put_vec16(&mut body, &extensions);
        }
        self.flight.clear();
        self.transcript.clear();
        self.say(kind::CLIENT_HELLO, &body);
    }

    fn say(&mut self, message: u8, body: &[u8]) {
        let message = whole(message, self.next_message, body);
        self.next_message += 1;
        self.transcript.extend_from_slice(&message);
        self.flight.push((record::kind::HANDSHAKE, message));
    }

    /// The datagram to send now, or again.
    pub fn datagram(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, bytes) in &self.flight {
            if *kind == record::kind::APPLICATION_DATA {
                // Stands for a handshake message under the new keys.
                if let Some((keys, position)) = self.keys.as_ref().zip(self.numbers.next_sealed()) {
                    let _ = keys.seal.seal(record::kind::HANDSHAKE, position, bytes, &mut out);
                }
                continue;
            }
            let version = if self.transcript.len() == bytes.len() { VERSION_1_0 } else { VERSION };
            put_header(&mut out, *kind, version, Position::new(0, self.numbers.plain), bytes.len());
            self.numbers.plain += 1;
            out.extend_from_slice(bytes);
        }
        out
    }

    /// A record of application data, once connected.
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.seal_record(record::kind::APPLICATION_DATA, plain)
    }

    /// The datagram that says goodbye.
    pub fn close(&mut self) -> Vec<u8> {
        self.seal_record(record::kind::ALERT, &[1, 0])
    }

    /// A record of any kind, once connected; nothing before.
    pub fn seal_record(&mut self, kind: u8, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some((keys, position)) = self.keys.as_ref().zip(self.numbers.next_sealed()) {
            let _ = keys.seal.seal(kind, position, plain, &mut out);
        }
        out
    }

    /// Takes a datagram; the last thing that it did is told.
    pub fn handle_datagram(&mut self, mut bytes: &mut [u8]) -> Heard {
        let mut heard = Heard::Nothing;
        while let Some(record) = split_record(&mut bytes) {
            let sealed = record.position.epoch() == 1;
            let plain = match (&self.keys, sealed) {
                (Some(keys), true) if self.window.is_new(record.position.number()) => {
                    match keys.open.open(record.kind, record.position, record.payload) {
                        Some(plain) => plain,
                        None => continue,
                    }
                }
                (_, false) => record.payload,
                _ => continue,
            };
            if sealed {
                self.window.accept(record.position.number());
            }
            match record.kind {
                record::kind::HANDSHAKE => {
                    let mut from = Reader::new(plain);
                    while let Some(fragment) = Fragment::read(&mut from) {
                        self.assembly.push(&fragment);
                    }
                    while let Some((message, sequence, body)) = self.assembly.pop() {
                        if let Some(told) = self.handle_message(message, sequence, &body) {
                            heard = told;
                        }
                    }
                }
                record::kind::ALERT => heard = Heard::Alert(plain.get(1).copied().unwrap_or_default()),
                record::kind::APPLICATION_DATA if sealed => heard = Heard::Plain(plain.to_vec()),
                _ => {}
            }
        }
        heard
    }

    fn handle_message(&mut self, message: u8, sequence: u16, body: &[u8]) -> Option<Heard> {
        let before = self.transcript.len();
        if message != kind::HELLO_VERIFY_REQUEST {
            self.transcript.extend_from_slice(&whole(message, sequence, body));
        }
        match message {
            kind::HELLO_VERIFY_REQUEST => {
                let mut from = Reader::new(body);
                let _version = from.u16()?;
                let cookie = from.vec8()?.to_vec();
                self.say_hello(&cookie);
                Some(Heard::Answer)
            }
            kind::SERVER_HELLO => {
                let mut from = Reader::new(body);
                let _version = from.u16()?;
                self.server_random = from.array()?;
                let _session = from.vec8()?;
                (from.u16()? == self.suite.code).then_some(())?;
                let _compression = from.u8()?;
                let extensions = from.vec16().unwrap_or_default();
                self.extended = extensions.windows(4).any(|window| window == [0, 23, 0, 0]);
                // The server goes on at once if it takes the ticket.
                if let Some((_, master)) = &self.ticket {
                    let master = Master::from_bytes(master)?;
                    self.derive_keys(master)?;
                    self.resumes = true;
                }
                None
            }
            kind::NEW_SESSION_TICKET => {
                let mut from = Reader::new(body);
                let _lifetime: [u8; 4] = from.array()?;
                let ticket = from.vec16()?.to_vec();
                self.ticket = Some((ticket, self.master.as_ref()?.reveal().to_vec()));
                None
            }
            kind::SERVER_HELLO_DONE => {
                self.resumes = false;
                self.exchange_keys()?;
                Some(Heard::Answer)
            }
            kind::FINISHED => {
                let so_far = self.transcript.get(..before)?;
                let right = self.master.as_ref()?.verify_data(SERVER_FINISHED, so_far)?;
                (right == *body).then_some(())?;
                self.flight = Vec::new();
                if self.resumes {
                    self.finish()?;
                    return Some(Heard::Answer);
                }
                self.transcript = Vec::new();
                self.master = None;
                Some(Heard::Connected)
            }
            _ => None,
        }
    }

    fn exchange_keys(&mut self) -> Option<()> {
        self.flight.clear();
        let mut body = Vec::new();
        put_vec16(&mut body, &self.identity);
        self.say(kind::CLIENT_KEY_EXCHANGE, &body);
        let premaster = psk_premaster(None, &self.key);
        let master = match self.extended {
            true => Master::extended(&premaster, &self.transcript)?,
            false => Master::new(&premaster, &self.random, &self.server_random)?,
        };
        self.derive_keys(master)?;
        self.finish()
    }

    fn derive_keys(&mut self, master: Master) -> Option<()> {
        let bytes = self.suite.protection.key_block_bytes();
        let block = master.key_block(&self.random, &self.server_random, bytes)?;
        let (seal, open) = Key::pair(self.suite.protection, block.as_ref())?;
        self.keys = Some(Keys { open, seal });
        self.master = Some(master);
        Some(())
    }

    fn finish(&mut self) -> Option<()> {
        self.flight.push((record::kind::CHANGE_CIPHER_SPEC, vec![1]));
        let data = self.master.as_ref()?.verify_data(CLIENT_FINISHED, &self.transcript)?;
        let mut finished = Vec::with_capacity(MESSAGE_HEADER + data.len());
        put_fragment(&mut finished, kind::FINISHED, data.len(), self.next_message, 0, &data);
        self.next_message += 1;
        self.transcript.extend_from_slice(&finished);
        self.flight.push((record::kind::APPLICATION_DATA, finished));
        Some(())
    }
}
