#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use windrose_event::{CertificateClaim, Claim, Identity, Principal, RefusalCause, Registry, Secret, Verdict};
use windrose_identity::{Identities, Parts};
use windrose_policy::IdentityPolicy;

/// A hash that costs next to nothing.
fn cheap(password: &str) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).unwrap();
    hash.to_string()
}

/// The node's registry, of these files alone.
struct FileRegistry(Identities);

impl FileRegistry {
    fn parts(devices: Option<&Path>, keys: Option<&Path>, allow: bool) -> Result<Parts, RegistryError> {
        let files = read_registry_files(devices, keys)?;
        let policy = IdentityPolicy { allow_anonymous: allow, ..IdentityPolicy::default() };
        Ok(Parts { policy, files, ..Parts::default() })
    }

    fn open(devices: Option<&Path>, keys: Option<&Path>, allow: bool) -> Result<Self, RegistryError> {
        Ok(Self(Identities::new(Self::parts(devices, keys, allow)?)))
    }

    fn reload(&self, devices: Option<&Path>, keys: Option<&Path>, allow: bool) -> Result<(), RegistryError> {
        self.0.reload(Self::parts(devices, keys, allow)?);
        Ok(())
    }

    fn devices(&self) -> usize {
        self.0.in_files().0
    }

    fn api_keys(&self) -> usize {
        self.0.in_files().1
    }
}

impl std::ops::Deref for FileRegistry {
    type Target = Identities;
    fn deref(&self) -> &Identities {
        &self.0
    }
}

/// A folder of a test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("windrose-registry-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn devices_text(password: &str) -> String {
    format!(
        r#"devices:
  - id: car-7
    owner: alice
    groups: [cars]
    credentials:
      - {{password_hash: "{}"}}
      - {{username: seven, password_hash: "{}"}}
      - {{certificate: {{subject: "CN=car-7,O=Cars"}}}}
      - {{psk_identity: car-7, psk_file: car-7.key}}
  - id: boat
    owner: alice
    credentials: [{{certificate: {{san: "urn:dev:boat"}}}}]
  - id: meter
    credentials: [{{certificate: {{common_name: meter}}}}]
"#,
        cheap(password),
        cheap("7")
    )
}

/// SHA-256 of `backend-key` and of `alice-key`.
fn keys_text() -> String {
    let hex = |key: &str| {
        use sha2::Digest;
        sha2::Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    format!(
        "api_keys:\n  - {{service: backend, groups: [ops], key_sha256: {}}}\n  - {{owner: alice, key_sha256: \"{}\"}}\n",
        hex("backend-key"),
        hex("alice-key")
    )
}

fn registry(allow_anonymous: bool) -> (Folder, FileRegistry) {
    let folder = Folder::new();
    folder.write("car-7.key", "0123456789abcdef\n");
    let devices = folder.write("devices.yaml", &devices_text("secret"));
    let keys = folder.write("keys.yaml", &keys_text());
    let registry = FileRegistry::open(Some(&devices), Some(&keys), allow_anonymous).unwrap();
    (folder, registry)
}

fn login(username: &str, password: &str) -> Claim {
    Claim { username: Some(username.into()), password: Some(secret(password)), ..Claim::default() }
}

/// The verdict, however long it takes.
fn ask(registry: &FileRegistry, claim: &Claim) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(registry.identify(Box::new(claim.clone())))
}

fn secret(text: &str) -> Secret {
    Secret::new(Bytes::copy_from_slice(text.as_bytes()))
}

fn certificate(subject: &str, common_name: &str, name: &str) -> Claim {
    let certificate = CertificateClaim {
        subject: subject.to_owned(),
        common_name: Some(common_name.to_owned()),
        alternative_names: vec![name.to_owned()],
        fingerprint: Some([0; 32]),
        ..CertificateClaim::default()
    };
    Claim { certificate: Some(Arc::new(certificate)), ..Claim::default() }
}

fn api_key(key: &str) -> Claim {
    Claim { api_key: Some(secret(key)), ..Claim::default() }
}

fn cause(verdict: Verdict) -> RefusalCause {
    verdict.expect_err("it is refused").cause
}

#[test]
fn a_password_tells_which_device_and_whose() {
    let (_folder, registry) = registry(false);
    let identity = ask(&registry, &login("car-7", "secret")).unwrap();
    assert_eq!(identity.to_string(), "device:car-7");
    assert_eq!(identity.owner().map(|owner| &**owner), Some("alice"));
    assert_eq!(identity.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["cars"]);
    assert!(identity.owned.is_empty());
    assert_eq!(
        ask(&registry, &login("seven", "7")).unwrap().principal,
        identity.principal,
        "another user name of the same device"
    );
    assert_eq!((registry.devices(), registry.api_keys()), (3, 2));
}

