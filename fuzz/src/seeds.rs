//! The first inputs of each target, made by our own encoder: packets, connections, frames and headers as they should be.

use bytes::Bytes;
use windrose_event::{Assurance, RetainedDelivery};
use windrose_protocol::mqtt::ReasonCode;
use windrose_protocol::mqtt::codec::{
    Ack, Auth, Connack, Connect, Disconnect, LastWill, Packet, Properties, Publish, Suback, Subscribe,
    SubscribeFilter, Unsubscribe, Version, encode,
};

fn bytes_of(packet: &Packet, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, version, &mut bytes);
    bytes
}

fn with(version: Version, properties: Properties) -> Option<Box<Properties>> {
    (version == Version::V5).then(|| Box::new(properties))
}

fn connect(version: Version, will: bool) -> Packet {
    let properties = Properties {
        session_expiry_interval: Some(60),
        receive_maximum: Some(5),
        topic_alias_maximum: Some(3),
        request_problem_information: Some(1),
        user_properties: vec![("a".into(), "b".into())],
        ..Properties::default()
    };
    Packet::Connect(Box::new(Connect {
        version,
        legacy: false,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        client_id: "car-7".into(),
        will: will.then(|| LastWill {
            qos: Assurance::AtLeastOnce,
            retain: true,
            topic: "wills/car-7".into(),
            payload: Bytes::from_static(b"gone"),
            properties: with(version, Properties { will_delay_interval: Some(1), ..Properties::default() }),
        }),
        username: will.then(|| "user".into()),
        password: will.then(|| Bytes::from_static(b"secret")),
        properties: with(version, properties),
    }))
}

fn publish(version: Version, qos: Assurance, packet_id: u16) -> Packet {
    let properties = Properties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(10),
        topic_alias: Some(1),
        response_topic: Some("answers".into()),
        correlation_data: Some(Bytes::from_static(&[1, 2])),
        content_type: Some("text/plain".into()),
        user_properties: vec![("a".into(), "b".into())],
        ..Properties::default()
    };
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: packet_id == 2,
        topic: "a/b".into(),
        packet_id,
        properties: with(version, properties),
        payload: Bytes::from_static(b"hello"),
    })
}

fn subscribe(version: Version, filter: &'static str) -> Packet {
    let properties =
        Properties { subscription_identifiers: [7].into_iter().collect(), ..Properties::default() };
    Packet::Subscribe(Subscribe {
        packet_id: 3,
        properties: with(version, properties),
        filters: vec![SubscribeFilter {
            filter: filter.into(),
            qos: Assurance::ExactlyOnce,
            no_local: false,
            retain_as_published: version == Version::V5,
            retain_handling: RetainedDelivery::Always,
        }],
    })
}

fn reason(version: Version) -> Option<Box<Properties>> {
    with(version, Properties { reason_string: Some("because".into()), ..Properties::default() })
}

fn ack(version: Version, packet_id: u16) -> Ack {
    Ack { packet_id, code: ReasonCode::SUCCESS, properties: reason(version) }
}

/// What clients send.
fn requests(version: Version) -> Vec<Packet> {
    vec![
        publish(version, Assurance::AtMostOnce, 0),
        publish(version, Assurance::AtLeastOnce, 1),
        publish(version, Assurance::ExactlyOnce, 2),
        Packet::Pubrel(Ack::success(2)),
        Packet::Puback(ack(version, 1)),
        Packet::Pubrec(ack(version, 2)),
        Packet::Pubcomp(ack(version, 2)),
        subscribe(version, "a/#"),
        subscribe(version, "$share/group/+/b"),
        Packet::Unsubscribe(Unsubscribe { packet_id: 4, properties: None, filters: vec!["a/#".into()] }),
        Packet::Pingreq,
        Packet::Disconnect(Disconnect { code: ReasonCode::SUCCESS, properties: reason(version) }),
    ]
}

/// What servers send.
fn answers(version: Version) -> Vec<Packet> {
    let properties = Properties {
        maximum_packet_size: Some(500),
        assigned_client_identifier: Some("assigned".into()),
        server_keep_alive: Some(20),
        topic_alias_maximum: Some(2),
        receive_maximum: Some(2),
        ..Properties::default()
    };
    let suback = |codes: &[u8]| Suback {
        packet_id: 1,
        properties: None,
        codes: codes.iter().map(|code| ReasonCode(*code)).collect(),
    };
    vec![
        Packet::Connack(Connack {
            session_present: false,
            code: ReasonCode::SUCCESS,
            properties: with(version, properties),
        }),
        publish(version, Assurance::AtMostOnce, 0),
        publish(version, Assurance::AtLeastOnce, 9),
        publish(version, Assurance::ExactlyOnce, 10),
        Packet::Pubrel(Ack::success(10)),
        Packet::Puback(ack(version, 1)),
        Packet::Pubrec(ack(version, 1)),
        Packet::Pubcomp(ack(version, 1)),
        Packet::Suback(suback(&[2])),
        Packet::Unsuback(suback(if version == Version::V5 { &[0] } else { &[] })),
        Packet::Pingresp,
    ]
}

