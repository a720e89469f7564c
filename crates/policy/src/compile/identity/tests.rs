#![allow(clippy::unwrap_used, clippy::panic)]
use super::super::tests::{compiled, mistake, mistakes};
use super::*;
use crate::identity::{Authority, ClientIdRule, IdentityToken};
use std::path::{Path, PathBuf};

const EVERYTHING: &str = r#"
identity:
  registry: "sqlite:registry.db"
  anonymous: deny
  cache: {entries: 1000, fresh: 1m, negative: 5s, stale: 1h}
  certificates:
    - {name: maker, ca: certs/maker.pem, device: "{common_name}", enrol_only: true, registered: false}
    - {name: fleet, ca: certs/fleet.pem, device: "car-{serial}"}
  tokens:
    - name: idp
      issuer: https://idp.example
      audience: windrose
      keys: https://idp.example/jwks
      ca: idp-ca.pem
      algorithms: [ES256, EdDSA, ES256]
      device: sub
      owner: household
      service: azp
      groups: roles
      registered: false
      leeway: 5s
    - {name: local, issuer: us, audience: [a, b], keys: jwks.json, device: sub}
  hook:
    url: "http://127.0.0.1:9000/identity"
    headers: {Authorization: "Bearer s3cret"}
    timeout: 500ms
    cache: 10s
  client_id: device
  duplicates: {takeovers: 5, within: 30s, quarantine: 10m}
  guard: {failures: 3, within: 10s, block: 5m}
  revocation: {crl: [maker.crl, other.crl], ocsp: hard}
ca: {certificate: ca/issuing.pem, key: ca/issuing.key, validity: 7d, url: "http://ca.example:8080/"}
pools:
  a: {members: ["http://a"], identity_token: {audience: api, lifetime: 30s, header: X-Who}}
  b: {members: ["http://b"], identity_token: {audience: api}}
"#;

#[test]
fn everything_about_identity_is_understood() {
    let snapshot = compiled(EVERYTHING);
    let second = Duration::from_secs(1);
    let expected = IdentityPolicy {
        devices: None,
        api_keys: None,
        registry: Some(RegistryLocation::Sqlite("registry.db".into())),
        cache: IdentityCache {
            entries: 1000,
            fresh: 60 * second,
            negative: 5 * second,
            stale: 3600 * second,
        },
        allow_anonymous: false,
        certificates: vec![
            EnrolledAuthority {
                name: "maker".into(),
                ca: "certs/maker.pem".into(),
                device: "{common_name}".to_owned(),
                enrol_only: true,
                registered: false,
            },
            EnrolledAuthority {
                name: "fleet".into(),
                ca: "certs/fleet.pem".into(),
                device: "car-{serial}".to_owned(),
                enrol_only: false,
                registered: true,
            },
        ],
        tokens: vec![
            TokenIssuer {
                name: "idp".into(),
                issuer: Some("https://idp.example".into()),
                audience: vec!["windrose".into()],
                keys: KeySource::Url("https://idp.example/jwks".into()),
                ca: Some("idp-ca.pem".into()),
                algorithms: vec!["ES256".into(), "EdDSA".into()],
                device: Some("sub".into()),
                owner: Some("household".into()),
                service: Some("azp".into()),
                groups: Some("roles".into()),
                registered: false,
                leeway: 5 * second,
            },
            TokenIssuer {
                name: "local".into(),
                issuer: Some("us".into()),
                audience: vec!["a".into(), "b".into()],
                keys: KeySource::File("jwks.json".into()),
                ca: None,
                algorithms: vec!["RS256".into(), "ES256".into(), "EdDSA".into()],
                device: Some("sub".into()),
                owner: None,
                service: None,
                groups: None,
                registered: true,
                leeway: 30 * second,
            },
        ],
        hook: Some(IdentityHook {
            url: "http://127.0.0.1:9000/identity".into(),
            headers: vec![("Authorization".to_owned(), PoolHeader("Bearer s3cret".to_owned()))],
            ca: None,
            timeout: Duration::from_millis(500),
            cache: 10 * second,
        }),
        client_id: ClientIdRule::Device,
        duplicates: Duplicates { takeovers: 5, within: 30 * second, quarantine: Some(600 * second) },
        guard: Guard { failures: 3, within: 10 * second, block: 300 * second },
        revocation: Revocation { crl: vec!["maker.crl".into(), "other.crl".into()], ocsp: OcspCheck::Hard },
    };
    assert_eq!(snapshot.identity, expected);
    assert!(!format!("{snapshot:?}").contains("s3cret"));
    let authority = Authority {
        certificate: "ca/issuing.pem".into(),
        key: "ca/issuing.key".into(),
        validity: 7 * 24 * 3600 * second,
        url: Some("http://ca.example:8080".into()),
    };
    assert_eq!(snapshot.ca, Some(authority));
    let token = |lifetime: u64, header: &str| IdentityToken {
        audience: "api".into(),
        lifetime: Duration::from_secs(lifetime),
        header: header.into(),
    };
    assert_eq!(snapshot.pools[0].identity_token, Some(token(30, "X-Who")));
    assert_eq!(snapshot.pools[1].identity_token, Some(token(60, "windrose-identity")));
}

