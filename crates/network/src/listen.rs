//! Binding a listener: one socket for each shard on the same address.

use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
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

/// A socket that listens.
pub(crate) enum Listening {
    /// To connections.
    Tcp(TcpListener),
    /// To datagrams.
    Udp(UdpSocket),
}

impl Listening {
    /// One for each shard, on the same address.
    pub(crate) fn bind(address: SocketAddr, is_udp: bool, shards: usize) -> io::Result<Vec<Self>> {
        if is_udp {
            return Ok(bind_udp(address, shards)?.into_iter().map(Self::Udp).collect());
        }
        Ok(bind(address, shards)?.into_iter().map(Self::Tcp).collect())
    }

    /// Its address in fact.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        }
    }
}

/// One socket for each shard, on the same address. Port 0 takes a free port, the same for all.
fn bind(address: SocketAddr, shards: usize) -> io::Result<Vec<TcpListener>> {
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

/// Bytes of datagrams that wait to be read by one shard: a burst of some ten thousand small ones. The system caps it
/// (`net.core.rmem_max`), and counts more than the payload alone.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Bytes of datagrams that wait to be sent. The system caps it (`net.core.wmem_max`).
const SEND_BUFFER: usize = 4 << 20;

/// One socket of datagrams for each shard, on the same address. Port 0 takes a free port, the same for all. The system
/// gives all that comes from one address and port to the same shard, as long as the sockets stay the same.
pub(crate) fn bind_udp(address: SocketAddr, shards: usize) -> io::Result<Vec<UdpSocket>> {
    let probe = udp_socket(address, false)?;
    let address = probe.local_addr()?;
    drop(probe);
    (0..shards).map(|_| udp_socket(address, true)).collect()
}

fn udp_socket(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
        // As far as it goes: less than was asked for is no mistake.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        tell_of_datagrams(&socket, address)?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Lets the system tell us with each datagram which of our addresses it was sent to, if there can be several (RFC 7252
/// §5.3.2: answers come from there), and how many it had to drop. What we send is not fragmented (RFC 7252 §4.6), which
/// spares the system the choice of an identifier for it.
#[cfg(target_os = "linux")]
fn tell_of_datagrams(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    let is_any = address.ip().is_unspecified();
    if address.is_ipv6() {
        if is_any {
            set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
        return set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO);
    }
    if is_any {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    }
    set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)
}

/// Elsewhere it tells nothing.
#[cfg(not(target_os = "linux"))]
fn tell_of_datagrams(_: &Socket, _: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// Lets the system fragment what is larger than a path takes, as it does unless it is told otherwise.
#[cfg(target_os = "linux")]
pub(crate) fn allow_fragments(socket: &tokio::net::UdpSocket) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    match socket.domain()? {
        Domain::IPV6 => {
            set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT)
        }
        _ => set_option(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT),
    }
}

/// Lets the system tell us of a connection when its first words are there, which spares a wake-up for each: in every
/// protocol that is spoken here the client speaks first. Of one that says nothing we are told a second later.
#[cfg(target_os = "linux")]
fn accept_with_words(socket: &Socket) -> io::Result<()> {
    const SECONDS: libc::c_int = 1;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, SECONDS)
}

/// Elsewhere we are told of it at once.
#[cfg(not(target_os = "linux"))]
fn accept_with_words(_: &Socket) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "there is no safe way to set these options; the call only reads the four bytes it is given"
)]
fn set_option(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let length = size_of_val(&value) as libc::socklen_t;
    let value = std::ptr::from_ref(&value).cast();
    // SAFETY: the socket is open for as long as it is borrowed, and the pointer is to an integer of that length that lives
    // until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