const VERSIONS: [Version; 2] = [Version::V5, Version::V3];

/// Every packet by itself, and streams of all of them.
pub fn codec() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for version in VERSIONS {
        let mut packets = vec![connect(version, false), connect(version, true)];
        packets.extend(requests(version));
        packets.extend(answers(version));
        if version == Version::V5 {
            let method = Properties { authentication_method: Some("SCRAM".into()), ..Properties::default() };
            packets.push(Packet::Auth(Auth { code: ReasonCode(0x18), properties: Some(Box::new(method)) }));
            packets
                .push(Packet::Disconnect(Disconnect { code: ReasonCode(0x8e), properties: reason(version) }));
        }
        let first = u8::from(version == Version::V3);
        let said: Vec<_> = packets.iter().map(|packet| bytes_of(packet, version)).collect();
        seeds.extend(said.iter().map(|bytes| [&[first], &bytes[..]].concat()));
        seeds.push([&[first], &said.concat()[..]].concat());
    }
    // Lengths at their limits.
    seeds.push(vec![0, 0xc0, 0x80, 0x80, 0x80, 0x80]);
    seeds.push(vec![0, 0x30, 0xff, 0xff, 0xff, 0x7f]);
    seeds
}

/// A step of a script: bytes of the peer, with which the machine is fed.
fn feed(act: u8, bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(255).flat_map(|chunk| [&[act, chunk.len() as u8], chunk].concat()).collect()
}

/// Connections that do one thing, and some that do all.
pub fn server() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for version in VERSIONS {
        for will in [false, true] {
            let begin = [vec![3], feed(0, &bytes_of(&connect(version, will), version))].concat();
            seeds.push(begin.clone());
            let mut all = begin.clone();
            for packet in requests(version) {
                let step = feed(0, &bytes_of(&packet, version));
                seeds.push([&begin[..], &step].concat());
                // A delivery of each assurance, answered by what comes.
                seeds.push([&begin[..], &[6, 1, 6, 2, 6, 0], &step].concat());
                all.extend(step);
            }
            seeds.push(all);
            seeds.push([&begin[..], &[7, 200], &[8]].concat());
            seeds.push([&begin[..], &[209]].concat());
        }
        // An engine that takes its time, and one that refuses.
        let slow = [vec![0], feed(4, &bytes_of(&connect(version, false), version))].concat();
        seeds.push(
            [&slow[..], &feed(4, &bytes_of(&requests(version)[1], version)), &[5, 0, 5, 2, 5, 3]].concat(),
        );
        seeds.push([&slow[..], &[5, 0xff]].concat());
    }
    seeds.push(vec![0, 7, 9]);
    seeds.push(conversation());
    seeds
}

/// A client that proves who it is in two steps, and does so again.
fn conversation() -> Vec<u8> {
    let properties = Properties {
        authentication_method: Some("X".into()),
        authentication_data: Some(Bytes::from_static(b"data")),
        ..Properties::default()
    };
    let mut first = connect(Version::V5, false);
    if let Packet::Connect(connect) = &mut first {
        connect.properties = Some(Box::new(properties.clone()));
    }
    let auth =
        |code| Packet::Auth(Auth { code: ReasonCode(code), properties: Some(Box::new(properties.clone())) });
    let mut script = vec![0];
    for packet in [first, auth(0x18), auth(0x19)] {
        script.extend(feed(0, &bytes_of(&packet, Version::V5)));
    }
    script
}

