//! `identity`: who is let in, and by what.

use super::headers::header;
use super::{Names, entries, urls};
use crate::document::{Located, OneOrMore, Optional, Reading, suggestion};
use crate::identity::{
    Duplicates, EnrolledAuthority, Guard, IdentityCache, IdentityHook, IdentityPolicy, KeySource, OcspCheck,
    RegistryLocation, Revocation, TokenIssuer,
};
use crate::keys::{
    Anonymous, CacheKeys, DuplicatesKeys, EnrolledKeys, GuardKeys, HookKeys, IdentityKeys, RevocationKeys,
    TokenKeys,
};
use crate::snapshot::PoolHeader;
use std::sync::Arc;
use std::time::Duration;

/// Algorithms by which the holder of a private key signs. Those of shared secrets are not among them: whoever could verify
/// a token could make one.
const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// Algorithms that are taken if the document does not say.
const USUAL: [&str; 3] = ["RS256", "ES256", "EdDSA"];

const NO_CERTIFICATE: &str = "nothing is asked by `https://`: there is no certificate to verify";

/// What a certificate's device may be named by.
const PARTS: [&str; 3] = ["{common_name}", "{san}", "{serial}"];

pub(super) fn identity(keys: Option<IdentityKeys>, reading: &mut Reading<'_>) -> IdentityPolicy {
    let Some(keys) = keys else { return IdentityPolicy::default() };
    let default = IdentityPolicy::default();
    if let Some(at) = keys.cache.at()
        && keys.registry.0.as_ref().is_none_or(|registry| registry.value.is_empty())
    {
        let help = "add `registry: \"sqlite:registry.db\"`, or take `cache` out";
        reading.mistake(at, "there is no database whose answers could be remembered").help(help);
    }
    let mut names = Names(Vec::new());
    let certificates = entries(keys.certificates)
        .into_iter()
        .filter_map(|entry| enrolled(entry.value, &mut names, reading))
        .collect();
    let mut names = Names(Vec::new());
    let tokens =
        entries(keys.tokens).into_iter().filter_map(|entry| issuer(entry, &mut names, reading)).collect();
    IdentityPolicy {
        devices: keys.devices.get().and_then(|file| file.0),
        api_keys: keys.api_keys.get().and_then(|file| file.0),
        registry: keys.registry.0.and_then(|registry| location(&registry, reading)),
        cache: keys.cache.get().map_or(default.cache, cache),
        allow_anonymous: keys.anonymous.or(Anonymous::Deny) == Anonymous::Allow,
        certificates,
        tokens,
        hook: keys.hook.get().and_then(|keys| hook(keys, reading)),
        client_id: keys.client_id.or(default.client_id),
        duplicates: keys.duplicates.get().map_or(default.duplicates, duplicates),
        guard: keys.guard.get().map_or(default.guard, guard),
        revocation: keys.revocation.get().map_or(default.revocation, revocation),
    }
}

fn location(registry: &Located<String>, reading: &mut Reading<'_>) -> Option<RegistryLocation> {
    const EXAMPLES: &str =
        "write such as `sqlite:registry.db` or `postgres://windrose:${PASSWORD}@db.example/windrose`";
    let Located { value, at } = registry;
    if value.is_empty() {
        return None;
    }
    if value.contains("://") {
        reading.conceal(at);
    }
    let (kind, rest) = value.split_once(':').unwrap_or((value.as_str(), ""));
    let message = match kind {
        "sqlite" => match rest.strip_prefix("//").unwrap_or(rest) {
            "" | ":memory:" => "the database needs a file".to_owned(),
            file if file.contains(['?', '\0']) => "the file of the database cannot have this name".to_owned(),
            file => return Some(RegistryLocation::Sqlite(file.into())),
        },
        "postgres" | "postgresql" => {
            let host =
                rest.strip_prefix("//").map(|rest| rest.rsplit_once('@').map_or(rest, |(_, host)| host));
            match host.map(|host| host.split_once(['/', '?']).unwrap_or((host, ""))) {
                None => "this is not the URL of a database: it has no `//`".to_owned(),
                Some((_, "")) => "the URL names no database".to_owned(),
                Some(_) => return Some(RegistryLocation::Postgres(PoolHeader(value.clone()))),
            }
        }
        _ => match suggestion(kind, ["sqlite", "postgres"]) {
            Some(near) => {
                reading
                    .mistake(at, "this is not a database that is known here")
                    .help(format!("did you mean `{near}:`?"));
                return None;
            }
            None => "this is not a database that is known here".to_owned(),
        },
    };
    reading.mistake(at, message).help(EXAMPLES);
    None
}

