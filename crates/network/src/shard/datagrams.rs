//! Listeners of datagrams: a task that receives for a machine, and what the machine has to send.

use super::Shard;
use super::candidates::Place;
use super::secured::Secured;
use crate::pump::{SocketId, coap_config};
use crate::udp::{Arrivals, BATCH, UdpPort};
use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use windrose_engine::{SocketTally, Tally};
use windrose_event::{Now, metrics};
use windrose_policy::{Dtls, Listener, Snapshot};
use windrose_protocol::coap::{Remote, ServerConfig};

/// System calls of one wake-up, before others have their turn.
const READS: usize = 4;

/// So many datagrams at once are traffic. The processor is offered to others then before the socket is asked once more:
/// senders that wait for it send meanwhile, and their datagrams come as a batch instead of waking this thread one by one.
const TRAFFIC: usize = 2;

/// How long to wait after a socket failed in a way that nobody understands.
const PAUSE: Duration = Duration::from_millis(100);

/// What buffers of a machine keep from one turn to the next: the answers to a batch.
pub(super) const KEEP: usize = 64 * 1024;

/// A listener of datagrams that is served.
pub(super) struct Door {
    place: Place,
    /// How its listener has it secured.
    dtls: Option<Dtls>,
    pub(super) port: Rc<Port>,
    task: AbortHandle,
}

/// A socket and what stands between it and its machine.
pub(super) struct Port {
    pub(super) id: SocketId,
    pub(super) udp: Rc<UdpPort>,
    /// DTLS, if its datagrams are secured.
    pub(super) secured: Option<RefCell<Secured>>,
}

impl Shard {
    /// Serves a listener's socket.
    pub(crate) fn open_door(
        self: &Rc<Self>,
        place: Place,
        listener: &Arc<Listener>,
        socket: std::net::UdpSocket,
    ) -> io::Result<()> {
        let door = self.door(place, listener, Rc::new(UdpPort::new(socket)?));
        self.doors.borrow_mut().push(door);
        Ok(())
    }