/// Sessions with a server that says one thing, and one that says all.
pub fn client() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for version in VERSIONS {
        let choice = u8::from(version == Version::V3);
        let said: Vec<_> =
            answers(version).iter().map(|packet| feed(0, &bytes_of(packet, version))).collect();
        let begin = [vec![choice], said[0].clone()].concat();
        let mut all = begin.clone();
        for step in &said[1..] {
            seeds.push([&begin[..], step].concat());
            // With a publication of each assurance and a subscription on their way, a lost connection, and time.
            seeds
                .push([&begin[..], &[5, 0, 5, 1, 5, 2, 7], step, &[6, 9], &said[0], &[8, 31, 8, 6]].concat());
            all.extend(step);
        }
        seeds.push(all);
        seeds.push([&begin[..], &[5, 1, 5, 2, 9], &said[0]].concat());
        seeds.push(
            [vec![choice | 4], said[0].clone(), vec![5, 1, 5, 2, 9], said[0].clone(), vec![7, 10]].concat(),
        );
    }
    seeds.push(vec![0, 8, 9]);
    seeds
}

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let length = match payload.len() {
        length @ 0..=125 => vec![0x80 | length as u8],
        length => [&[0x80 | 126][..], &(length as u16).to_be_bytes()].concat(),
    };
    let masked: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    [vec![first], length, mask.to_vec(), masked].concat()
}

/// Frames of every kind, read at once and byte by byte.
pub fn websocket() -> Vec<Vec<u8>> {
    let streams = [
        frame(0x82, b"hello"),
        frame(0x82, &[7; 300]),
        frame(0x82, &[]),
        [frame(0x02, b"he"), frame(0x89, b"ping"), frame(0x00, b"ll"), frame(0x80, b"o")].concat(),
        [frame(0x82, b"a"), frame(0x88, &[0x03, 0xe8]), frame(0x82, b"b")].concat(),
        frame(0x88, &[]),
        frame(0x88, b"\x03\xe8bye"),
        frame(0x8a, b"pong"),
        frame(0x81, b"text"),
        frame(0x80, b"no beginning"),
        frame(0xc2, b"reserved"),
        frame(0x83, b"unknown"),
        [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat(),
        vec![0x82, 0x01, b'x'],
    ];
    let steps = [255, 1, 7];
    streams.iter().flat_map(|stream| steps.map(|step| [&[step], &stream[..]].concat())).collect()
}

/// Requests for a WebSocket.
pub fn handshake() -> Vec<Vec<u8>> {
    let good = "GET /mqtt HTTP/1.1\r\nHost: example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    let mut seeds = vec![good.to_owned(), good[..good.len() - 2].to_owned()];
    for (from, to) in [
        ("GET", "POST"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: Upgrade", "Connection: close"),
        ("Version: 13", "Version: 8"),
        ("Protocol: mqtt", "Protocol: mqttv3.1, mqtt"),
        ("Protocol: mqtt", "Protocol: chat"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        ("Host: example\r\n", ""),
        ("/mqtt", "/mqtt?token=1"),
    ] {
        seeds.push(good.replace(from, to));
    }
    seeds.into_iter().map(String::into_bytes).collect()
}

/// PROXY headers of both versions.
pub fn proxy() -> Vec<Vec<u8>> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let v2 = |command: u8, family: u8, block: &[u8]| {
        [&signature[..], &[0x20 | command, family], &(block.len() as u16).to_be_bytes(), block].concat()
    };
    let four = [&[192, 0, 2, 1, 192, 0, 2, 2][..], &[0xc0, 0, 0x07, 0x5b]].concat();
    let six = [&[0x20; 32][..], &[0xc0, 0, 0x07, 0x5b]].concat();
    let value = |kind: u8, value: &[u8]| [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat();
    let tls = value(0x20, &[&[1, 0, 0, 0, 0][..], &value(0x21, b"TLSv1.3"), &value(0x22, b"car-7")].concat());
    let values = [value(0x01, b"mqtt"), value(0x02, b"example"), value(0x05, b"id"), tls].concat();
    vec![
        b"PROXY TCP4 192.0.2.1 192.0.2.2 49152 1883\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 2001:db8::2 49152 1883\r\nrest".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN whatever\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1".to_vec(),
        v2(1, 0x11, &four),
        v2(1, 0x21, &six),
        v2(0, 0x00, &[]),
        v2(1, 0x11, &[&four[..], &values].concat()),
        v2(1, 0x31, &[0; 216]),
        [v2(1, 0x11, &four), b"rest".to_vec()].concat(),
        signature[..5].to_vec(),
    ]
}

/// Answers of services, framed in every way; the first byte says how they are cut.
pub fn response() -> Vec<Vec<u8>> {
    [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nConnection: close\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nt: u\r\n\r\n",
        "HTTP/1.1 503 Later\r\nretry-after: 7\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nuntil the end",
        "HTTP/1.0 422 No\r\ncontent-type: text/plain\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nwhy",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 \r\n\r\n",
        "HTTP/1.1 304 Not Modified\ncontent-length: 9\n\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ]
    .iter()
    .flat_map(|text| [0, 2, 39].map(|cut: u8| [&[cut], text.as_bytes()].concat()))
    .collect()
}
