//! The client's side of AMQP, of either version: a script of bytes from a server, publications, subscriptions, lost
//! connections and time.

use super::{Script, event, start, written};
use crate::signature::Signature;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Address, Details, Event, Filter, Now, Outcome, Tag, Template};
use windrose_protocol::amqp::client::{Client, ClientConfig, ClientOutput, ClientVersion};
use windrose_protocol::amqp::v1::codec::{
    Attach, Begin, DeliveryState, Detach, Disposition, Flow, FrameKind, Open, Performative, Role,
    SASL_HEADER, SaslCode, SaslFrame, Source, Symbols, Target, Terminus, Transfer, finish_frame, start_frame,
};
use windrose_protocol::amqp::v091::codec as old;

/// What a script may do, as its first byte modulo this.
const ACTS: u8 = 11;

fn config(choice: u8) -> ClientConfig {
    ClientConfig {
        version: [ClientVersion::V091, ClientVersion::V1, ClientVersion::Auto][usize::from(choice % 3)],
        name: "node".into(),
        host: "broker".into(),
        virtual_host: "/".into(),
        username: (choice & 16 != 0).then(|| "name".into()),
        password: (choice & 16 != 0).then(|| "secret".into()),
        heartbeat: Duration::from_secs(30),
        answer_timeout: Duration::from_secs(5),
        frame_bytes: 600,
        payload_bytes: 400,
        address_levels: 6,
        prefetch: 4,
        via: "here".into(),
        address: Template::address(),
        exchange: "amq.topic".into(),
        routing_key: Template::key(),
        consume: if choice & 32 != 0 { vec!["q".into()] } else { Vec::new() },
    }
}

struct Link {
    client: Client,
    now: Now,
    /// Publications that nothing became of yet.
    owed: HashSet<u64>,
    messages: Vec<Tag>,
    closed: bool,
    /// Whether the server decides on the version.
    auto: bool,
    /// What the server says first on each connection.
    prologue: Vec<u8>,
    signature: Signature,
}

impl Link {
    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            self.signature.add(std::mem::discriminant(&output));
            match output {
                ClientOutput::Settled { token, .. } => {
                    assert!(self.owed.remove(&token), "something becomes of each publication once: {token}");
                }
                ClientOutput::Message { tag, .. } => {
                    assert!(tag != Tag::NONE && !self.messages.contains(&tag), "tags are unique: {tag:?}");
                    self.messages.push(tag);
                }
                ClientOutput::Close { .. } => self.closed = true,
                _ => {}
            }
        }
        self.signature.add(written(self.client.transmit()).len().checked_ilog2());
    }

    fn lose(&mut self) {
        self.client.handle_eof(self.now);
        self.drain();
        self.messages.clear();
        assert!(self.client.transmit().is_empty(), "nothing is written without a connection");
        // What the other version is to send goes over to it.
        assert!(self.owed.is_empty() || self.auto, "what was on its way is given back: {:?}", self.owed);
    }

    fn connect(&mut self) {
        self.closed = false;
        self.client.handle_connected(self.now);
        self.drain();
        let prologue = self.prologue.clone();
        self.client.handle_bytes(self.now, &prologue);
        self.drain();
    }
}

