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
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