#[test]
fn wrong_and_unknown_look_the_same_to_a_guesser() {
    let (_folder, registry) = registry(true);
    for claim in [login("car-7", "Secret"), login("car-7", ""), login("nobody", "secret"), login("boat", "")]
    {
        assert!(registry.identify_at_once(&claim).is_none(), "each takes a verification");
        assert_eq!(cause(ask(&registry, &claim)), RefusalCause::BadCredentials);
    }
}

#[test]
fn a_right_password_is_known_at_once_for_a_while() {
    let (folder, registry) = registry(false);
    let claim = login("car-7", "secret");
    assert!(registry.identify_at_once(&claim).is_none());
    ask(&registry, &claim).unwrap();
    assert!(registry.identify_at_once(&claim).unwrap().is_ok());
    assert!(registry.identify_at_once(&login("car-7", "wrong")).is_none());
    assert!(registry.identify_at_once(&login("seven", "secret")).is_none());

    let devices = folder.write("devices.yaml", &devices_text("changed"));
    registry.reload(Some(&devices), None, false).unwrap();
    assert!(registry.identify_at_once(&claim).is_none(), "a reload forgets");
    assert_eq!(cause(ask(&registry, &claim)), RefusalCause::BadCredentials);
    assert!(ask(&registry, &login("car-7", "changed")).is_ok());
}

#[test]
fn a_certificate_tells_which_device() {
    let (_folder, registry) = registry(true);
    let name = |claim: &Claim| registry.identify_at_once(claim).unwrap().map(|identity| identity.to_string());
    assert_eq!(name(&certificate("CN=car-7, O=Cars", "car-7", "")).unwrap(), "device:car-7");
    assert_eq!(name(&certificate("CN=x", "x", "urn:dev:boat")).unwrap(), "device:boat");
    assert_eq!(name(&certificate("CN=meter,O=Any", "meter", "")).unwrap(), "device:meter");
    let refusal = name(&certificate("CN=stranger", "stranger", "")).unwrap_err();
    assert_eq!(refusal.cause, RefusalCause::BadCredentials, "anonymous is allowed, but it is not anonymous");
    assert!(refusal.detail.contains("CN=stranger"), "{}", refusal.detail);

    let with_password =
        Claim { certificate: certificate("CN=gateway", "gateway", "").certificate, ..login("seven", "7") };
    assert_eq!(ask(&registry, &with_password).unwrap().to_string(), "device:car-7");
    let with_key =
        Claim { certificate: certificate("CN=proxy", "proxy", "").certificate, ..api_key("backend-key") };
    assert_eq!(name(&with_key).unwrap(), "service:backend");
}

#[test]
fn an_api_key_tells_which_service_or_owner() {
    let (_folder, registry) = registry(true);
    let backend = registry.identify_at_once(&api_key("backend-key")).unwrap().unwrap();
    assert_eq!(backend.to_string(), "service:backend");
    assert_eq!(&*backend.groups[0], "ops");
    let alice = registry.identify_at_once(&api_key("alice-key")).unwrap().unwrap();
    assert_eq!(alice.principal, Principal::Owner { id: "alice".into() });
    assert_eq!(
        alice.owned.iter().map(|id| &**id).collect::<Vec<_>>(),
        ["boat", "car-7"],
        "in ascending order"
    );
    assert_eq!(cause(registry.identify_at_once(&api_key("guess")).unwrap()), RefusalCause::BadCredentials);
}

#[test]
fn where_there_is_nothing_to_compare_with_the_anonymous_may_bring_anything() {
    let bare = Claim { username: Some("somebody".into()), ..Claim::default() };
    let open = FileRegistry::open(None, None, true).unwrap();
    for claim in [&bare, &login("a", "b"), &api_key("a"), &Claim::default()] {
        assert_eq!(open.identify_at_once(claim), Some(Ok(Identity::anonymous())));
    }
    let closed = FileRegistry::open(None, None, false).unwrap();
    for claim in [&bare, &login("a", "b"), &api_key("a")] {
        assert_eq!(cause(closed.identify_at_once(claim).unwrap()), RefusalCause::BadCredentials);
    }
    let (_folder, known) = registry(true);
    assert!(ask(&known, &login("a", "b")).is_err(), "there is a file that does not know them");
    assert!(ask(&known, &bare).is_err());
}

