//! Binding a listener: one socket for each shard on the same address.

use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Connections that wait to be accepted by one shard. The system caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// Why a listener cannot listen.
#[derive(Debug)]
pub(crate) struct BindError {
    /// The listener's name in the document.
    pub listener: Arc<str>,
    /// Where it should listen.
    pub bind: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = match self.error.kind() {
            io::ErrorKind::AddrInUse => "; another process listens there: stop it, or choose another port",
            io::ErrorKind::PermissionDenied => "; ports under 1024 need a privilege (CAP_NET_BIND_SERVICE)",
            io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
            _ => "",
        };
        write!(f, "listener {} cannot listen on {}: {}{help}", self.listener, self.bind, self.error)
    }
}

impl std::error::Error for BindError {}

/// A socket for the admin API, which is served beside the shards.
pub async fn bind_admin(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address).await
}

/// One socket for each shard, on the same address. Port 0 takes a free port, the same for all.
pub(crate) fn bind(address: SocketAddr, shards: usize) -> io::Result<Vec<TcpListener>> {
    // A first socket without `SO_REUSEPORT` finds out whether another process has the port: with it, a second Windrose
    // would quietly take half of the connections.
    let probe = socket(address, false)?;
    let address = probe.local_addr()?;
    drop(probe);
    (0..shards).map(|_| socket(address, true)).collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    if !shared {
        return Ok(socket.into());
    }
    socket.set_nonblocking(true)?;
    // Small packets must not wait for one another (MQTT acknowledgements at moderate rates). What is accepted inherits it.
    socket.set_tcp_nodelay(true)?;
    accept_with_words(&socket)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets the system tell us of a connection when its first words are there, which spares a wake-up for each: in every
/// protocol that is spoken here the client speaks first. Of one that says nothing we are told a second later.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "there is no safe way to set this option; the call only reads the four bytes it is given"
)]
fn accept_with_words(socket: &Socket) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    const SECONDS: libc::c_int = 1;
    let value = std::ptr::from_ref(&SECONDS).cast();
    let length = size_of_val(&SECONDS) as libc::socklen_t;
    // SAFETY: the socket is open for as long as it is borrowed, and the pointer is to a static integer of that length.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, value, length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Elsewhere we are told of it at once.
#[cfg(not(target_os = "linux"))]
fn accept_with_words(_: &Socket) -> io::Result<()> {
    Ok(())
}
