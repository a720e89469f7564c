//! `ca`, and `pools.*.identity_token`: what the node vouches for by signing it.

use super::headers::is_free;
use super::urls;
use crate::document::{Located, Reading};
use crate::identity::{Authority, IdentityToken};
use crate::keys::{AuthorityKeys, IdentityTokenKeys};
use crate::snapshot::PoolHeader;
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Certificates have dates up to the year 9999 (RFC 5280 §4.1.2.5); longer than this is surely a slip.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(super) fn authority(keys: AuthorityKeys, reading: &mut Reading<'_>) -> Option<Authority> {
    if let Some(validity) = &keys.validity.0
        && validity.value.0 > LONGEST
    {
        reading.mistake(&validity.at, "no certificate is good for more than 100 years");
    }
    let url = keys.url.0.and_then(|url| base(url, reading));
    Some(Authority {
        certificate: keys.certificate.0?.value,
        key: keys.key.0?.value,
        validity: keys.validity.get().map_or(30 * DAY, |validity| validity.0),
        url,
    })
}

/// The base of URLs: paths come after it.
fn base(url: Located<String>, reading: &mut Reading<'_>) -> Option<Arc<str>> {
    let uri = urls::service(&url.value, &url.at, reading)?;
    if uri.query().is_some() || url.value.contains('#') {
        let help = "write such as `http://ca.example:8080`";
        reading.mistake(&url.at, "paths such as `/ca/crl` come after this URL").help(help);
        return None;
    }
    Some(url.value.trim_end_matches('/').into())
}

pub(super) fn identity_token(
    keys: IdentityTokenKeys,
    headers: &[(String, PoolHeader)],
    reading: &mut Reading<'_>,
) -> Option<IdentityToken> {
    let header: Arc<str> = match keys.header.0 {
        Some(name) => {
            is_free(&name, reading);
            if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name.value)) {
                let help = "take it out of `headers`, or choose another";
                reading.mistake(&name.at, "the pool has another header of this name").help(help);
            }
            name.value.into()
        }
        None => "windrose-identity".into(),
    };
    if let Some(lifetime) = &keys.lifetime.0
        && lifetime.value.0 > DAY
    {
        let help = "write such as `60s`: each event gets a token of its own";
        reading
            .mistake(&lifetime.at, "a token that is good for more than a day can be misused for long")
            .help(help);
    }
    let audience = keys.audience.0?;
    if audience.value.is_empty() {
        reading
            .mistake(&audience.at, "the audience is empty")
            .help("write what the services take for theirs");
    }
    Some(IdentityToken {
        audience: audience.value.into(),
        lifetime: keys.lifetime.get().map_or(Duration::from_secs(60), |lifetime| lifetime.0),
        header,
    })
}
