//! Reaching a member of a pool: its name, its addresses, TCP, and TLS if it has that.

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use windrose_policy::{Member, Pool};

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// How to reach a member.
pub(crate) struct Dialer {
    host: Arc<str>,
    port: u16,
    /// The host, if it is an address already.
    literal: Option<IpAddr>,
    needs_tls: bool,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    time_limit: Duration,
}

/// A transport to a member.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why a member is not reached.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The document's trouble: told when the pool was taken into use.
    NoTls,
    Resolve(io::Error),
    NoAddress,
    Connect(SocketAddr, io::Error),
    Tls(io::Error),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTls => f.write_str("the pool's ca cannot be used; correct it and reload"),
            Self::Resolve(error) => write!(f, "its name cannot be resolved: {error}"),
            Self::NoAddress => f.write_str("its name has no address"),
            Self::Connect(address, error) => write!(f, "cannot connect to {address}: {error}"),
            Self::Tls(error) => write!(f, "the TLS handshake failed: {error}"),
        }
    }
}

impl Dialer {
    pub(crate) fn new(pool: &Pool, member: &Member, tls: Option<Arc<ClientConfig>>) -> Self {
        let tls = tls.filter(|_| member.tls).and_then(|config| {
            let name = ServerName::try_from(member.host.to_string()).ok()?;
            Some((TlsConnector::from(config), name))
        });
        Self {
            host: Arc::clone(&member.host),
            port: member.port,
            literal: member.host.parse().ok(),
            needs_tls: member.tls,
            tls,
            time_limit: pool.timeout,
        }
    }

    /// Whether TLS can be had, for a member that needs it.
    pub(crate) fn can_secure(&self) -> bool {
        !self.needs_tls || self.tls.is_some()
    }

    /// A new transport.
    pub(crate) async fn dial(&self) -> Result<Stream, DialError> {
        if !self.can_secure() {
            return Err(DialError::NoTls);
        }
        let stream = self.reach().await?;
        // What is written whole must not wait for the acknowledgement of what was before.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => Ok(Stream::Plain(stream)),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(DialError::Tls)?;
                Ok(Stream::Tls(Box::new(stream)))
            }
        }
    }

    async fn reach(&self) -> Result<TcpStream, DialError> {
        if let Some(ip) = self.literal {
            let address = SocketAddr::new(ip, self.port);
            return TcpStream::connect(address).await.map_err(|error| DialError::Connect(address, error));
        }
        let found = lookup_host((&*self.host, self.port)).await.map_err(DialError::Resolve)?;
        let addresses: Vec<_> = found.take(MAX_ADDRESSES).collect();
        // One address that swallows packets must not use up the time of the others.
        let share = self.time_limit / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut failure = DialError::NoAddress;
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = DialError::Connect(address, error),
                Err(_) => failure = DialError::Connect(address, io::ErrorKind::TimedOut.into()),
            }
        }
        Err(failure)
    }
}
