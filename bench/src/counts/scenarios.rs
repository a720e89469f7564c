//! What is counted: a name, and the work of so many units.

use super::node::measured;
use super::traffic::{Crowd, Traffic};
use super::{coap, filler};
use crate::Result;
use crate::load::packet;
use std::hint::black_box;
use windrose_protocol::mqtt::codec::{Version, decode, encode};

/// One thing that is counted.
pub(super) struct Scenario {
    /// Its name in the table and in the files.
    pub(super) name: &'static str,
    /// What a unit is.
    pub(super) about: &'static str,
    /// How many units are asked for.
    pub(super) units: u64,
    /// Does at least so many units of counted work; says how many.
    pub(super) run: fn(u64) -> Result<u64>,
}

/// All scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "decode-qos0",
        about: "PUBLISH of 128 bytes decoded",
        units: 2_000,
        run: |n| codec(n, 0, true),
    },
    Scenario { name: "decode-qos1", about: "the same with QoS 1", units: 2_000, run: |n| codec(n, 1, true) },
    Scenario {
        name: "encode-qos0",
        about: "PUBLISH of 128 bytes encoded",
        units: 2_000,
        run: |n| codec(n, 0, false),
    },
    Scenario { name: "encode-qos1", about: "the same with QoS 1", units: 2_000, run: |n| codec(n, 1, false) },
    Scenario {
        name: "fan-in-qos0",
        about: "message from one of 100 publishers to 1 subscriber",
        units: 8_000,
        run: |n| Traffic { publishers: 100, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "fan-in-qos1",
        about: "the same with QoS 1, both PUBACKs included",
        units: 8_000,
        run: |n| Traffic { publishers: 100, qos: 1, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "fan-out-qos0",
        about: "message to one of 500 subscribers",
        units: 32_000,
        run: |n| Traffic { subscribers: 500, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "fan-out-qos1",
        about: "the same with QoS 1, its PUBACK included",
        units: 32_000,
        run: |n| Traffic { subscribers: 500, qos: 1, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "pairs-qos0",
        about: "message from one of 100 publishers to its own subscriber",
        units: 8_000,
        run: |n| Traffic { groups: 100, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "pairs-qos1",
        about: "the same with QoS 1, both PUBACKs included",
        units: 8_000,
        run: |n| Traffic { groups: 100, qos: 1, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "among-1k",
        about: "as pairs-qos0, one pair, among 1,000 subscriptions that do not match, half with wildcards",
        units: 8_000,
        run: |n| Traffic { others: 1_000, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "among-100k",
        about: "the same among 100,000",
        units: 8_000,
        run: |n| Traffic { others: 100_000, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "churn-qos0",
        about: "as pairs-qos0, one message a read; with every hundred another thing comes and subscribes, uncounted",
        units: 8_000,
        run: |n| Traffic { groups: 100, batch: 1, churn: true, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "rest-qos1",
        about: "message from one of 100 publishers to a service that answers at once, PUBACK after it",
        units: 8_000,
        run: |n| Traffic { publishers: 100, subscribers: 0, qos: 1, rest: true, ..Traffic::PAIR }.run(n),
    },
    Scenario {
        name: "coap-post",
        about: "confirmable POST of 64 bytes by CoAP to its 2.04, 16 datagrams a read",
        units: 8_000,
        run: coap::posts,
    },
    Scenario { name: "connect", about: "CONNECT to DISCONNECT, clean session", units: 1_000, run: connect },
    Scenario {
        name: "subscribe",
        about: "SUBSCRIBE to a new filter, half with wildcards",
        units: 4_000,
        run: subscribe,
    },
    Scenario {
        name: "retained-set",
        about: "retained PUBLISH to a new topic",
        units: 4_000,
        run: |n| retained(n, true),
    },
    Scenario {
        name: "retained-get",
        about: "SUBSCRIBE to a topic that has a retained message",
        units: 1_000,
        run: |n| retained(n, false),
    },
];

fn codec(units: u64, qos: u8, reads: bool) -> Result<u64> {
    let (mut frame, id_at) = packet::publish(4, "bench/12/34", qos, &packet::payload(128));
    if let Some(place) = id_at.and_then(|at| frame.get_mut(at..at + 2)) {
        place.copy_from_slice(&[1, 2]);
    }
    let (publish, _) = decode(&frame, Version::V3)
        .map_err(|error| format!("PUBLISH is not decoded: {error:?}"))?
        .ok_or("PUBLISH is not decoded whole")?;
    let mut out = Vec::with_capacity(2 * frame.len());
    let mut wrong = 0;
    let mut work = || {
        for _ in 0..units {
            if reads {
                wrong += u64::from(black_box(decode(black_box(&frame), Version::V3)).is_err());
            } else {
                out.clear();
                encode(black_box(&publish), Version::V3, &mut out);
                wrong += u64::from(black_box(out.len()) != frame.len());
            }
        }
    };
    measured(&mut work);
    if wrong == 0 { Ok(units) } else { Err("the codec is wrong".into()) }
}

fn connect(units: u64) -> Result<u64> {
    let mut crowd = Crowd::new()?;
    for number in 0..units + units / 10 {
        crowd.node.counting = number >= units / 10;
        let id = crowd.connect()?;
        crowd.tell(id, b"\xe0\x00".to_vec());
    }
    if crowd.node.closed == units + units / 10 { Ok(units) } else { Err("connections are left open".into()) }
}

fn subscribe(units: u64) -> Result<u64> {
    let mut crowd = Crowd::new()?;
    let id = crowd.connect()?;
    for number in 0..units as usize * 2 {
        crowd.node.counting = number >= units as usize;
        crowd.tell(id, packet::subscribe(4, &filler(number), 0));
        answered(&crowd, b"\x90\x03")?;
    }
    Ok(units)
}

fn retained(units: u64, set: bool) -> Result<u64> {
    let mut crowd = Crowd::new()?;
    let (publisher, reader) = (crowd.connect()?, crowd.connect()?);
    let topic = |number: u64| format!("kept/{}/{}/value", number / 100, number % 100);
    for number in 0..units * 2 {
        crowd.node.counting = set && number >= units;
        let mut frame = packet::publish(4, &topic(number), 0, &packet::payload(128)).0;
        if let Some(first) = frame.first_mut() {
            *first |= 1;
        }
        crowd.tell(publisher, frame);
    }
    for number in 0..units {
        crowd.node.counting = !set;
        crowd.tell(reader, packet::subscribe(4, &topic(number), 0));
        if !crowd.node.written.iter().any(|(_, bytes)| bytes.len() > 128) {
            return Err("a retained message is missing".into());
        }
    }
    Ok(units)
}

/// Whether the last turn brought a packet that begins so.
fn answered(crowd: &Crowd, begin: &[u8]) -> Result<()> {
    let found = crowd.node.written.iter().any(|(_, bytes)| bytes.starts_with(begin));
    if found { Ok(()) } else { Err("an answer is missing".into()) }
}