#[test]
fn anonymous_is_for_those_who_bring_nothing() {
    let nothing = Claim { session: Some("car-7".into()), ..Claim::default() };
    let (_folder, open) = registry(true);
    assert_eq!(open.identify_at_once(&nothing), Some(Ok(Identity::anonymous())));
    let only_name = Claim { username: Some("car-7".into()), ..Claim::default() };
    assert_eq!(cause(ask(&open, &only_name)), RefusalCause::BadCredentials);
    let only_password = Claim { password: Some(secret("x")), ..Claim::default() };
    assert_eq!(cause(ask(&open, &only_password)), RefusalCause::BadCredentials);
    let (_folder, closed) = registry(false);
    assert_eq!(cause(closed.identify_at_once(&nothing).unwrap()), RefusalCause::AnonymousDenied);
}

#[test]
fn a_real_hash_is_verified_and_costs_what_it_should() {
    let folder = Folder::new();
    let hash = windrose_identity::hash_password(b"secret").unwrap();
    let text = format!("devices: [{{id: a, credentials: [{{password_hash: \"{hash}\"}}]}}]");
    let registry = FileRegistry::open(Some(&folder.write("d.yaml", &text)), None, false).unwrap();
    let time = |claim: &Claim| {
        let start = Instant::now();
        let verdict = ask(&registry, claim);
        (verdict.is_ok(), start.elapsed())
    };
    let (_, unknown) = time(&login("nobody", "secret"));
    let (wrong_is_in, wrong) = time(&login("a", "wrong"));
    assert!(!wrong_is_in);
    // On a busy machine times vary; that the unknown name is verified too shows by far.
    assert!(unknown * 20 > wrong, "unknown: {unknown:?}, wrong: {wrong:?}");
    assert!(time(&login("a", "secret")).0);
}

#[test]
fn a_reload_is_whole_or_not_at_all() {
    let (folder, registry) = registry(false);
    let devices = folder.write("devices.yaml", "devices: [{id: new, credentials: []}]");
    let bad_keys = folder.write("bad.yaml", "api_keys: [{service: a, key_sha256: 12}]");
    assert!(registry.reload(Some(&devices), Some(&bad_keys), true).is_err());
    assert!(ask(&registry, &login("car-7", "secret")).is_ok());
    assert_eq!(cause(ask(&registry, &Claim::default())), RefusalCause::AnonymousDenied);
    assert_eq!(registry.devices(), 3);
}

fn mistakes(devices: &str, keys: &str) -> String {
    let folder = Folder::new();
    let devices = folder.write("devices.yaml", devices);
    let keys = folder.write("keys.yaml", keys);
    let error =
        FileRegistry::open(Some(&devices), Some(&keys), false).err().expect("the files have mistakes");
    error.to_string().replace(&format!("{}/", folder.0.display()), "")
}

#[test]
fn every_mistake_of_both_files_is_told_in_its_place() {
    let shown = mistakes(
        r#"devices:
  - id: car/7
    credentials: []
  - id: a
    ownr: alice
    credentials:
      - {password_hash: secret}
      - {username: a}
      - {certificate: {subject: "CN=a", san: b}}
      - {certificate: {fingerprint: "12:34"}}
      - {certificate: {common_name: c}}
  - id: a
    credentials: [{certificate: {common_name: c}}]
"#,
        "api_keys:\n  - {service: a, owner: b, key_sha256: xyz}\n  - {service: a}\n",
    );
    for expected in [
        "error: devices[0].id: `car/7` cannot be the id of a device\n --> devices.yaml:2:9",
        "error: devices[1].ownr: there is no key `ownr` here\n --> devices.yaml:5:5",
        "did you mean `owner`?",
        "error: devices[1].credentials[0].password_hash: this is not a hash of a password",
        "error: devices[1].credentials[1].username: a user name without a password proves nothing\n --> devices.yaml:8:20",
        "error: devices[1].credentials[2].certificate: a certificate is recognised by one thing",
        "error: devices[1].credentials[3].certificate.fingerprint: this is not a SHA-256 in hex",
        "error: devices[2].id: there is another device `a`\n  --> devices.yaml:12:9",
        "error: devices[2].credentials[0].certificate.common_name: this certificate is another device's",
        "error: api_keys[0]: a key is of one service or of one owner\n --> keys.yaml:2:5",
        "error: api_keys[1]: the key `key_sha256` is missing\n --> keys.yaml:3:5",
    ] {
        assert!(shown.contains(expected), "{expected}\nis not in\n{shown}");
    }
    assert!(!shown.contains("secret"), "a password in the place of its hash is not shown\n{shown}");
    assert_eq!(shown.matches("error: ").count(), 10, "{shown}");
}

