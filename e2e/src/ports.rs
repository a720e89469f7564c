//! Free ports of the loopback address.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports are taken from below the range that the system gives to outgoing connections (`ip_local_port_range`), so that
/// none of them takes a port between its choice and its use.
const FIRST: u16 = 12_000;
const COUNT: u16 = 16_000;

/// Another loopback address: a listener on it reserves its port among the tests of all processes.
const RESERVATIONS: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);

/// A port that nobody else uses for as long as this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: TcpListener,
}

impl Port {
    /// Takes a free port.
    pub fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Test processes that run side by side begin at different places.
        let start = (std::process::id() % 331) as u16 * 47;
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + start.wrapping_add(step) % COUNT;
            let Ok(reservation) = TcpListener::bind((RESERVATIONS, number)) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _reservation: reservation };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its address on loopback.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