/// Something becomes of each publication once, and all of it is given back when a connection ends.
pub fn run(data: &[u8]) -> u64 {
    let mut script = Script(data);
    let Some(choice) = script.byte() else { return 0 };
    let prologue = match (choice & 4 != 0, choice % 3) {
        (true, 1) => new_prologue(),
        (true, _) => old_prologue(),
        (false, _) => Vec::new(),
    };
    let mut link = Link {
        client: Client::new(Arc::new(config(choice))),
        now: start(),
        owed: HashSet::new(),
        messages: Vec::new(),
        closed: false,
        auto: choice % 3 == 2,
        prologue,
        signature: Signature::new(),
    };
    link.connect();
    let mut token = 0;
    while let Some(act) = script.byte() {
        let filter = Filter::new("a/+").ok();
        match act % ACTS {
            0..=4 => {
                let Some(bytes) = script.bytes() else { break };
                link.client.handle_bytes(link.now, bytes);
            }
            5 => {
                token += 1;
                link.owed.insert(token);
                link.client.publish(link.now, token, asking(event(script.byte().unwrap_or(0)), act));
            }
            6 => {
                if let Some(tag) = link.messages.pop() {
                    let outcome = if act & 64 == 0 { Outcome::Accepted } else { Outcome::unavailable() };
                    link.client.settle(link.now, tag, &outcome);
                }
            }
            7 => {
                if let Some(filter) = filter {
                    link.client.subscribe(link.now, &filter, 7);
                }
            }
            8 => {
                link.now = link.now.after(Duration::from_secs(script.byte().unwrap_or(0).into()));
                link.client.handle_timeout(link.now);
            }
            9 => {
                link.lose();
                link.connect();
            }
            _ => {
                if let Some(filter) = filter {
                    link.client.unsubscribe(link.now, &filter);
                }
            }
        }
        link.drain();
        if link.closed {
            link.lose();
            link.connect();
        }
    }
    link.lose();
    link.signature.finish()
}

/// An event that wants an answer, if `act` says so.
fn asking(event: Arc<Event>, act: u8) -> Arc<Event> {
    if act & 128 == 0 {
        return event;
    }
    let details = Details { reply_to: Address::new("answers").ok(), ..Details::default() };
    Arc::new(Event { details: Some(Box::new(details)), ..Event::clone(&event) })
}

fn old_method<'a>(method: impl Into<old::Method<'a>>, channel: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    old::method_frame(&method.into(), channel, &mut bytes);
    bytes
}

/// What a server of 0-9-1 says until the channel is open.
fn old_prologue() -> Vec<u8> {
    let start = old::ConnectionStart {
        version_minor: 9,
        mechanisms: b"PLAIN",
        locales: b"en_US",
        ..Default::default()
    };
    [
        old_method(start, 0),
        old_method(old::ConnectionTune { channel_max: 8, frame_max: 4_096, heartbeat: 10 }, 0),
        old_method(old::ConnectionOpenOk {}, 0),
        old_method(old::ChannelOpenOk {}, 1),
        old_method(old::BasicQosOk {}, 1),
        old_method(old::ConfirmSelectOk {}, 1),
    ]
    .concat()
}

fn new_frame(performative: &Performative<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    performative.write(0, &mut bytes);
    bytes
}

/// What a server of 1.0 says until the session has begun.
fn new_prologue() -> Vec<u8> {
    let mut bytes = SASL_HEADER.to_vec();
    SaslFrame::Mechanisms(Symbols::Slice(&["PLAIN", "ANONYMOUS"])).write(&mut bytes);
    SaslFrame::Outcome { code: SaslCode::Ok, additional_data: None }.write(&mut bytes);
    bytes.extend_from_slice(b"AMQP\x00\x01\x00\x00");
    bytes.extend(new_frame(&Performative::Open(Open { container_id: "b", ..Open::default() })));
    let begin =
        Begin { remote_channel: Some(0), incoming_window: 99, outgoing_window: 99, ..Begin::default() };
    bytes.extend(new_frame(&Performative::Begin(begin)));
    bytes
}

