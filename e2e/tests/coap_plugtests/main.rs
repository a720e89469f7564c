//! The ETSI CoAP plugtest cases (CORE, LINK, BLOCK, OBS) that a server or its meaning decides, by their numbers. Resources are
//! addresses: what a case presumes to be there is put there first.

mod block;
mod core;
mod link;
mod obs;
mod support;
