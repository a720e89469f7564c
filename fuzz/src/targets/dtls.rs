//! DTLS: a script of datagrams, forged, changed or genuine, from a client that has the key and from one that has not.

use super::{Script, start};
use crate::signature::Signature;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Now, Secret};
use windrose_network::dtls::client::{Client, Heard};
use windrose_network::dtls::{Credentials, Dtls, DtlsConfig, DtlsLimits, NodeKeys, Output, Profile};

/// What a script may do, as its bytes modulo this.
const ACTS: u8 = 9;
/// TLS_PSK_WITH_AES_128_CCM_8.
const SUITE: u16 = 0xc0a8;
const KEY: &[u8] = b"a key of a meter";
const SESSIONS: usize = 2;
const HALF_OPEN: usize = 2;

struct OneMeter;

impl Credentials for OneMeter {
    /// Identities of an even length have to be looked for, in vain.
    fn psk(&self, identity: &[u8]) -> Option<Option<Secret>> {
        let known = (identity == b"meter-1").then(|| Secret::new(KEY.to_vec()));
        (!identity.len().is_multiple_of(2)).then_some(known)
    }

    fn profile(&self) -> Option<Arc<Profile>> {
        None
    }
}

fn client(salt: u8) -> Client {
    Client::new(SUITE, b"meter-1", KEY, [salt; 32], salt.is_multiple_of(2))
        .unwrap_or_else(|| panic!("the suite is known"))
}

struct World {
    dtls: Dtls,
    now: Now,
    client: Client,
    /// It has a session.
    connected: bool,
    /// What it sealed that has not been heard.
    sealed: BTreeMap<Vec<u8>, usize>,
    /// Bytes that were received from the stranger, and sent to it.
    stranger: (usize, usize),
    signature: Signature,
}

fn address(stranger: bool) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, if stranger { 2 } else { 1 }], 4000))
}

impl World {
    fn hear(&mut self, stranger: bool, mut datagram: Vec<u8>) {
        if stranger {
            self.stranger.0 += datagram.len();
        }
        self.dtls.handle_datagram(self.now, address(stranger), None, &mut datagram);
        self.drain();
    }

    fn drain(&mut self) {
        let (mut answers, mut questions) = (Vec::new(), Vec::new());
        while let Some(output) = self.dtls.poll_output() {
            self.signature.add(std::mem::discriminant(&output));
            match output {
                Output::Datagram { peer, bytes, .. } => {
                    assert!(!bytes.is_empty() && bytes.len() <= 1400, "{} bytes", bytes.len());
                    if peer == address(true) {
                        self.stranger.1 += bytes.len();
                    } else {
                        answers.push(bytes.to_vec());
                    }
                }
                Output::Key { question, .. } => questions.push(question),
                Output::Opened { claim, .. } => {
                    assert_eq!(
                        claim.psk_identity.as_ref().map(|identity| identity.as_str()),
                        Some("meter-1")
                    );
                    assert_eq!(claim.peer, Some(address(false)));
                }
                Output::Plain { bytes, .. } => {
                    let left = self.sealed.get_mut(bytes).unwrap_or_else(|| panic!("nobody said {bytes:?}"));
                    *left = left.checked_sub(1).unwrap_or_else(|| panic!("heard twice: {bytes:?}"));
                }
                Output::Closed { .. } => {}
                Output::Mishap { cause, detail, .. } => {
                    assert!(!cause.is_empty() && !detail.is_empty());
                    self.signature.add(cause);
                }
            }
        }
        if let Some(question) = questions.pop() {
            self.dtls.handle_key(self.now, question, None);
            return self.drain();
        }
        for mut answer in answers {
            let heard = self.client.handle_datagram(&mut answer);
            self.connected |= heard == Heard::Connected;
            self.signature.add(std::mem::discriminant(&heard));
        }
        let (received, sent) = self.stranger;
        assert!(sent <= received, "{sent} bytes to an address that sent {received} and has not shown itself");
        assert!(self.dtls.sessions() <= SESSIONS && self.dtls.half_open() <= HALF_OPEN);
        self.signature.add((self.dtls.sessions(), self.dtls.half_open(), self.dtls.counts().dropped.len()));
    }