#[test]
fn what_is_left_out_of_identity_has_a_default() {
    let snapshot = compiled("identity: {registry: ''}\nca: {certificate: a, key: b}");
    assert_eq!(snapshot.identity, IdentityPolicy::default(), "an empty registry is none");
    let ca = snapshot.ca.unwrap();
    assert_eq!((ca.validity, ca.url), (Duration::from_secs(30 * 24 * 3600), None));
}

#[test]
fn files_of_identity_are_meant_from_the_documents_folder() {
    let mut snapshot = compiled(EVERYTHING);
    snapshot.resolve_paths(Path::new("/etc/windrose"));
    let identity = &snapshot.identity;
    assert_eq!(identity.registry, Some(RegistryLocation::Sqlite("/etc/windrose/registry.db".into())));
    assert_eq!(identity.certificates[0].ca, Path::new("/etc/windrose/certs/maker.pem"));
    assert_eq!(identity.tokens[1].keys, KeySource::File("/etc/windrose/jwks.json".into()));
    assert_eq!(identity.tokens[0].ca, Some(PathBuf::from("/etc/windrose/idp-ca.pem")));
    assert_eq!(identity.revocation.crl[1], Path::new("/etc/windrose/other.crl"));
    assert_eq!(snapshot.ca.unwrap().key, Path::new("/etc/windrose/ca/issuing.key"));
}

#[test]
fn a_registry_is_a_database_that_is_known() {
    let registry =
        |text: &str| compiled(&format!("identity: {{registry: \"{text}\"}}")).identity.registry.unwrap();
    assert_eq!(registry("sqlite:///var/lib/r.db"), RegistryLocation::Sqlite(PathBuf::from("/var/lib/r.db")));
    for url in ["postgres://u:p@h/d", "postgresql://h:5432/d", "postgres:///d?host=/run/postgresql"] {
        assert_eq!(registry(url), RegistryLocation::Postgres(PoolHeader(url.to_owned())));
    }
    let wrong = |text: &str| mistake(&format!("identity: {{registry: \"{text}\"}}"));
    assert_eq!(
        wrong("sqlit:r.db"),
        "1:22 identity.registry: this is not a database that is known here (did you mean `sqlite:`?)"
    );
    assert!(wrong("registry.db").contains("(write such as `sqlite:registry.db` or `postgres://"));
    assert!(wrong("sqlite::memory:").contains("needs a file"));
    assert!(wrong("postgres:db").contains("has no `//`"));
    assert!(wrong("postgres://u:p@h").contains("names no database"));
    assert!(mistake("identity: {cache: {fresh: 1s}}").contains("no database whose answers"));
}

