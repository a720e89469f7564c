//! The keys of `identity`, of `ca`, and of tokens that say to services who somebody is.

use super::{Anonymous, Count, List, Named, Plaintext};
use crate::document::{Concealed, MaybeFile, Name, OneOrMore, Optional, Required, Wait, Whole};
use crate::identity::{ClientIdRule, OcspCheck};
use crate::record;
use std::path::PathBuf;

record! {
    /// Who is let in.
    pub(crate) struct IdentityKeys {
        /// The file of devices and their credentials, from the document's folder if relative. An empty name is no file.
        devices: Optional<MaybeFile>,
        /// The file of API keys of services and owners, from the document's folder if relative. An empty name is no file.
        api_keys: Optional<MaybeFile>,
        /// The database of devices, owners and services, looked at after the files: `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`. An empty text is none.
        registry: Optional<String>,
        /// What is remembered of the database.
        cache: Optional<CacheKeys>,
        /// Whether somebody without credentials is let in: `allow` or `deny` (the default).
        anonymous: Optional<Anonymous>,
        /// Authorities all of whose certificates are somebody's, such as a manufacturer's.
        certificates: Optional<List<EnrolledKeys>>,
        /// Issuers of JSON Web Tokens (RFC 7519), such as an OpenID provider.
        tokens: Optional<List<TokenKeys>>,
        /// A service that keeps identities elsewhere, asked about whoever is not known here.
        hook: Optional<HookKeys>,
        /// What a device may call its sessions (MQTT: the client identifier): `any` (the default), or `device`: its id, alone or with more after one of `-`, `.`, `:`, `_` and `/`.
        client_id: Optional<ClientIdRule>,
        /// What happens when two things seem to share an identity.
        duplicates: Optional<DuplicatesKeys>,
        /// What happens to whoever tries wrong credentials time and again.
        guard: Optional<GuardKeys>,
        /// What is known of certificates that were revoked before their end.
        revocation: Optional<RevocationKeys>,
    }
}

record! {
    /// What is remembered of the database.
    pub(crate) struct CacheKeys {
        /// Records that are remembered, at most. Default: 1000000.
        entries: Optional<Count>,
        /// How long a record is taken as it was read. Changes are heard of besides, within half a second. Default: `5m`.
        fresh: Optional<Wait<0>>,
        /// How long it is remembered that somebody is not known. Default: `10s`.
        negative: Optional<Wait<0>>,
        /// How long a record is taken as it was read while the database cannot be asked. Default: `24h`.
        stale: Optional<Wait<0>>,
    }
}

record! {
    /// An authority all of whose certificates are somebody's.
    pub(crate) struct EnrolledKeys {
        /// Its name in logs.
        name: Required<Name>,
        /// The authority's certificate, as a PEM file. It has to be in the `client_ca` of listeners, too.
        ca: Required<PathBuf>,
        /// The id of the device that has a certificate of it: text with `{common_name}`, `{san}` (the first alternative name) or `{serial}` (in hex).
        device: Required<String>,
        /// Whether such a certificate is good for enrolling only, as a manufacturer's is. Default: `false`.
        enrol_only: Optional<bool>,
        /// Whether the device has to be in the registry (`true`, the default), or whatever the authority signed is let in.
        registered: Optional<bool>,
    }
}