/// What servers say once all is open, one by one.
fn said(version: u8) -> Vec<Vec<u8>> {
    if version == 0 {
        let mut content = Vec::new();
        old::content_header(1, 3, &[0, 0], &mut content);
        content.extend_from_slice(&[3, 0, 1, 0, 0, 0, 3, b'a', b'b', b'c', 0xce]);
        let deliver = |consumer_tag| old::BasicDeliver {
            consumer_tag,
            delivery_tag: 1,
            redelivered: false,
            exchange: "amq.topic",
            routing_key: "a.b",
        };
        return vec![
            old_method(old::BasicAck { delivery_tag: 1, multiple: false }, 1),
            old_method(old::BasicNack { delivery_tag: 2, multiple: true, requeue: false }, 1),
            [old_method(old::BasicReturn { routing_key: "a", ..Default::default() }, 1), content.clone()]
                .concat(),
            [old_method(deliver("own"), 1), content.clone()].concat(),
            [old_method(deliver("queue-0"), 1), content.clone()].concat(),
            [old_method(deliver("replies"), 1), content].concat(),
            old_method(old::QueueDeclareOk { queue: "node", ..Default::default() }, 1),
            old_method(old::QueueBindOk {}, 1),
            old_method(old::ConnectionBlocked { reason: "memory" }, 0),
            old_method(old::ConnectionUnblocked {}, 0),
            old_method(old::ChannelFlow { active: false }, 1),
            old_method(old::BasicCancel { consumer_tag: "own", no_wait: false }, 1),
            old_method(old::ChannelClose { reply_code: 404, ..Default::default() }, 1),
            old_method(old::ConnectionClose { reply_code: 320, ..Default::default() }, 0),
        ];
    }
    let attach = |name, handle, role| Attach {
        name,
        handle,
        role,
        source: Some(Source { address: Some("replies"), ..Source::default() }),
        target: Some(Terminus::Target(Target { address: Some("a"), ..Target::default() })),
        initial_delivery_count: Some(0),
        ..Attach::default()
    };
    let flow = |handle| Flow {
        next_incoming_id: Some(0),
        incoming_window: 99,
        outgoing_window: 99,
        handle,
        delivery_count: handle.map(|_| 0),
        link_credit: handle.map(|_| 9),
        echo: true,
        ..Flow::default()
    };
    let disposed = |state, settled| Disposition {
        role: Role::Receiver,
        first: 0,
        last: Some(1),
        settled,
        state: Some(state),
        batchable: false,
    };
    let transfer = |more| {
        let mut bytes = Vec::new();
        let start = start_frame(&mut bytes, FrameKind::Amqp, 0);
        let transfer = Transfer {
            delivery_id: Some(0),
            delivery_tag: Some(b"t"),
            message_format: Some(0),
            more,
            ..Transfer::default()
        };
        transfer.write(&mut bytes);
        bytes.extend_from_slice(&[0, 0x53, 0x75, 0xa0, 1, b'x']);
        finish_frame(&mut bytes, start, 0);
        bytes
    };
    let mut said = vec![transfer(false), transfer(true)];
    let performatives = [
        Performative::Attach(attach("node-1", 0, Role::Receiver)),
        Performative::Attach(attach("node-1", 0, Role::Sender)),
        Performative::Attach(attach("node-2", 1, Role::Receiver)),
        Performative::Flow(flow(Some(0))),
        Performative::Flow(flow(Some(1))),
        Performative::Flow(flow(None)),
        Performative::Disposition(disposed(DeliveryState::Accepted, true)),
        Performative::Disposition(disposed(DeliveryState::Released, false)),
        Performative::Disposition(disposed(DeliveryState::Rejected(None), true)),
        Performative::Detach(Detach { handle: 0, closed: true, error: None }),
        Performative::End(Default::default()),
        Performative::Close(Default::default()),
    ];
    said.extend(performatives.iter().map(new_frame));
    said
}

/// Sessions in which the server says one thing after what makes it likely, and two.
pub fn seeds() -> Vec<Vec<u8>> {
    let feed = |bytes: &[u8]| {
        let parts = bytes.chunks(255).map(|part| [&[0, part.len() as u8], part].concat());
        parts.collect::<Vec<_>>().concat()
    };
    let mut seeds = Vec::new();
    for (choice, version) in [(36, 0), (4, 1), (52, 1)] {
        // Publications, one of which asks, and a subscription.
        let begun = [choice, 5, 1, 5, 2, 7, 137, 1];
        let said = said(version);
        for first in &said {
            seeds.push([&begun[..], &feed(first), &[6, 8, 6]].concat());
            for second in said.iter().skip(2).step_by(6) {
                seeds.push([&begun[..], &feed(first), &feed(second), &[6, 9, 10]].concat());
            }
        }
    }
    for (choice, prologue) in
        [(0, old_prologue()), (1, new_prologue()), (2, new_prologue()), (17, new_prologue())]
    {
        seeds.push([&[choice, 5, 1][..], &feed(&prologue), &[8, 31, 9]].concat());
    }
    seeds.push(vec![2, 5, 1, 0, 8, b'A', b'M', b'Q', b'P', 3, 1, 0, 0, 9]);
    seeds
}
