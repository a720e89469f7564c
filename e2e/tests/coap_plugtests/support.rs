//! The node that all cases share.

use std::sync::Arc;
use std::time::Duration;
use windrose_e2e::Node;
use windrose_e2e::coap::{Client, Message, code};
use windrose_e2e::documents::open_coap;
use windrose_e2e::shared::Shared;
pub use windrose_e2e::shared::name;

/// How long is waited for what must not come.
pub const QUIET: Duration = Duration::from_millis(300);

/// The node of all tests that run at the moment.
pub fn node() -> Arc<Node> {
    static SHARED: Shared = Shared::new();
    SHARED.node(&open_coap(""))
}

/// A client, and a path that no other test has.
pub fn client(node: &Node) -> (Client, String) {
    (Client::new(node.coap()), name())
}

/// A client, and a path with a value in plain text.
pub fn valued(node: &Node, value: &str) -> (Client, String) {
    let (mut client, path) = client(node);
    put(&mut client, &path, value);
    (client, path)
}

/// Sets a value in plain text.
pub fn put(client: &mut Client, path: &str, value: &str) {
    let response = client.ask(Message::put(path, value).format(0));
    assert!(matches!(response.code, code::CREATED | code::CHANGED), "PUT {path}: {response:?}");
}

/// A text of so many bytes whose parts differ.
pub fn long(length: usize) -> String {
    (0..)
        .flat_map(|line: u32| format!("{line:06} of a text;").into_bytes())
        .map(char::from)
        .take(length)
        .collect()
}
