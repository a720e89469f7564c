//! The first inputs of CoAP's targets.

use windrose_protocol::coap::codec::{Block, Code, Kind, Message, OptionsBuf, option};

/// A datagram.
struct Said {
    kind: Kind,
    code: Code,
    id: u16,
    options: Vec<(u16, Vec<u8>)>,
    payload: &'static [u8],
}

impl Said {
    fn new(kind: Kind, code: Code, id: u16) -> Self {
        Self { kind, code, id, options: Vec::new(), payload: b"" }
    }

    fn path(self, path: &str) -> Self {
        path.split('/').fold(self, |said, segment| said.with(option::URI_PATH, segment.as_bytes()))
    }

    fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self
    }

    fn block(self, number: u16, block: u32, more: bool) -> Self {
        self.with(number, Block { number: block, more, exponent: 0 }.value().as_bytes())
    }

    fn payload(mut self, payload: &'static [u8]) -> Self {
        self.payload = payload;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let options: OptionsBuf = self.options.iter().map(|(number, value)| (*number, &value[..])).collect();
        let mut bytes = Vec::new();
        Message {
            kind: self.kind,
            code: self.code,
            id: self.id,
            token: b"tk",
            options: options.as_options(),
            payload: self.payload,
        }
        .encode(&mut bytes);
        bytes
    }
}

fn requests() -> Vec<Said> {
    let con = |code, id| Said::new(Kind::Con, code, id);
    vec![
        con(Code::POST, 1).path("a/b").with(option::CONTENT_FORMAT, &[50]).payload(b"{\"kwh\":3}"),
        con(Code::PUT, 2).path("a/b").payload(b"on"),
        con(Code::PUT, 3).path("a/b").with(option::IF_NONE_MATCH, b"").payload(b"on"),
        con(Code::PUT, 4).path("a/b").with(option::IF_MATCH, b"12345678").payload(b"off"),
        con(Code::GET, 5).path("a/b").with(option::ACCEPT, &[50]),
        con(Code::GET, 6).path("a/b").with(option::OBSERVE, b""),
        con(Code::GET, 7).path("a/#").with(option::OBSERVE, b""),
        con(Code::GET, 8).path("a/b").with(option::OBSERVE, &[1]),
        con(Code::DELETE, 9).path("a/b"),
        con(Code::FETCH, 10).path("devices/car-7/telemetry").payload(b"ask"),
        con(Code::POST, 11).path("a/b").with(option::URI_QUERY, b"wait=5s").payload(b"ask"),
        con(Code::IPATCH, 12).path("a/b").with(option::CONTENT_FORMAT, &[52]).payload(b"{\"a\":null}"),
        con(Code::GET, 13).path(".well-known/core").with(option::URI_QUERY, b"href=/a*"),
        con(Code::POST, 14).path("a").block(option::BLOCK1, 0, true).payload(b"0123456789abcdef"),
        con(Code::POST, 15).path("a").block(option::BLOCK1, 1, false).payload(b"rest"),
        con(Code::GET, 16).path("a/b").block(option::BLOCK2, 1, false),
        con(Code::GET, 17).path("a/b").with(option::ECHO, b"123456789012"),
        con(Code::POST, 18).path("a/b").with(option::NO_RESPONSE, &[26]).payload(b"x"),
        con(Code::GET, 19).with(2_051, b"critical"),
        con(Code::GET, 20).with(option::PROXY_URI, b"coap://other/a"),
        con(Code::POST, 26)
            .path("rd")
            .with(option::CONTENT_FORMAT, &[40])
            .with(option::URI_QUERY, b"ep=m")
            .with(option::URI_QUERY, b"lt=9")
            .payload(b"</valve>,</a/b>;rt=\"x\""),
        con(Code::POST, 27).path(".well-known/rd").with(option::URI_QUERY, b"ep=n"),
        con(Code::DELETE, 28).path("rd/0123456789abcdef"),
        Said::new(Kind::Non, Code::POST, 21).path("a/b/c").payload(b"non"),
        Said::new(Kind::Non, Code::GET, 22).path("a/+").with(option::OBSERVE, b""),
        con(Code::CONTENT, 23).payload(b"unasked"),
        con(Code::new(0, 31), 24).path("a"),
        con(Code::ABORT, 25),
    ]
}

