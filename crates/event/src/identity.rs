//! Identity: which thing is this, and whose is it?

use crate::{Conversation, Proof, Reachable, Suspicion, Text, Timestamp};
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// Who somebody is, as the registry answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub principal: Principal,
    /// The groups it belongs to, shared.
    pub groups: Arc<[Arc<str>]>,
    /// The devices that it owns, if it owns any, in ascending order: access rules look one up.
    pub owned: Arc<[Arc<str>]>,
    /// What proved it. `None`: nothing that ends, as with those who did not say, or what was read back from a journal.
    pub proof: Option<Arc<Proof>>,
}

impl Identity {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        // Empty slices by default share one allocation of the program's: an anonymous connection costs none.
        Self { principal: Principal::Anonymous, groups: Arc::default(), owned: Arc::default(), proof: None }
    }

    /// The device's identifier, if it is a device.
    pub fn device(&self) -> Option<&Arc<str>> {
        match &self.principal {
            Principal::Device { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Whether what proved it is good for enrolling and nothing else.
    pub fn enrols_only(&self) -> bool {
        self.proof.as_ref().is_some_and(|proof| proof.enrols_only)
    }

    /// Whose it is: the device's owner, or the owner itself.
    pub fn owner(&self) -> Option<&Arc<str>> {
        match &self.principal {
            Principal::Device { owner, .. } => owner.as_ref(),
            Principal::Owner { id } => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for Identity {
    /// As access rules write it: `device:ID`, `owner:ID`, `service:NAME`, `anonymous`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.principal {
            Principal::Anonymous => f.write_str("anonymous"),
            Principal::Device { id, .. } => write!(f, "device:{id}"),
            Principal::Owner { id } => write!(f, "owner:{id}"),
            Principal::Service { name } => write!(f, "service:{name}"),
        }
    }
}

/// The kinds of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Did not say, and was let in all the same.
    Anonymous,
    /// A thing.
    Device {
        /// Its identifier in the registry.
        id: Arc<str>,
        /// Whose it is.
        owner: Option<Arc<str>>,
    },
    /// A person or an organisation that owns devices.
    Owner {
        /// Its identifier in the registry.
        id: Arc<str>,
    },
    /// A back-end service.
    Service {
        /// Its name in the registry.
        name: Arc<str>,
    },
}

/// What an access rule can allow (`may` in the document).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Publish events.
    Publish,
    /// Be told of events.
    Subscribe,
    /// Read a last value.
    Read,
    /// Ask a thing and get its answer.
    Request,
    /// Get a certificate (RFC 7030).
    Enrol,
    /// Use the admin API.
    Administer,
}

impl Permission {
    /// The permission's name in the document and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Read => "read",
            Self::Request => "request",
            Self::Enrol => "enrol",
            Self::Administer => "administer",
        }
    }
}

/// What somebody says of itself, with what should prove it.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// The name its session goes by (MQTT: the client identifier); proves nothing by itself.
    pub session: Option<Arc<str>>,
    /// User name.
    pub username: Option<Text>,
    /// Password for the user name.
    pub password: Option<Secret>,
    /// An API key (HTTP: `Authorization: Bearer`, `X-API-Key`).
    pub api_key: Option<Secret>,
    /// The method of a conversation by which it wants to prove itself (MQTT 5 §3.1.2.11.9, Authentication Method).
    pub method: Option<Text>,
    /// What it says first in that conversation.
    pub response: Option<Secret>,
    /// A certificate that the transport verified against its authorities.
    pub certificate: Option<Arc<CertificateClaim>>,
    /// The identity of a pre-shared key that the transport's handshake proved it has (RFC 4279 §2).
    pub psk_identity: Option<Text>,
    /// The listener it came in by, as the document names it.
    pub listener: Arc<str>,
    /// Where it comes from, for the log.
    pub peer: Option<SocketAddr>,
}

impl Claim {
    /// Whether it brings nothing that could prove an identity.
    pub fn is_anonymous(&self) -> bool {
        self.username.is_none()
            && self.password.is_none()
            && self.api_key.is_none()
            && self.method.is_none()
            && self.certificate.is_none()
            && self.psk_identity.is_none()
    }
}

