//! Deliveries are written straight from events: the client must read what the event says.

use super::arbitrary::{any_data, any_text, any_version};
use super::*;
use crate::Transmit;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Address, Delivery, Details, Event, EventId, Identity, Origin, Tag, Text, Timestamp};

const WALL: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn event(payload: Bytes, details: Option<Details>, left: Option<u64>) -> Event {
    Event {
        id: EventId::new(WALL, 0, 0),
        time: WALL,
        address: Address::new("devices/7/telemetry").unwrap(),
        origin: Arc::new(Origin {
            identity: Identity::anonymous(),
            session: "7".into(),
            protocol: "http",
            listener: "mqtt".into(),
        }),
        assurance: Assurance::ExactlyOnce,
        retain: false,
        expires: left.map(|micros| WALL + Duration::from_micros(micros)),
        payload,
        details: details.map(Box::new),
    }
}

fn delivery(event: Event, assurance: Assurance) -> Delivery {
    Delivery {
        tag: Tag(if assurance == Assurance::AtMostOnce { 0 } else { 77 }),
        event: Arc::new(event),
        assurance,
        again: false,
        retain: false,
        subscriptions: Default::default(),
    }
}

fn written(transmit: &mut Transmit) -> Vec<u8> {
    let mut out = Vec::new();
    while !transmit.is_empty() {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = transmit.io_slices(&mut slices);
        let before = out.len();
        slices[..filled].iter().for_each(|slice| out.extend_from_slice(slice));
        let step = out.len() - before;
        transmit.advance(step);
    }
    out
}

fn write(version: Version, delivery: &Delivery, maximum: usize) -> Option<Vec<u8>> {
    let mut transmit = Transmit::default();
    let said = write_publish(&mut transmit, version, delivery, None, WALL, maximum);
    let bytes = written(&mut transmit);
    assert_eq!(said, !bytes.is_empty(), "nothing is left of what is not said");
    said.then_some(bytes)
}

fn any_details() -> impl Strategy<Value = Details> {
    let reply_to = proptest::option::of("[a-z/]{1,12}");
    let headers = proptest::collection::vec((any_text(), any_text()), 0..4);
    let texts = (proptest::option::of(any_text()), proptest::option::of(any_data()));
    (texts, any::<Option<bool>>(), reply_to, headers).prop_map(
        |((content_type, correlation), is_text, reply_to, headers)| Details {
            content_type,
            is_text,
            reply_to: reply_to.map(|path| Address::new(path.as_str()).unwrap()),
            correlation,
            headers,
            ..Details::default()
        },
    )
}

proptest! {
    #[test]
    fn a_client_reads_what_the_event_says(
        version in any_version(),
        payload in prop_oneof![proptest::collection::vec(any::<u8>(), 0..60), Just(vec![1; 5_000])],
        details in proptest::option::of(any_details()),
        left in proptest::option::of(1..10_000_000_000u64),
        tag in 1..=u16::MAX,
        qos in 0..3u8,
        (again, retain) in any::<(bool, bool)>(),
        subscriptions in proptest::collection::vec(1..=268_435_455u32, 0..4),
    ) {
        let qos = assurance(qos).unwrap();
        let acknowledged = qos != Assurance::AtMostOnce;
        let event = event(payload.into(), details, left);
        let delivery = Delivery {
            tag: Tag(if acknowledged { tag } else { 0 }),
            event: Arc::new(event.clone()),
            assurance: qos,
            again,
            retain,
            subscriptions: subscriptions.clone().into(),
        };
        let bytes = write(version, &delivery, usize::MAX).unwrap();
        let expected = Publish {
            dup: again && acknowledged,
            qos,
            retain,
            topic: event.address.text().clone(),
            packet_id: delivery.tag.0,
            properties: (version == Version::V5)
                .then(|| {
                    let details = event.details.as_deref().cloned().unwrap_or_default();
                    Box::new(Properties {
                        payload_format_indicator: details.is_text.map(u8::from),
                        message_expiry_interval: left.map(|micros| micros.div_ceil(1_000_000) as u32),
                        content_type: details.content_type,
                        response_topic: details.reply_to.map(|address| address.text().clone()),
                        correlation_data: details.correlation,
                        subscription_identifiers: subscriptions.into(),
                        user_properties: details.headers,
                        ..Properties::default()
                    })
                })
                .filter(|properties| **properties != Properties::default()),
            payload: event.payload.clone(),
        };
        // The codec's own encoder says the same in as many bytes, though it may order properties otherwise.
        prop_assert_eq!(bytes.len(), bytes_of(&Packet::Publish(expected.clone()), version).len());
        let length = bytes.len();
        prop_assert_eq!(decode(&bytes, version), Ok(Some((Packet::Publish(expected), length))));
        prop_assert!(write(version, &delivery, length).is_some(), "it fits its own length");
        prop_assert!(write(version, &delivery, length - 1).is_none(), "it does not fit less");
    }
}

#[test]
fn an_event_about_to_expire_has_a_second_left() {
    let delivery = delivery(event(Bytes::new(), None, Some(0)), Assurance::AtMostOnce);
    let bytes = write(Version::V5, &delivery, usize::MAX).unwrap();
    let Ok(Some((Packet::Publish(publish), _))) = decode(&bytes, Version::V5) else { panic!() };
    assert_eq!(publish.properties.unwrap().message_expiry_interval, Some(1));
}

/// Other protocols can say what MQTT cannot; a packet made of it would make every client hang up.
#[test]
fn what_mqtt_cannot_say_is_not_said() {
    let long = Text::from("x".repeat(65_536));
    let cases = [
        Details { content_type: Some(long.clone()), ..Details::default() },
        Details { content_type: Some("a\0b".into()), ..Details::default() },
        Details { correlation: Some(Bytes::from(vec![0; 65_536])), ..Details::default() },
        Details { headers: vec![("name".into(), long.clone())], ..Details::default() },
        Details { headers: vec![(long, "value".into())], ..Details::default() },
        Details { headers: vec![("name".into(), "a\0b".into())], ..Details::default() },
        Details { headers: vec![("name".into(), "a\nb".into())], ..Details::default() },
    ];
    for details in cases {
        let delivery = delivery(event(Bytes::new(), Some(details), None), Assurance::AtLeastOnce);
        assert!(write(Version::V5, &delivery, usize::MAX).is_none());
        assert!(write(Version::V3, &delivery, usize::MAX).is_some(), "3.1.1 says none of it anyway");
    }
    let address = Address::new("a\nb").unwrap();
    let event = Event { address, ..event(Bytes::new(), None, None) };
    for version in [Version::V3, Version::V5] {
        let delivery = delivery(event.clone(), Assurance::AtLeastOnce);
        assert!(write(version, &delivery, usize::MAX).is_none(), "a client would hang up on that topic");
    }
}
