//! Requests of CoAP through the shard: datagrams in, events, datagrams out.

use super::node::Node;
use crate::Result;
use crate::load::coap::{identify, post};
use std::net::{Ipv4Addr, SocketAddr};

/// Clients, each with an address of its own: a multiple of a read.
const CLIENTS: usize = 64;

/// Datagrams of one read.
const BATCH: usize = 16;

/// A confirmable POST of 64 bytes to its 2.04, of several clients in turn.
pub(super) fn posts(units: u64) -> Result<u64> {
    let mut node = Node::new()?;
    let socket = node.listen();
    let mut clients: Vec<_> = (0_u16..)
        .zip(0..CLIENTS)
        .map(|(port, number)| {
            (SocketAddr::from((Ipv4Addr::LOCALHOST, 20_000 + port)), post(number, 64), 0_u16)
        })
        .collect();
    let (warm_up, mut sent) = (units / 2, 0_u64);
    let mut counted = 0;
    while counted < units {
        let begin = usize::try_from(sent)? % CLIENTS;
        let mut datagrams = Vec::new();
        for (peer, request, id) in clients.iter_mut().skip(begin).take(BATCH) {
            *id = id.wrapping_add(1);
            identify(request, *id);
            datagrams.push((*peer, request.clone()));
        }
        node.counting = sent >= warm_up;
        counted += if node.counting { BATCH as u64 } else { 0 };
        sent += BATCH as u64;
        node.datagrams(socket, &datagrams);
        if node.answered != sent {
            return Err(format!("{} of {sent} requests were answered well", node.answered).into());
        }
    }
    Ok(counted)
}
