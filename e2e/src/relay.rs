//! Something between a client and the node: it accepts connections and carries them on, each in a thread.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// A relay on loopback. Dropped, it accepts no more after the next connection.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
}

impl Relay {
    /// Starts a relay that does `carry` with each connection.
    pub fn start(carry: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a port");
        let carry = Arc::new(carry);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let carry = Arc::clone(&carry);
                std::thread::spawn(move || carry(stream));
            }
        });
        Self { address }
    }

    /// A proxy: says `header` first, and then what its client says.
    pub fn proxy(target: SocketAddr, header: Vec<u8>) -> Self {
        Self::start(move |client| {
            let Ok(mut server) = TcpStream::connect(target) else { return };
            if server.write_all(&header).is_ok() {
                let (from, to) =
                    (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
                std::thread::spawn(move || copy(from, to));
                let _ = copy(client, server);
            }
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    loop {
        match from.read(&mut chunk) {
            Ok(read @ 1..) => to.write_all(&chunk[..read])?,
            _ => return to.shutdown(Shutdown::Write),
        }
    }
}
