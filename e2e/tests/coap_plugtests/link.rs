//! TD_COAP_LINK: discovery (RFC 6690).

use crate::support::{client, node, put};
use windrose_e2e::coap::{Client, Message, code, option};

/// What `/.well-known/core` says to a query.
fn core(client: &mut Client, queries: &[&str]) -> String {
    let request = queries
        .iter()
        .fold(Message::get(".well-known/core"), |request, query| request.with(option::URI_QUERY, *query));
    let mut all = String::new();
    for block in 0.. {
        let request =
            if block == 0 { request.clone() } else { request.clone().block(option::BLOCK2, block, false, 6) };
        let response = client.ask(request);
        assert_eq!(response.code, code::CONTENT);
        if !response.payload.is_empty() {
            assert_eq!(response.number(option::CONTENT_FORMAT), Some(40), "application/link-format");
        }
        all.push_str(&response.text());
        if !response.block_of(option::BLOCK2).is_some_and(|(_, more, _)| more) {
            break;
        }
    }
    all
}

#[test]
fn link_01_the_live_addresses_are_listed() {
    let node = node();
    let (mut client, path) = client(&node);
    put(&mut client, &format!("{path}/one"), "1");
    put(&mut client, &format!("{path}/two"), "2");
    let links = core(&mut client, &[]);
    for address in ["one", "two"] {
        assert!(links.contains(&format!("</{path}/{address}>")), "{links}");
    }
    client.ask(Message::delete(&format!("{path}/two")));
    let links = core(&mut client, &[]);
    assert!(
        links.contains(&format!("</{path}/one>")) && !links.contains(&format!("</{path}/two>")),
        "{links}"
    );
}

#[test]
fn link_07_08_they_are_filtered_by_address() {
    let node = node();
    let (mut client, path) = client(&node);
    for address in ["link1", "link2", "other"] {
        put(&mut client, &format!("{path}/{address}"), "1");
    }
    let one = core(&mut client, &[&format!("href=/{path}/link1")]);
    assert!(one.contains(&format!("</{path}/link1>")) && !one.contains("link2"), "{one}");
    let both = core(&mut client, &[&format!("href=/{path}/link*")]);
    assert!(both.contains("link1>") && both.contains("link2>") && !both.contains("other>"), "{both}");
    assert_eq!(core(&mut client, &[&format!("href=/{path}/nothing*")]), "", "nothing matches: an empty list");
}

#[test]
fn link_02_to_06_they_are_filtered_by_attributes() {
    let node = node();
    let (mut client, path) = client(&node);
    let json = Message::put(&format!("{path}/json"), "{}").format(50);
    client.ask(json);
    put(&mut client, &format!("{path}/text"), "hello");
    let href = format!("href=/{path}/*");
    let links = core(&mut client, &["ct=50"]);
    assert!(
        links.contains(&format!("</{path}/json>")) && !links.contains(&format!("</{path}/text>")),
        "{links}"
    );
    let links = core(&mut client, &["sz=*"]);
    assert!(links.contains(&format!("</{path}/text>")), "{links}");
    assert!(core(&mut client, &[&href]).contains("obs"), "every address can be observed");
    assert_eq!(core(&mut client, &["rt=no-such-type"]), "");
    assert_eq!(core(&mut client, &["if=no-such*"]), "");
}