#[test]
fn certificates_of_an_authority_name_their_devices() {
    let wrong = |device: &str| {
        mistake(&format!("identity: {{certificates: [{{name: m, ca: c, device: \"{device}\"}}]}}"))
    };
    assert_eq!(
        wrong("car-{cn}"),
        "1:57 identity.certificates[0].device: `{cn}` is not a placeholder \
         (the placeholders are `{common_name}`, `{san}` and `{serial}`)"
    );
    assert!(wrong("{san").contains("`{san` is not a placeholder"));
    assert!(wrong("car").contains("would be the same device"));
    let twice =
        "identity: {certificates: [{name: m, ca: c, device: '{san}'}, {name: m, ca: d, device: '{san}'}]}";
    assert!(mistake(twice).contains("another entry of `certificates` named `m`"));
}

#[test]
fn issuers_of_tokens_are_told_from_anybody() {
    let issuer = |keys: &str| mistakes(&format!("identity: {{tokens: [{{name: i, {keys}}}]}}"));
    let with =
        |keys: &str| issuer(&format!("issuer: i, audience: a, keys: k, device: sub, {keys}")).remove(0);
    assert!(with("algorithms: none").contains("proves nothing"));
    assert!(with("algorithms: HS256").contains("shared with the issuer"));
    assert!(with("algorithms: [RS265]").contains("did you mean `RS256`?"));
    assert!(with("leeway: 2h").contains("off by more than an hour"));
    assert!(with("plaintext: allow").contains("nothing is asked in plain text"));
    assert!(with("ca: a").contains("there is no certificate to verify"));
    assert!(with("groups: ''").contains("the name of the claim is empty"));
    assert!(
        issuer("issuer: i, audience: a, keys: k, groups: g")[0].contains("nothing says whose the tokens are")
    );
    assert!(issuer("issuer: i, audience: '', keys: k, device: d")[0].contains("the text is empty"));
    assert_eq!(issuer("keys: k, device: d").len(), 2, "the issuer and the audience have to be said");
    let plain = "issuer: i, audience: a, device: d, keys: 'http://idp/jwks'";
    assert!(issuer(plain)[0].contains("somebody on the way could give other keys"));
    compiled(&format!("identity: {{tokens: [{{name: i, {plain}, plaintext: allow}}]}}"));
    assert!(
        issuer("issuer: i, audience: a, device: d, keys: 'ftp://idp/jwks'")[0]
            .contains("`https://` or `http://`")
    );
}

#[test]
fn what_is_asked_and_signed_is_safe() {
    let hook = |keys: &str| mistake(&format!("identity: {{hook: {{{keys}}}}}"));
    assert!(hook("url: 'http://10.0.0.5/'").contains("passwords could be read on the way"));
    assert!(hook("url: 'http://127.0.0.1', ca: a").contains("there is no certificate to verify"));
    assert!(hook("url: 'https://a', timeout: 0s").contains("too short"));
    assert!(hook("url: 'https://a', headers: {Host: b}").contains("cannot be set"));
    assert!(mistake("ca: {certificate: a, key: b, validity: 200000d}").contains("longer than 136 years"));
    assert!(mistake("ca: {certificate: a, key: b, validity: 40000d}").contains("more than 100 years"));
    assert!(mistake("ca: {certificate: a, key: b, url: 'ca.example'}").contains("does not begin with"));
    assert!(mistake("ca: {certificate: a, key: b, url: 'http://ca/?a=b'}").contains("come after this URL"));
    assert!(mistake("ca: {certificate: a}").contains("the key `key` is missing"));
    assert!(mistake("identity: {duplicates: {takeovers: 1}}").contains("from 2 to"));
    let token = |keys: &str| mistake(&format!("pools: {{a: {{members: ['http://a'], {keys}}}}}"));
    assert!(token("identity_token: {lifetime: 1s}").contains("the key `audience` is missing"));
    assert!(token("identity_token: {audience: ''}").contains("the audience is empty"));
    assert!(token("identity_token: {audience: a, lifetime: 2d}").contains("misused for long"));
    assert!(token("identity_token: {audience: a, header: 'a b'}").contains("not the name of a header"));
    assert!(
        token("headers: {X: 1}, identity_token: {audience: a, header: x}")
            .contains("another header of this name")
    );
    let coap = "pools: {a: {protocol: coap, members: ['coap://a'], identity_token: {audience: a}}}";
    assert!(mistake(coap).contains("`identity_token` is only for pools with `protocol: http`"));
}