    fn act(&mut self, act: u8, script: &mut Script<'_>) -> Option<()> {
        match act % ACTS {
            0 => self.hear(false, script.bytes()?.to_vec()),
            1 => self.hear(true, script.bytes()?.to_vec()),
            // What the client would say now, as it is, or with one byte changed, cut off, or from elsewhere.
            2 => {
                let datagram = self.client.datagram();
                self.hear(false, datagram);
            }
            3 => {
                let mut datagram = self.client.datagram();
                let (at, by) = (usize::from(script.byte()?), script.byte()?);
                if let Some(byte) = datagram.get_mut(at) {
                    *byte ^= by;
                }
                self.hear(false, datagram);
            }
            4 => {
                let mut datagram = self.client.datagram();
                datagram.truncate(usize::from(script.byte()?));
                self.hear(false, datagram);
            }
            5 => {
                let datagram = self.client.datagram();
                self.hear(true, datagram);
            }
            // Something under the keys, of any kind, once or twice.
            6 => {
                let (kind, twice, plain) = (script.byte()?, script.byte()? % 2 == 1, script.bytes()?);
                let record = self.client.seal_record(kind, plain);
                if kind == 23 && !record.is_empty() {
                    *self.sealed.entry(plain.to_vec()).or_default() += 1;
                }
                self.hear(false, record.clone());
                if twice {
                    self.hear(false, record);
                }
            }
            7 => {
                self.now = self.now.after(Duration::from_millis(u64::from(script.byte()?) * 100));
                self.dtls.handle_timeout(self.now);
                self.drain();
            }
            _ => {
                self.client = client(script.byte()?);
                self.connected = false;
            }
        }
        Some(())
    }
}

/// Runs a script.
pub fn run(data: &[u8]) -> u64 {
    let limits = DtlsLimits {
        sessions: SESSIONS,
        half_open: HALF_OPEN,
        handshake_timeout: Duration::from_secs(10),
        idle: Duration::from_secs(60),
    };
    let config = DtlsConfig {
        listener: "coaps".into(),
        credentials: Arc::new(OneMeter),
        keys: Arc::new(NodeKeys::new(&[7; 32])),
        limits,
    };
    let mut world = World {
        dtls: Dtls::new(config),
        now: start(),
        client: client(0),
        connected: false,
        sealed: BTreeMap::new(),
        stranger: (0, 0),
        signature: Signature::new(),
    };
    let mut script = Script(data);
    while let Some(act) = script.byte() {
        if world.act(act, &mut script).is_none() {
            break;
        }
    }
    world.now = world.now.after(Duration::from_secs(10));
    world.dtls.handle_timeout(world.now);
    world.now = world.now.after(Duration::from_secs(60));
    world.dtls.handle_timeout(world.now);
    world.drain();
    assert_eq!((world.dtls.sessions(), world.dtls.half_open()), (0, 0), "nothing is kept for ever");
    assert_eq!(world.dtls.next_timeout(), None);
    world.signature.finish()
}

/// Scripts: a handshake, well and in every way disturbed; records; a second client.
pub fn seeds() -> Vec<Vec<u8>> {
    let connect = [2, 2, 2];
    let with = |rest: &[u8]| [&connect[..], rest].concat();
    let record = |kind: u8, epoch: u8, body: &[u8]| {
        let mut bytes = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9, 0, body.len() as u8];
        bytes.extend(body);
        [&[0, bytes.len() as u8], &bytes[..]].concat()
    };
    let mut seeds = vec![
        connect.to_vec(),
        vec![2, 2, 2, 2, 2],
        with(&[6, 23, 1, 5, b'h', b'e', b'l', b'l', b'o']),
        with(&[6, 21, 0, 2, 1, 0]),
        with(&[6, 21, 0, 2, 2, 40]),
        with(&[6, 22, 0, 12, 20, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]),
        with(&[8, 1, 2, 2, 2, 6, 23, 0, 1, b'x']),
        with(&[7, 255, 7, 255, 7, 255]),
        vec![2, 2, 7, 11, 7, 21, 7, 255],
        vec![5, 5, 2, 5, 2, 5],
        vec![8, 1, 2, 2, 8, 3, 2, 2, 2],
        vec![2, 2, 4, 30, 2],
    ];
    for at in [0, 3, 10, 13, 17, 22, 25, 27, 60, 70] {
        seeds.push(vec![3, at, 1, 2, 3, at, 255, 2, 3, at, 128, 2]);
    }
    for kind in 20..=25 {
        for epoch in 0..=2 {
            seeds.push([record(kind, epoch, &[1, 2, 3]), record(kind, epoch, &[2, 40])].concat());
            seeds.push(with(&record(kind, epoch, &[1, 0])));
            seeds.push(
                [&[2, 2][..], &record(kind, epoch, &[16, 0, 0, 5, 0, 2, 0, 0, 1, 0, 0, 2, 1, 2])].concat(),
            );
        }
    }
    seeds
}
