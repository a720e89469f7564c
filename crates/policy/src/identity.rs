//! `identity`, `ca` and what goes with them: who is let in, and by what.

use crate::snapshot::PoolHeader;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// `identity`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentityPolicy {
    /// The file of devices.
    pub devices: Option<PathBuf>,
    /// The file of API keys.
    pub api_keys: Option<PathBuf>,
    /// The database, if there is one: looked at after the files.
    pub registry: Option<RegistryLocation>,
    /// What is remembered of the database.
    pub cache: IdentityCache,
    /// Whether somebody without credentials is let in; denied by default.
    pub allow_anonymous: bool,
    /// `certificates`: authorities all of whose certificates are somebody's.
    pub certificates: Vec<EnrolledAuthority>,
    /// `tokens`: issuers of JSON Web Tokens.
    pub tokens: Vec<TokenIssuer>,
    /// `hook`: a service that keeps identities elsewhere.
    pub hook: Option<IdentityHook>,
    /// Whether a session's name must be its device's.
    pub client_id: ClientIdRule,
    /// What happens when two things seem to share an identity.
    pub duplicates: Duplicates,
    /// What happens to whoever tries wrong credentials time and again.
    pub guard: Guard,
    /// What is known of certificates that were revoked before their end.
    pub revocation: Revocation,
}

/// `identity.registry`.
#[derive(Clone, Debug, PartialEq)]
pub enum RegistryLocation {
    /// `sqlite:FILE`.
    Sqlite(PathBuf),
    /// `postgres://...`. With a password in it: its `Debug` shows nothing.
    Postgres(PoolHeader),
}

/// `identity.cache`.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityCache {
    /// Records that are remembered, at most.
    pub entries: usize,
    /// How long a record is taken as it was read. Changes are heard of besides, and take effect at once.
    pub fresh: Duration,
    /// How long it is remembered that somebody is not known.
    pub negative: Duration,
    /// How long a record is taken as it was read while the database cannot be asked.
    pub stale: Duration,
}

impl Default for IdentityCache {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            fresh: Duration::from_secs(300),
            negative: Duration::from_secs(10),
            stale: Duration::from_secs(24 * 3600),
        }
    }
}

/// One entry of `identity.certificates`.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrolledAuthority {
    /// Its name in logs.
    pub name: Arc<str>,
    /// The authority's certificate. Listeners' `client_ca` has to have it, too, or TLS refuses what it signed.
    pub ca: PathBuf,
    /// Who has a certificate of it: `{common_name}`, `{san}` (the first alternative name), `{serial}` (in hex) and text.
    pub device: String,
    /// Whether it is good for enrolling only, as a manufacturer's is.
    pub enrol_only: bool,
    /// Whether the device has to be in the registry. Otherwise whatever it signed is somebody.
    pub registered: bool,
}

/// One entry of `identity.tokens`: an issuer of JSON Web Tokens (RFC 7519), such as an OpenID provider.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenIssuer {
    /// Its name in logs.
    pub name: Arc<str>,
    /// What `iss` has to be.
    pub issuer: Option<Arc<str>>,
    /// What `aud` has to have one of; empty: anything.
    pub audience: Vec<Arc<str>>,
    /// Its keys (RFC 7517).
    pub keys: KeySource,
    /// Who vouches for the keys' server, if its certificate is not from a public authority.
    pub ca: Option<PathBuf>,
    /// Signature algorithms that are taken, by their names in RFC 7518 and 8037.
    pub algorithms: Vec<Arc<str>>,
    /// The claim that names the device, if its tokens are devices'.
    pub device: Option<Arc<str>>,
    /// The claim that names the owner: of the device, or the caller itself if there is no device in it.
    pub owner: Option<Arc<str>>,
    /// The claim that names the service.
    pub service: Option<Arc<str>>,
    /// The claim that lists groups.
    pub groups: Option<Arc<str>>,
    /// Whether the device, owner or service has to be in the registry; what that says of owner and groups holds.
    pub registered: bool,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq)]
pub enum KeySource {
    /// A file: a JWK Set, or public keys in PEM.
    File(PathBuf),
    /// A URL of a JWK Set, asked anew when it is old or a key is missing from it.
    Url(Arc<str>),
}

/// `identity.hook`.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityHook {
    /// What is asked, by POST.
    pub url: Arc<str>,
    /// Headers sent along. Values can be secrets: never logged.
    pub headers: Vec<(String, PoolHeader)>,
    /// Who vouches for it, if its certificate is not from a public authority.
    pub ca: Option<PathBuf>,
    /// How long it may take.
    pub timeout: Duration,
    /// How long an answer is remembered, if it does not say itself.
    pub cache: Duration,
}

/// `identity.client_id`: what a device may call its sessions (MQTT: the client identifier).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIdRule {
    /// Anything; a session is nevertheless its first owner's, and nobody else can take it over.
    #[default]
    Any,
    /// Its id, or its id and more after one of `-`, `.`, `:`, `_` and `/`.
    Device,
}

/// `identity.duplicates`: two things with one identity send each other away for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct Duplicates {
    /// So many takeovers of one session...
    pub takeovers: u32,
    /// ...in so long are suspicious.
    pub within: Duration,
    /// How long neither is let in then; `None`: the log says so and nothing else happens.
    pub quarantine: Option<Duration>,
}

impl Default for Duplicates {
    fn default() -> Self {
        Self { takeovers: 10, within: Duration::from_secs(60), quarantine: None }
    }
}

/// `identity.guard`: brute force and stuffing.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// So many wrong attempts from one address, or for one name...
    pub failures: u32,
    /// ...in so long...
    pub within: Duration,
    /// ...and nothing from there, or for that name, is looked at for so long.
    pub block: Duration,
}

impl Default for Guard {
    fn default() -> Self {
        Self { failures: 20, within: Duration::from_secs(60), block: Duration::from_secs(60) }
    }
}

/// `identity.revocation`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revocation {
    /// Files of revocation lists (RFC 5280 §5), PEM or DER, of authorities in `client_ca`.
    pub crl: Vec<PathBuf>,
    /// Whether foreign authorities' responders are asked (RFC 6960).
    pub ocsp: OcspCheck,
}

/// `identity.revocation.ocsp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OcspCheck {
    /// Never.
    #[default]
    Off,
    /// Where a certificate names a responder; if that does not answer, the certificate counts.
    Soft,
    /// The same; if it does not answer, the certificate does not count.
    Hard,
}

/// `ca`: the authority that things enrol with.
#[derive(Clone, Debug, PartialEq)]
pub struct Authority {
    /// The certificate that signs, and those above it, in PEM: the signing one first.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// How long what it signs is good.
    pub validity: Duration,
    /// Where its revocation list and its responder can be asked from outside, written into certificates: the base of a URL
    /// such as `http://ca.example:8080`.
    pub url: Option<Arc<str>>,
}

/// `pools.*.identity_token`: a short-lived token that tells services who published an event.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityToken {
    /// Its `aud`.
    pub audience: Arc<str>,
    /// How long it is good.
    pub lifetime: Duration,
    /// The header that carries it.
    pub header: Arc<str>,
}
