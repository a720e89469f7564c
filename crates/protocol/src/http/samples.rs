//! Events for tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{Address, Assurance, Details, Event, EventId, Identity, Origin, Principal, Timestamp};

/// An anonymous client's event.
pub(super) fn event(address: &str, payload: &'static [u8]) -> Event {
    let time = Timestamp::from_micros(1_786_529_580_000_001);
    Event {
        id: EventId::new(time, 1, 0),
        time,
        address: Address::new(address).unwrap(),
        origin: Arc::new(Origin {
            identity: Identity::anonymous(),
            session: "s \"1".into(),
            protocol: "mqtt",
            listener: "mqtt".into(),
        }),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: Bytes::from_static(payload),
        details: None,
    }
}

/// An event of the device `car-7`, which is Anna's.
pub(super) fn device_event(address: &str, payload: &'static [u8]) -> Event {
    let principal = Principal::Device { id: "car-7".into(), owner: Some("anna".into()) };
    let origin = Origin {
        identity: Identity { principal, ..Identity::anonymous() },
        session: "car-7".into(),
        protocol: "mqtt",
        listener: "mqtts".into(),
    };
    Event { origin: Arc::new(origin), ..event(address, payload) }
}

/// The same event with details.
pub(super) fn with_details(event: Event, details: Details) -> Event {
    Event { details: Some(Box::new(details)), ..event }
}

/// The same event with named values.
pub(super) fn with_headers(event: Event, headers: &[(&str, &str)]) -> Event {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    with_details(event, Details { headers, ..Details::default() })
}
