//! The least that a broker can be, to see how far the servers are from what the machine can do.
//!
//! One thread; one read into a buffer that all share, the batch in it parsed, copied to whoever subscribed, and one write
//! for each of those. No access rules, no limits, no sessions, no metrics; QoS 0 of MQTT 3.1.1 only, and clients that
//! never do anything wrong.

mod datagrams;

use crate::Result;
use crate::load::packet;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::LocalSet;

/// What a read takes at most.
const SCRATCH: usize = 1 << 16;

/// Runs as a server until it is killed.
pub(crate) fn main(address: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        tokio::task::spawn_local(datagrams::answer(UdpSocket::bind(address).await?));
        let broker = Rc::new(RefCell::new(Broker::default()));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            let index = broker.borrow_mut().add(writer);
            tokio::task::spawn_local(serve(Rc::clone(&broker), reader, index));
        }
    })
}

/// Serves one connection until it fails.
async fn serve(broker: Rc<RefCell<Broker>>, mut reader: OwnedReadHalf, index: usize) {
    let turn = poll_fn(|context| {
        let mut broker = broker.borrow_mut();
        // Borrowed for the read alone, so that all connections share it.
        let mut scratch = std::mem::take(&mut broker.scratch);
        let client = broker.clients.get(index);
        let left = client.map_or(0, |client| client.partial.len());
        if let Some((kept, client)) = scratch.get_mut(..left).zip(client) {
            kept.copy_from_slice(&client.partial);
        }
        let mut buffer = ReadBuf::new(scratch.get_mut(left..).unwrap_or_default());
        let done = Pin::new(&mut reader).poll_read(context, &mut buffer);
        let read = buffer.filled().len();
        if read > 0 {
            broker.hand_on(index, scratch.get(..left + read).unwrap_or_default());
        }
        broker.scratch = scratch;
        match done {
            Poll::Ready(Ok(())) if read > 0 => Poll::Ready(true),
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    });
    let mut turn = turn;
    while Pin::new(&mut turn).await {
        write(&broker);
    }
}

/// Writes to everybody who got something.
fn write(broker: &Rc<RefCell<Broker>>) {
    let mut own = broker.borrow_mut();
    while let Some(index) = own.touched.pop() {
        let Some(client) = own.clients.get_mut(index) else { continue };
        match client.writer.try_write(&client.output) {
            Ok(written) => drop(client.output.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => client.output.clear(),
        }
        if client.output.is_empty() {
            continue;
        }
        let (broker, writer) = (Rc::clone(broker), Rc::clone(&client.writer));
        tokio::task::spawn_local(async move {
            let _ = writer.writable().await;
            broker.borrow_mut().touched.push(index);
            write(&broker);
        });
    }
}

struct Broker {
    scratch: Vec<u8>,
    clients: Vec<Client>,
    /// Filters of the form `first/+`, by what stands before the `+`.
    subscriptions: Vec<(Vec<u8>, usize)>,
    /// Who gets a topic, known from the first message on.
    routes: HashMap<Vec<u8>, Vec<usize>>,
    /// Whoever has something to be written.
    touched: Vec<usize>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            scratch: vec![0; SCRATCH],
            clients: Vec::new(),
            subscriptions: Vec::new(),
            routes: HashMap::new(),
            touched: Vec::new(),
        }
    }
}

struct Client {
    writer: Rc<OwnedWriteHalf>,
    /// The beginning of a packet whose end has not arrived.
    partial: Vec<u8>,
    output: Vec<u8>,
}

impl Broker {
    fn add(&mut self, writer: OwnedWriteHalf) -> usize {
        self.clients.push(Client { writer: Rc::new(writer), partial: Vec::new(), output: Vec::new() });
        self.clients.len() - 1
    }

    /// Takes whole packets and keeps what is left.
    fn hand_on(&mut self, index: usize, mut bytes: &[u8]) {
        while let Some((packet, next)) = packet::first(bytes) {
            self.take(index, packet);
            bytes = next;
        }
        if let Some(client) = self.clients.get_mut(index) {
            client.partial.clear();
            client.partial.extend_from_slice(bytes);
        }
    }

    /// Does what a packet asks for.
    fn take(&mut self, index: usize, packet: &[u8]) {
        match packet {
            [0x30, ..] => self.publish(packet),
            [0x10, ..] => self.append(index, &[0x20, 2, 0, 0]),
            // Remaining length of one byte, packet identifier, one filter that ends in `+`, its QoS.
            [0x82, _, high, low, _, _, filter @ .., b'+', _] => {
                self.subscriptions.push((filter.to_vec(), index));
                self.routes.clear();
                self.append(index, &[0x90, 3, *high, *low, 0]);
            }
            _ => {}
        }
    }

    fn publish(&mut self, packet: &[u8]) {
        let Some(topic) = packet::topic(packet) else { return };
        let receivers = match self.routes.get_mut(topic) {
            Some(receivers) => std::mem::take(receivers),
            None => {
                let matching = self.subscriptions.iter().filter(|(before, _)| topic.starts_with(before));
                let matching = matching.map(|(_, index)| *index).collect();
                self.routes.insert(topic.to_vec(), Vec::new());
                matching
            }
        };
        receivers.iter().for_each(|index| self.append(*index, packet));
        if let Some(place) = self.routes.get_mut(topic) {
            *place = receivers;
        }
    }

    fn append(&mut self, index: usize, packet: &[u8]) {
        let Some(client) = self.clients.get_mut(index) else { return };
        if client.output.is_empty() {
            self.touched.push(index);
        }
        client.output.extend_from_slice(packet);
    }
}