#[test]
fn a_user_name_and_a_key_are_one_callers() {
    let hash = cheap("x");
    let twice = format!(
        "devices: [{{id: a, credentials: [{{password_hash: \"{hash}\"}}]}}, \
         {{id: b, credentials: [{{username: a, password_hash: \"{hash}\"}}]}}]"
    );
    let digest = "00".repeat(32);
    let keys = format!(
        "api_keys: [{{service: a, key_sha256: \"{digest}\"}}, {{service: b, key_sha256: \"{digest}\"}}]"
    );
    let shown = mistakes(&twice, &keys);
    assert!(shown.contains("the user name `a` is taken"), "{shown}");
    assert!(shown.contains("this key is there twice"), "{shown}");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let error = FileRegistry::open(Some(Path::new("/nowhere/devices.yaml")), None, false).err().unwrap();
    assert!(error.to_string().starts_with("cannot read /nowhere/devices.yaml: "), "{error}");
}

#[test]
fn the_examples_are_as_they_should_be() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let file = |name: &str| Some(examples.join(name)).filter(|path| path.exists());
    let (devices, keys) = (file("devices.yaml"), file("api-keys.yaml"));
    if let Err(error) = FileRegistry::open(devices.as_deref(), keys.as_deref(), false) {
        panic!("{error}");
    }
}

#[test]
fn many_devices_load() {
    let hash = cheap("x");
    let mut text = String::from("devices:\n");
    for number in 0..20_000 {
        text.push_str(&format!("  - {{id: car-{number}, owner: o{}, groups: [cars], credentials: [{{password_hash: \"{hash}\"}}]}}\n", number % 100));
    }
    let folder = Folder::new();
    let registry = FileRegistry::open(Some(&folder.write("many.yaml", &text)), None, false).unwrap();
    assert_eq!(registry.devices(), 20_000);
    assert!(ask(&registry, &login("car-19999", "x")).is_ok());
}

#[test]
fn a_pre_shared_key_is_its_devices() {
    let (_folder, registry) = registry(false);
    assert_eq!(registry.psk_at_once(b"car-7").unwrap().unwrap().reveal(), b"0123456789abcdef");
    assert!(registry.psk_at_once(b"car-8").unwrap().is_none());
    let proven = |identity: &str| Claim { psk_identity: Some(identity.into()), ..Claim::default() };
    assert!(!proven("car-7").is_anonymous());
    let identity = registry.identify_at_once(&proven("car-7")).unwrap().unwrap();
    assert_eq!(identity.device().unwrap().as_ref(), "car-7");
    let refusal = ask(&registry, &proven("car-8")).unwrap_err();
    assert_eq!(refusal.cause, RefusalCause::BadCredentials);
}

#[test]
fn a_pre_shared_key_without_its_file_is_a_mistake_with_its_place() {
    let folder = Folder::new();
    let text = "devices:\n  - id: a\n    credentials: [{psk_identity: a, psk_file: none.key}]\n  - id: b\n    credentials: [{psk_identity: b}]\n";
    let devices = folder.write("devices.yaml", text);
    let error = FileRegistry::open(Some(&devices), None, false).err().unwrap().to_string();
    assert!(error.contains("none.key: cannot be read"), "{error}");
    assert!(error.contains("devices.yaml:3:"), "{error}");
    assert!(error.contains("a pre-shared key has an identity and a file"), "{error}");
}

#[test]
fn devices_that_are_servers_are_told_with_their_resources() {
    let folder = Folder::new();
    let open = |record: &str| {
        let text = format!("devices:\n  - {{id: meter-1, credentials: [], {record}}}\n");
        FileRegistry::open(Some(&folder.write("devices.yaml", &text)), None, false)
    };
    let registry = open("coap: 'coap://10.0.0.5:99', resources: [valve, /a/lamp]").unwrap();
    match &registry.reachable()[..] {
        [server] => {
            assert_eq!((&*server.host, server.port), ("10.0.0.5", 99));
            assert_eq!(server.identity.to_string(), "device:meter-1");
            assert_eq!(server.resources.iter().map(|path| &**path).collect::<Vec<_>>(), ["valve", "a/lamp"]);
        }
        other => panic!("{other:?}"),
    }
    for (record, why) in [
        ("coap: 'coap://a'", "it has no `resources`"),
        ("resources: [valve]", "`coap` says where"),
        ("coap: 'http://a', resources: [valve]", "not where a CoAP server is"),
        ("coap: 'coap://a', resources: []", "from 1 to 64 resources"),
        ("coap: 'coap://a', resources: [a, a]", "not the path of another resource"),
        ("coap: 'coap://a', resources: ['a/#']", "not the path of another resource"),
    ] {
        let error = open(record).err().expect(record).to_string();
        assert!(error.contains(why), "{record}: {error}");
    }
}