fn cache(keys: CacheKeys) -> IdentityCache {
    let default = IdentityCache::default();
    IdentityCache {
        entries: keys
            .entries
            .get()
            .and_then(|entries| usize::try_from(entries.0).ok())
            .unwrap_or(default.entries),
        fresh: keys.fresh.get().map_or(default.fresh, |wait| wait.0),
        negative: keys.negative.get().map_or(default.negative, |wait| wait.0),
        stale: keys.stale.get().map_or(default.stale, |wait| wait.0),
    }
}

fn enrolled(keys: EnrolledKeys, names: &mut Names, reading: &mut Reading<'_>) -> Option<EnrolledAuthority> {
    if let Some(name) = &keys.name.0 {
        names.take("entry of `certificates`", name, reading);
    }
    if let Some(device) = &keys.device.0 {
        device_pattern(device, reading);
    }
    Some(EnrolledAuthority {
        name: keys.name.0?.value.0.into(),
        ca: keys.ca.0?.value,
        device: keys.device.0?.value,
        enrol_only: keys.enrol_only.or(false),
        registered: keys.registered.or(true),
    })
}

/// A pattern that names a device: one without a placeholder would make all certificates one device.
fn device_pattern(device: &Located<String>, reading: &mut Reading<'_>) {
    const HELP: &str = "the placeholders are `{common_name}`, `{san}` and `{serial}`";
    let (mut rest, mut any) = (device.value.as_str(), false);
    while let Some(found) = rest.find(['{', '}']) {
        let from = device.value.len() - rest.len() + found;
        rest = rest.get(found..).unwrap_or_default();
        match PARTS.iter().find_map(|part| rest.strip_prefix(part)) {
            Some(after) => (rest, any) = (after, true),
            None => {
                let end = rest.find('}').map_or(rest.len(), |at| at + 1);
                let written = rest.get(..end).unwrap_or(rest);
                let at = reading.within(&device.at, &device.value, from..from + end);
                reading.mistake(&at, format!("`{written}` is not a placeholder")).help(HELP);
                return;
            }
        }
    }
    if !any {
        reading.mistake(&device.at, "all certificates of the authority would be the same device").help(HELP);
    }
}

fn issuer(entry: Located<TokenKeys>, names: &mut Names, reading: &mut Reading<'_>) -> Option<TokenIssuer> {
    let Located { value: keys, at } = entry;
    if let Some(name) = &keys.name.0 {
        names.take("issuer of tokens", name, reading);
    }
    let claims = [&keys.device, &keys.owner, &keys.service, &keys.groups];
    for claim in claims.iter().filter_map(|claim| claim.0.as_ref()).filter(|claim| claim.value.is_empty()) {
        reading.mistake(&claim.at, "the name of the claim is empty");
    }
    if claims.iter().take(3).all(|claim| claim.0.is_none()) && !reading.has_mistake_in(&at) {
        let help = "add `device: CLAIM`, `owner: CLAIM` or `service: CLAIM`, such as `device: sub`";
        reading.mistake(&at, "nothing says whose the tokens are").help(help);
    }
    if let Some(leeway) = &keys.leeway.0
        && leeway.value.0 > Duration::from_secs(3600)
    {
        let help = "write such as `30s`: a token counts for that much longer than its issuer says";
        reading.mistake(&leeway.at, "no clock is off by more than an hour").help(help);
    }
    let has_url = keys.keys.0.as_ref().is_none_or(|keys| keys.value.starts_with("https:"));
    if let Some(at) = keys.ca.at().filter(|_| !has_url) {
        reading.mistake(at, NO_CERTIFICATE);
    }
    let keys_from =
        keys.keys.0.and_then(|keys_from| key_source(&keys_from, keys.plaintext.0.as_ref(), reading));
    let text = |claim: Optional<String>| claim.get().map(Arc::<str>::from);
    Some(TokenIssuer {
        algorithms: algorithms(keys.algorithms, reading),
        name: keys.name.0?.value.0.into(),
        issuer: Some(filled(keys.issuer.0?, reading)),
        audience: keys.audience.0?.value.0.into_iter().map(|audience| filled(audience, reading)).collect(),
        keys: keys_from?,
        ca: keys.ca.get(),
        device: text(keys.device),
        owner: text(keys.owner),
        service: text(keys.service),
        groups: text(keys.groups),
        registered: keys.registered.or(true),
        leeway: keys.leeway.get().map_or(Duration::from_secs(30), |leeway| leeway.0),
    })
}

