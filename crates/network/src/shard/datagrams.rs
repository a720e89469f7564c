//! A listener of datagrams: a task that receives for its machine, and what the machine has to send.

use super::Shard;
use super::candidates::Place;
use crate::pump::{SocketId, coap_config};
use crate::udp::{Arrivals, BATCH, UdpPort};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use windrose_engine::{SocketTally, Tally};
use windrose_event::{Now, metrics};
use windrose_policy::{Listener, Snapshot};
use windrose_protocol::coap::Remote;

/// System calls of one wake-up, before others have their turn.
const READS: usize = 4;

/// How long to wait after a socket failed in a way that nobody understands.
const PAUSE: Duration = Duration::from_millis(100);

/// What buffers of a machine keep from one turn to the next: the answers to a batch.
const KEEP: usize = 64 * 1024;

/// A socket of datagrams that is served.
pub(super) struct Door {
    place: Place,
    id: SocketId,
    port: Rc<UdpPort>,
    task: AbortHandle,
}

impl Shard {
    /// Opens a socket's machine and serves it.
    pub(crate) fn open_door(
        self: &Rc<Self>,
        place: Place,
        listener: &Arc<Listener>,
        socket: std::net::UdpSocket,
    ) -> io::Result<()> {
        let port = Rc::new(UdpPort::new(socket)?);
        let mut config = coap_config(&self.snapshot().limits, listener, self.shards());
        config.address = port.only_address();
        let id = {
            let mut core = self.core.borrow_mut();
            // Places are not given twice at the same time, and nothing that is guessed from one must help with another.
            let seed = self.seed ^ u64::from(port.address().port()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let sources = Arc::clone(&self.sources);
            core.pump.open_coap(Arc::new(config), Arc::clone(listener), sources, seed)
        };
        let task = tokio::task::spawn_local(receive(Rc::clone(self), id, Rc::clone(&port))).abort_handle();
        self.doors.borrow_mut().push(Door { place, id, port, task });
        Ok(())
    }

    /// Serves no longer what a document does not have any more, and the rest as it says now.
    pub(crate) fn apply_doors(self: &Rc<Self>, snapshot: &Snapshot) {
        let now = self.now();
        let mut doors = self.doors.borrow_mut();
        doors.retain(|door| {
            let listener = snapshot.listeners.iter().find(|listener| Place::of(listener) == door.place);
            let mut core = self.core.borrow_mut();
            match listener {
                Some(listener) => {
                    let mut config = coap_config(&snapshot.limits, listener, self.shards());
                    config.address = door.port.only_address();
                    core.pump.apply_coap(door.id, Arc::new(config), Arc::clone(listener));
                }
                None => {
                    door.task.abort();
                    core.pump.close_socket(now, door.id);
                }
            }
            listener.is_some()
        });
        drop(doors);
        self.act(now);
    }

    fn shards(&self) -> u16 {
        u16::try_from(self.links.len()).unwrap_or(u16::MAX)
    }

    /// Sends what a machine has to send.
    pub(super) fn send(&self, id: SocketId) {
        let mut core = self.core.borrow_mut();
        let doors = self.doors.borrow();
        let port = doors.iter().find(|door| door.id == id).map(|door| &*door.port);
        let core = &mut *core;
        let Some(datagrams) = core.pump.datagrams(id) else { return };
        let mut bytes_out = 0;
        if let Some(port) = port {
            for (remote, bytes) in datagrams.iter() {
                bytes_out += bytes.len() as u64;
                if let Remote::Udp { peer, local } = remote {
                    port.send(peer, local, bytes);
                }
            }
        }
        datagrams.clear(KEEP);
        core.bytes_out += bytes_out;
    }

    /// Says that a peer sent what it must not, as often as may be said.
    pub(super) fn tell_mishap(
        &self,
        id: SocketId,
        remote: Remote,
        cause: &'static str,
        detail: &'static str,
    ) {
        if let Some(suppressed) = self.notices.borrow_mut().allow(self.now(), cause) {
            let doors = self.doors.borrow();
            let address = doors.iter().find(|door| door.id == id).map(|door| door.port.address());
            tracing::warn!(listener = address.map(tracing::field::display), peer = %remote, cause, detail,
                suppressed, "datagram refused");
        }
    }

    /// What the sockets of datagrams have counted.
    pub(super) fn tally_doors(&self, tally: &mut Tally) {
        let core = self.core.borrow();
        for door in &*self.doors.borrow() {
            let Some((listener, coap)) = core.pump.coap_counts(door.id) else { continue };
            let figures = door.port.figures();
            let mut counts = vec![
                (metrics::COAP_DATAGRAMS, "in", coap.received),
                (metrics::COAP_DATAGRAMS, "out", coap.sent),
                (metrics::COAP_REQUESTS, "", coap.requests),
                (metrics::COAP_DUPLICATES, "", coap.duplicates),
                (metrics::COAP_RETRANSMISSIONS, "", coap.retransmissions),
                (metrics::COAP_TIMEOUTS, "", coap.timeouts),
                (metrics::COAP_FORGOTTEN, "", coap.forgotten),
                (metrics::COAP_WITHHELD, "", coap.withheld),
                (metrics::DATAGRAMS_LOST, "overflow", figures.overflowed),
                (metrics::DATAGRAMS_LOST, "too_large", figures.cut),
                (metrics::DATAGRAMS_LOST, "unsent", figures.unsent),
            ];
            counts.extend(coap.mishaps().map(|(cause, count)| (metrics::COAP_MISHAPS, cause, count)));
            tally.sockets.push(SocketTally { listener: Arc::clone(listener), counts });
        }
    }

    fn received_datagrams(self: &Rc<Self>, now: Now, id: SocketId, arrivals: &mut Arrivals) {
        {
            let mut core = self.core.borrow_mut();
            let mut bytes_in = 0;
            let datagrams = arrivals.datagrams().map(|(peer, local, bytes)| {
                bytes_in += bytes.len() as u64;
                (Remote::Udp { peer, local }, &*bytes)
            });
            core.pump.handle_datagrams(now, id, datagrams);
            core.bytes_in += bytes_in;
        }
        self.act(now);
    }
}

/// Receives for as long as somebody listens there.
async fn receive(shard: Rc<Shard>, id: SocketId, port: Rc<UdpPort>) {
    loop {
        if let Err(error) = port.ready().await {
            tracing::error!(bind = %port.address(), %error, "a listener's socket cannot be used");
            return;
        }
        let mut more = true;
        for _ in 0..READS {
            if !more {
                break;
            }
            more = match read(&shard, id, &port) {
                Ok(more) => more,
                Err(error) => {
                    complain(&shard, &port, &error);
                    tokio::time::sleep(PAUSE).await;
                    false
                }
            };
        }
        // Others first: a socket that always has something is ready at once.
        tokio::task::yield_now().await;
    }
}

/// One system call, and what follows from it. Whether there may be more.
fn read(shard: &Rc<Shard>, id: SocketId, port: &UdpPort) -> io::Result<bool> {
    let mut arrivals = shard.arrivals.borrow_mut();
    let arrived = match arrivals.receive(port) {
        Ok(arrived) => arrived,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
        // An answer of ours found nobody (ICMP): whom it was for will ask again, or not.
        Err(error) if is_of_a_peer(&error) => return Ok(true),
        Err(error) => return Err(error),
    };
    port.count(|figures| figures.cut += arrivals.cut() as u64);
    shard.received_datagrams(shard.now(), id, &mut arrivals);
    Ok(arrived == BATCH)
}

fn is_of_a_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

fn complain(shard: &Shard, port: &UdpPort, error: &io::Error) {
    if let Some(suppressed) = shard.notices.borrow_mut().allow(shard.now(), "receive_failed") {
        tracing::warn!(bind = %port.address(), %error, suppressed, "cannot receive datagrams");
    }
}