/// What a verified certificate says. A proxy that verified it may tell less of it than we would read ourselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateClaim {
    /// The subject as RFC 4514 text, such as `CN=car-7,O=Cars`.
    pub subject: String,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// Subject alternative names: DNS names, URIs and e-mail addresses, as written.
    pub alternative_names: Vec<String>,
    /// SHA-256 of the certificate's DER, if we have that.
    pub fingerprint: Option<[u8; 32]>,
    /// The issuer's name in DER and the serial number, if we have them: what lists of revocation (RFC 5280 §5) name.
    pub issued: Option<(Bytes, Bytes)>,
    /// SHA-256 of the DER of the certificates that verified it, the one that signed it first, if we have them.
    pub issuers: Vec<[u8; 32]>,
    /// The same certificates, in DER. Shared by all that they verified, where they are ours.
    pub chain: Vec<Bytes>,
    /// Where to ask whether it was revoked (RFC 6960 §3.1), if it says so: a URL of `http`.
    pub responder: Option<String>,
    /// From when it is good, if we know that.
    pub not_before: Option<Timestamp>,
    /// Until when it is good, if we know that: a resumed session is held to it, too.
    pub not_after: Option<Timestamp>,
}

/// Bytes that must not be shown: they have no `Display`, and their `Debug` says nothing.
#[derive(Clone)]
pub struct Secret(Bytes);

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for verifying them: compare in constant time, never log.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The registry's answer to a claim.
pub type Verdict = Result<Identity, Refusal>;

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class of reason, which decides the protocol's code.
    pub cause: RefusalCause,
    /// For the operator's log: what happened and what to do. Never sent to the peer, never a secret.
    pub detail: String,
}

/// The classes of reasons for not letting somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCause {
    /// The credentials are wrong, or nobody is known by them. One class, so that a guesser learns nothing.
    BadCredentials,
    /// It brought no credentials and anonymous is denied.
    AnonymousDenied,
    /// It is known, and not allowed.
    NotAllowed,
    /// The session's name is not acceptable.
    BadSession,
    /// Too many connections.
    Quota,
    /// The node is shutting down.
    ShuttingDown,
    /// The method by which it wants to prove itself is not known.
    UnknownMethod,
    /// The registry could not be asked.
    Unavailable,
    /// It is known, and was revoked.
    Revoked,
    /// Too many wrong attempts from there, or for that name: it is not looked at for a while.
    Throttled,
    /// Two things seem to have one identity: neither is let in for a while.
    Quarantined,
}

impl RefusalCause {
    /// The cause's name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadCredentials => "bad_credentials",
            Self::AnonymousDenied => "anonymous_denied",
            Self::NotAllowed => "not_allowed",
            Self::BadSession => "bad_session",
            Self::Quota => "quota",
            Self::ShuttingDown => "shutting_down",
            Self::UnknownMethod => "unknown_method",
            Self::Unavailable => "unavailable",
            Self::Revoked => "revoked",
            Self::Throttled => "throttled",
            Self::Quarantined => "quarantined",
        }
    }
}

/// An answer that may take a while.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Answers who somebody is. Asked once per connection (once per exchange for HTTP).
pub trait Registry: Send + Sync {
    /// The verdict, if it takes neither a wait nor much of a core; `None` sends the claim to [`Registry::identify`].
    fn identify_at_once(&self, claim: &Claim) -> Option<Verdict>;

    /// The verdict, however long it takes. It is polled on a shard's thread: what takes much of a core is done elsewhere.
    fn identify(&self, claim: Box<Claim>) -> Pending<Verdict>;

    /// Begins a conversation by the claim's method; `None`: the method is not known. Must not wait.
    fn converse(&self, claim: &Claim) -> Option<Box<dyn Conversation>> {
        let _ = claim;
        None
    }

    /// The methods of conversations that somebody may have keys for, by their names; none of them may be offered otherwise.
    fn methods(&self) -> &'static [&'static str] {
        &[]
    }

    /// The pre-shared key that goes with an identity (RFC 4279 §2), if that takes no wait; `None` sends the question to
    /// [`Registry::psk`].
    fn psk_at_once(&self, identity: &[u8]) -> Option<Option<Secret>> {
        let _ = identity;
        Some(None)
    }

    /// The pre-shared key that goes with an identity; `None`: nobody has that identity. Soon after, the same question is
    /// answered at once.
    fn psk(&self, identity: &[u8]) -> Pending<Option<Secret>> {
        let _ = identity;
        Box::pin(std::future::ready(None))
    }

    /// Two things seem to share an identity; the engine has told nobody yet. Must not wait.
    fn suspect(&self, suspicion: Suspicion) {
        let _ = suspicion;
    }

    /// The devices that are servers themselves, as their records say. Must not wait.
    fn reachable(&self) -> Vec<Arc<Reachable>> {
        Vec::new()
    }
}