/// A text that must not be empty.
fn filled(text: Located<String>, reading: &mut Reading<'_>) -> Arc<str> {
    if text.value.is_empty() {
        reading.mistake(&text.at, "the text is empty");
    }
    text.value.into()
}

fn key_source(
    keys: &Located<String>,
    plaintext: Option<&Located<crate::keys::Plaintext>>,
    reading: &mut Reading<'_>,
) -> Option<KeySource> {
    if keys.value.contains("://") {
        urls::asked(keys, plaintext, "somebody on the way could give other keys", reading)?;
        return Some(KeySource::Url(keys.value.as_str().into()));
    }
    if keys.value.is_empty() || keys.value.contains('\0') {
        reading.mistake(&keys.at, "expected a URL or a file, found nothing");
        return None;
    }
    if let Some(plaintext) = plaintext {
        reading.mistake(&plaintext.at, "nothing is asked in plain text").help("take `plaintext` out");
    }
    Some(KeySource::File(keys.value.as_str().into()))
}

fn algorithms(list: Optional<OneOrMore<String>>, reading: &mut Reading<'_>) -> Vec<Arc<str>> {
    let Some(list) = list.get() else { return USUAL.map(Arc::from).into() };
    let mut taken: Vec<Arc<str>> = Vec::new();
    for Located { value, at } in list.0 {
        if ALGORITHMS.contains(&value.as_str()) {
            if !taken.iter().any(|other| **other == *value) {
                taken.push(value.into());
            }
        } else if value.eq_ignore_ascii_case("none") {
            let message = "a token without a signature proves nothing: anybody can make one";
            reading.mistake(&at, message).help("take `none` out");
        } else if value.starts_with("HS") {
            let message = format!(
                "`{value}` needs a secret shared with the issuer, and whoever has it can make tokens"
            );
            reading
                .mistake(&at, message)
                .help("have the issuer sign with a private key: RS256, ES256 or EdDSA");
        } else {
            let near = suggestion(&value, ALGORITHMS).map(|near| format!("did you mean `{near}`?"));
            let help = near.unwrap_or_else(|| format!("there is {}", ALGORITHMS.join(", ")));
            reading.mistake(&at, format!("`{value}` is not an algorithm of signatures")).help(help);
        }
    }
    taken
}

fn hook(keys: HookKeys, reading: &mut Reading<'_>) -> Option<IdentityHook> {
    let headers =
        entries(keys.headers).iter().filter_map(|(name, value)| header(name, value, reading)).collect();
    let url = keys.url.0?;
    urls::asked(&url, keys.plaintext.0.as_ref(), "passwords could be read on the way", reading)?;
    if let Some(at) = keys.ca.at().filter(|_| !url.value.starts_with("https:")) {
        reading.mistake(at, NO_CERTIFICATE);
    }
    Some(IdentityHook {
        ca: keys.ca.get(),
        url: url.value.into(),
        headers,
        timeout: keys.timeout.get().map_or(Duration::from_secs(2), |timeout| timeout.0),
        cache: keys.cache.get().map_or(Duration::from_secs(60), |cache| cache.0),
    })
}

fn duplicates(keys: DuplicatesKeys) -> Duplicates {
    let default = Duplicates::default();
    Duplicates {
        takeovers: count(keys.takeovers.get().map(|takeovers| takeovers.0), default.takeovers),
        within: keys.within.get().map_or(default.within, |within| within.0),
        quarantine: keys.quarantine.get().map(|wait| wait.0).filter(|wait| !wait.is_zero()),
    }
}

fn guard(keys: GuardKeys) -> Guard {
    let default = Guard::default();
    Guard {
        failures: count(keys.failures.get().map(|failures| failures.0), default.failures),
        within: keys.within.get().map_or(default.within, |within| within.0),
        block: keys.block.get().map_or(default.block, |block| block.0),
    }
}

fn count(written: Option<u64>, default: u32) -> u32 {
    written.and_then(|written| u32::try_from(written).ok()).unwrap_or(default)
}

fn revocation(keys: RevocationKeys) -> Revocation {
    Revocation {
        crl: keys.crl.get().map_or_else(Vec::new, |list| list.0.into_iter().map(|file| file.value).collect()),
        ocsp: keys.ocsp.or(OcspCheck::Off),
    }
}

#[cfg(test)]
mod tests;
