//! What every test here needs: a runtime, documents, events.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::LocalSet;
use windrose_event::{Address, Assurance, Details, Event, EventId, Identity, Origin, Principal, Timestamp};
use windrose_policy::{Pool, Snapshot, compile};

/// Runs a test as a shard runs its work, and not for ever.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(async {
        tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test hangs");
    }));
}

/// A document.
pub(crate) fn document(text: &str) -> Snapshot {
    compile("test.yaml", text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// A pool named `api` with one member and further settings, such as `mode: batch`.
pub(crate) fn pool(member: &str, settings: &str) -> Arc<Pool> {
    let text = format!("node: {{name: edge-1}}\npools:\n  api: {{members: [\"{member}\"], {settings}}}\n");
    Arc::clone(&document(&text).pools[0])
}

/// An event of the device `car-7`.
pub(crate) fn event(address: &str, payload: &str) -> Event {
    let time = Timestamp::from_micros(1_786_529_580_000_001);
    let principal = Principal::Device { id: "car-7".into(), owner: None };
    Event {
        id: EventId::new(time, 1, 0),
        time,
        address: Address::new(address).unwrap(),
        origin: Arc::new(Origin {
            identity: Identity { principal, ..Identity::anonymous() },
            session: "car-7".into(),
            protocol: "mqtt",
            listener: "mqtt".into(),
        }),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: payload.to_owned().into(),
        details: None,
    }
}

/// An event that asks for a reply.
pub(crate) fn question(address: &str) -> Event {
    let details = Details { reply_to: Some(Address::new("answers").unwrap()), ..Details::default() };
    Event { details: Some(Box::new(details)), ..event(address, "?") }
}