    fn door(self: &Rc<Self>, place: Place, listener: &Arc<Listener>, udp: Rc<UdpPort>) -> Door {
        let config = self.coap_config(&self.snapshot(), listener, &udp);
        // Nothing that is guessed of one socket must help with another.
        let seed = self.seed ^ u64::from(udp.address().port()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let sources = Arc::clone(&self.sources);
        let id = self.core.borrow_mut().pump.open_coap(config, Arc::clone(listener), sources, seed);
        let secured = listener.dtls.as_ref().map(|dtls| RefCell::new(self.secured(listener, dtls)));
        let port = Rc::new(Port { id, udp, secured });
        let task = tokio::task::spawn_local(receive(Rc::clone(self), Rc::clone(&port))).abort_handle();
        Door { place, dtls: listener.dtls.clone(), port, task }
    }

    fn coap_config(&self, snapshot: &Snapshot, listener: &Listener, udp: &UdpPort) -> Arc<ServerConfig> {
        let config = coap_config(&snapshot.limits, listener, self.shards());
        let enrolment = snapshot.ca.is_some() && listener.dtls.is_some();
        Arc::new(ServerConfig { address: udp.only_address(), enrolment, ..config })
    }

    /// Serves no longer what a document does not have any more, and the rest as it says now.
    pub(crate) fn apply_doors(self: &Rc<Self>, snapshot: &Snapshot) {
        let now = self.now();
        for mut door in self.doors.take() {
            let listener = snapshot.listeners.iter().find(|listener| Place::of(listener) == door.place);
            let stays = listener.filter(|listener| listener.dtls == door.dtls);
            if let Some(listener) = stays {
                let config = self.coap_config(snapshot, listener, &door.port.udp);
                self.core.borrow_mut().pump.apply_coap(door.port.id, config, Arc::clone(listener));
                if let Some(secured) = &door.port.secured {
                    secured.borrow_mut().apply(self.dtls_limits(snapshot));
                }
            } else {
                self.close_sessions(&door.port);
                door.task.abort();
                self.core.borrow_mut().pump.close_socket(now, door.port.id);
                let Some(listener) = listener else { continue };
                // Secured otherwise than before: another machine on the same socket.
                door = self.door(door.place, listener, Rc::clone(&door.port.udp));
            }
            self.doors.borrow_mut().push(door);
        }
        self.act(now);
    }

    pub(super) fn shards(&self) -> u16 {
        u16::try_from(self.links.len()).unwrap_or(u16::MAX)
    }

    /// All sockets of datagrams.
    pub(super) fn ports(&self) -> Vec<Rc<Port>> {
        self.doors.borrow().iter().map(|door| Rc::clone(&door.port)).collect()
    }

    pub(super) fn port(&self, id: SocketId) -> Option<Rc<Port>> {
        self.doors.borrow().iter().find(|door| door.port.id == id).map(|door| Rc::clone(&door.port))
    }

    /// Sends what a machine has to send.
    pub(super) fn send(self: &Rc<Self>, now: Now, id: SocketId) {
        let Some(port) = self.port(id) else { return };
        if let Some(secured) = &port.secured {
            return self.send_records(now, &port, &mut secured.borrow_mut());
        }
        let mut core = self.core.borrow_mut();
        let core = &mut *core;
        let Some(datagrams) = core.pump.datagrams(id) else { return };
        for (remote, bytes) in datagrams.iter() {
            if let Remote::Udp { peer, local } = remote {
                core.bytes_out += bytes.len() as u64;
                port.udp.send(peer, local, bytes);
            }
        }
        datagrams.clear(KEEP);
    }

    /// Says that a peer sent what it must not, as often as may be said.
    pub(super) fn tell_mishap(&self, id: SocketId, remote: Remote, cause: &'static str, detail: &str) {
        if let Some(suppressed) = self.notices.borrow_mut().allow(self.now(), cause) {
            let bind = self.port(id).map(|port| port.udp.address());
            tracing::warn!(bind = bind.map(tracing::field::display), peer = %remote, cause, detail, suppressed,
                "datagram refused");
        }
    }

    /// What the listeners of datagrams have counted.
    pub(super) fn tally_doors(&self, tally: &mut Tally) {
        let core = self.core.borrow();
        for Door { port, .. } in &*self.doors.borrow() {
            let Some((listener, coap)) = core.pump.coap_counts(port.id) else { continue };
            let figures = port.udp.figures();
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
            if let Some(secured) = &port.secured {
                secured.borrow().count(&mut counts);
            }
            tally.sockets.push(SocketTally { listener: Arc::clone(listener), counts });
        }
    }

    fn received_datagrams(self: &Rc<Self>, now: Now, port: &Port, arrivals: &mut Arrivals) {
        if let Some(secured) = &port.secured {
            self.received_records(now, port, &mut secured.borrow_mut(), arrivals);
        } else {
            let mut core = self.core.borrow_mut();
            let mut bytes_in = 0;
            let datagrams = arrivals.datagrams().map(|(peer, local, bytes)| {
                bytes_in += bytes.len() as u64;
                (Remote::Udp { peer, local }, &*bytes)
            });
            core.pump.handle_datagrams(now, port.id, datagrams);
            core.bytes_in += bytes_in;
        }
        self.act(now);
    }
}

/// Receives for as long as somebody listens there.
async fn receive(shard: Rc<Shard>, port: Rc<Port>) {
    loop {
        let due = port.secured.as_ref().and_then(|secured| secured.borrow().next_timeout());
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(shard.clock.instant(due).into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            ready = port.udp.ready() => if let Err(error) = ready {
                tracing::error!(bind = %port.udp.address(), %error, "a listener's socket cannot be used");
                return;
            },
            () = sleep => {
                shard.time_out_records(&port);
                continue;
            }
        }
        let mut more = true;
        let mut asks_again = false;
        for _ in 0..READS {
            let arrived = read(&shard, &port, asks_again).await;
            asks_again = (TRAFFIC..BATCH).contains(&arrived);
            more = asks_again || arrived == BATCH;
            if !more {
                break;
            }
            if asks_again {
                std::thread::yield_now();
            }
        }
        if more {
            // Others first: a socket that always has something is ready at once.
            tokio::task::yield_now().await;
        }
    }
}

/// One system call, and what follows from it: how many datagrams there were. `again`: the socket is asked although it had no
/// more a moment ago.
async fn read(shard: &Rc<Shard>, port: &Port, again: bool) -> usize {
    match try_read(shard, port, again) {
        Ok(arrived) => arrived,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        // An answer of ours found nobody (ICMP): whom it was for will ask again, or not.
        Err(error) if is_of_a_peer(&error) => BATCH,
        Err(error) => {
            complain(shard, port, &error);
            tokio::time::sleep(PAUSE).await;
            0
        }
    }
}

fn try_read(shard: &Rc<Shard>, port: &Port, again: bool) -> io::Result<usize> {
    let mut arrivals = shard.arrivals.borrow_mut();
    let arrived = if again { arrivals.receive_more(&port.udp)? } else { arrivals.receive(&port.udp)? };
    port.udp.count(|figures| figures.cut += arrivals.cut() as u64);
    shard.received_datagrams(shard.now(), port, &mut arrivals);
    Ok(arrived)
}

fn is_of_a_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

fn complain(shard: &Shard, port: &Port, error: &io::Error) {
    if let Some(suppressed) = shard.notices.borrow_mut().allow(shard.now(), "receive_failed") {
        tracing::warn!(bind = %port.udp.address(), %error, suppressed, "cannot receive datagrams");
    }
}