record! {
    /// An issuer of JSON Web Tokens.
    pub(crate) struct TokenKeys {
        /// Its name in logs.
        name: Required<Name>,
        /// What the tokens' `iss` has to be.
        issuer: Required<String>,
        /// What the tokens' `aud` has to have one of.
        audience: Required<OneOrMore<String>>,
        /// The issuer's keys: the URL of a JWK Set (RFC 7517), or a file that is one or has public keys in PEM.
        keys: Required<String>,
        /// The algorithms of signatures that are taken. Default: `[RS256, ES256, EdDSA]`.
        algorithms: Optional<OneOrMore<String>>,
        /// The claim that has the device's id.
        device: Optional<String>,
        /// The claim that has the owner's id: the device's, or the caller's own if the token is about no device.
        owner: Optional<String>,
        /// The claim that has the service's name.
        service: Optional<String>,
        /// The claim that lists the groups.
        groups: Optional<String>,
        /// Whether the device, owner or service has to be in the registry (`true`, the default); its owner and groups are what that says, then.
        registered: Optional<bool>,
        /// How far the issuer's clock may be off. Default: `30s`.
        leeway: Optional<Wait<0>>,
        /// The authorities of the certificate of the keys' server, as a PEM file. Default: the public ones.
        ca: Optional<PathBuf>,
        /// `allow` lets the keys come by `http://` from elsewhere than loopback.
        plaintext: Optional<Plaintext>,
    }
}

record! {
    /// A service that keeps identities elsewhere.
    pub(crate) struct HookKeys {
        /// Its URL: it is asked by POST.
        url: Required<String>,
        /// Headers sent with each question, such as `Authorization: "Bearer ${TOKEN}"`.
        headers: Optional<Named<Concealed>>,
        /// How long it may take to answer. Default: `2s`.
        timeout: Optional<Wait<1>>,
        /// How long an answer is remembered that does not say so itself. Default: `1m`.
        cache: Optional<Wait<0>>,
        /// The authorities of its certificate, as a PEM file. Default: the public ones.
        ca: Optional<PathBuf>,
        /// `allow` lets it be asked by `http://` elsewhere than on loopback.
        plaintext: Optional<Plaintext>,
    }
}

record! {
    /// Two things with one identity send each other away time and again.
    pub(crate) struct DuplicatesKeys {
        /// So many takeovers of one session within `within` are suspicious. Default: 10.
        takeovers: Optional<Whole<2, { u32::MAX as u64 }>>,
        /// Default: `1m`.
        within: Optional<Wait<1>>,
        /// How long neither is let in then; `0s` (the default): the log says so, and nothing else happens.
        quarantine: Optional<Wait<0>>,
    }
}

record! {
    /// What happens to whoever tries wrong credentials time and again.
    pub(crate) struct GuardKeys {
        /// So many wrong attempts from one address, or for one name, within `within` are too many. Default: 20.
        failures: Optional<Count>,
        /// Default: `1m`.
        within: Optional<Wait<1>>,
        /// How long nothing from there, or for that name, is looked at then. Default: `1m`.
        block: Optional<Wait<1>>,
    }
}

record! {
    /// What is known of certificates that were revoked before their end.
    pub(crate) struct RevocationKeys {
        /// Files of revocation lists (RFC 5280 §5), PEM or DER, of authorities in `client_ca`.
        crl: Optional<OneOrMore<PathBuf>>,
        /// Whether the authorities' responders (OCSP) are asked: `off` (the default), `soft` (who does not answer is passed over) or `hard` (then the certificate does not count).
        ocsp: Optional<OcspCheck>,
    }
}

record! {
    /// The authority that things get their certificates from (EST, RFC 7030 and RFC 9148).
    pub(crate) struct AuthorityKeys {
        /// The certificate that signs and those above it, the signing one first, as a PEM file. `windrose ca init` makes one.
        certificate: Required<PathBuf>,
        /// Its key, as a PEM file.
        key: Required<PathBuf>,
        /// How long what it signs is good. Default: `30d`.
        validity: Optional<Wait<60_000>>,
        /// Where its revocation list and its responder are asked from outside, such as `http://ca.example:8080`; written into certificates.
        url: Optional<String>,
    }
}

record! {
    /// A short-lived token that tells services who published an event (RFC 7519).
    pub(crate) struct IdentityTokenKeys {
        /// Its `aud`.
        audience: Required<String>,
        /// How long it is good. Default: `60s`.
        lifetime: Optional<Wait<1000>>,
        /// The header that carries it. Default: `windrose-identity`.
        header: Optional<String>,
    }
}
