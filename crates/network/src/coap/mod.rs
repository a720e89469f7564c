//! Services that speak CoAP: sockets around [`windrose_protocol::coap::client`].

pub mod client;
mod link;
mod member;
