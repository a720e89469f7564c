//! Services and devices that are CoAP servers: sockets around [`windrose_protocol::coap::client`].

pub mod client;
pub(crate) mod devices;
mod link;
mod member;
mod peer;