/// Datagrams.
pub fn codec() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = requests().iter().map(|said| [&[8], &said.bytes()[..]].concat()).collect();
    seeds.extend([
        vec![8, 0x40, 0, 0, 1],
        vec![8, 0x70, 0, 0, 1],
        vec![8, 0x60, 0, 0, 1],
        vec![32, 0x4d, 1, 0, 1, 0],
    ]);
    seeds
}

/// Scripts.
pub fn server() -> Vec<Vec<u8>> {
    let from = |endpoint: u8, bytes: &[u8]| [&[endpoint * 12, bytes.len() as u8], bytes].concat();
    let mut seeds = Vec::new();
    for endpoint in 0..4 {
        for said in requests() {
            let bytes = said.bytes();
            let mut script = vec![9];
            script.extend(from(endpoint, &bytes));
            // Again, then an event, time, an acknowledgement and a reset of whatever it was.
            script.extend(from(endpoint, &bytes));
            script.extend([7, 2, 7, 1, 7, 0x40, 8, 1, 8, 5]);
            script.extend(from(endpoint, &[0x60, 0, bytes[2], bytes[3]]));
            script.extend([8, 100]);
            script.extend(from(endpoint, &[0x70, 0, bytes[2], bytes[3]]));
            seeds.push(script);
        }
    }
    // All of them, with an engine that is slow and says no.
    let mut long = vec![9];
    for (choice, said) in requests().iter().enumerate() {
        let bytes = said.bytes();
        long.extend([5, bytes.len() as u8]);
        long.extend(bytes);
        long.extend([8, 1, 6, choice as u8]);
    }
    seeds.push(long);
    seeds
}

/// A message of a stream, of fewer than 269 bytes; of a WebSocket without its length.
fn frame(code: Code, options: &[(u16, Vec<u8>)], payload: &[u8], websocket: bool) -> Vec<u8> {
    let options: OptionsBuf = options.iter().map(|(number, value)| (*number, &value[..])).collect();
    let mut body = options.as_options().as_bytes().to_vec();
    if !payload.is_empty() {
        body.push(0xff);
        body.extend_from_slice(payload);
    }
    let mut bytes = match body.len() {
        _ if websocket => vec![2],
        length @ 0..=12 => vec![(length as u8) << 4 | 2],
        length => vec![13 << 4 | 2, (length - 13) as u8],
    };
    bytes.extend_from_slice(&[code.0, b't', b'k']);
    bytes.extend(body);
    bytes
}

/// Scripts of a stream.
pub fn stream() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for websocket in [false, true] {
        let part = |bytes: &[u8]| [&[0, bytes.len() as u8], bytes].concat();
        let csm = |options: &[(u16, Vec<u8>)]| part(&frame(Code::CSM, options, b"", websocket));
        let open = [&[u8::from(websocket)][..], &csm(&[(2, vec![2, 0]), (4, Vec::new())])].concat();
        for said in requests() {
            let bytes = frame(said.code, &said.options, said.payload, websocket);
            let ping = frame(Code::PING, &[(2, Vec::new())], b"", websocket);
            let release = frame(Code::RELEASE, &[], b"", websocket);
            let mut script = open.clone();
            script.extend(
                [part(&bytes), vec![5, 2, 5, 1, 5, 0x40], part(&ping), vec![6, 70], part(&release)].concat(),
            );
            seeds.push(script);
            // An engine that is slow and says no.
            let mut slow = open.clone();
            slow.extend([2, bytes.len() as u8]);
            slow.extend(&bytes);
            slow.extend([part(&ping), vec![6, 1, 4, 1, 7, 0]].concat());
            seeds.push(slow);
        }
        seeds.push([&open[..], &csm(&[(9, b"critical".to_vec())])].concat());
        seeds.push([&open[..], &[3, 2, 0xf0, 0xff, 6, 200]].concat());
    }
    seeds
}
