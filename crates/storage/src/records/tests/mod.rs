//! One suite for both databases: SQLite in a file, and a PostgreSQL of its own that is started for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod acts;
mod importing;
mod postgres;
mod reading;

use super::*;
use std::path::PathBuf;
use windrose_event::{Principal, Timestamp};
use windrose_identity::{Credential, CredentialSecret, Kind, NewCredential, NewDevice, Noted, Status};

/// A folder that is taken away with all that is in it.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("windrose-registry-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A registry under test.
pub(super) struct Desk {
    pub(super) database: Arc<RegistryDatabase>,
    pub(super) location: RegistryLocation,
    runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn open(location: RegistryLocation) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { database: open_registry(&location).unwrap(), location, runtime }
    }

    pub(super) fn wait<T>(&self, asked: Asked<T>) -> Result<T, RecordsError> {
        self.runtime.block_on(asked)
    }

    pub(super) fn act(&self, act: Act) -> Result<(), RecordsError> {
        self.wait(self.database.act(act, "test"))
    }

    pub(super) fn add(&self, id: &str, owner: Option<&str>, credentials: Vec<NewCredential>) {
        let device =
            NewDevice { id: id.into(), owner: owner.map(Into::into), credentials, ..Default::default() };
        self.act(Act::AddDevice(device)).unwrap();
    }

    pub(super) fn find(&self, lookup: Lookup) -> Option<Arc<Record>> {
        let mut found = self.wait(self.database.find(vec![lookup])).unwrap();
        assert!(found.len() < 2, "one lookup finds one at most");
        found.pop().map(|(_, record)| record)
    }

    pub(super) fn record(&self, subject: Subject) -> Option<Arc<Record>> {
        self.wait(self.database.record(subject)).unwrap()
    }

    pub(super) fn newest(&self) -> u64 {
        self.wait(self.database.newest_change()).unwrap()
    }

    pub(super) fn changes(&self, after: u64) -> Vec<(Subject, bool)> {
        match self.wait(self.database.changes(after)).unwrap() {
            Changes::Listed(noted) => {
                noted.into_iter().map(|Noted { subject, ends, .. }| (subject, ends)).collect()
            }
            Changes::Lost { .. } => panic!("nothing was lost"),
        }
    }
}

pub(super) fn device(id: &str) -> Subject {
    Subject::Device(id.into())
}

pub(super) fn owner(id: &str) -> Subject {
    Subject::Owner(id.into())
}

/// A hash of a password that costs next to nothing.
pub(super) fn cheap(password: &str) -> String {
    use argon2::password_hash::PasswordHasher;
    use argon2::password_hash::phc::PasswordHash;
    use argon2::{Algorithm, Argon2, Params, Version};
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).unwrap();
    hash.to_string()
}

/// A credential that is found and needs no secret.
pub(super) fn shown(lookup: Lookup) -> NewCredential {
    NewCredential { lookup, secret: CredentialSecret::None, not_before: None, not_after: None }
}

pub(super) fn after(seconds: u64) -> Timestamp {
    writer::now() + Duration::from_secs(seconds)
}

pub(super) fn before(seconds: u64) -> Timestamp {
    writer::now() - Duration::from_secs(seconds)
}

/// Something that holds, by its name.
type Scenario = (&'static str, fn(&Desk));

/// All that both databases have to do alike.
const SUITE: &[Scenario] = &[
    ("a device is found by all that it has", reading::a_device_is_found_by_all_that_it_has),
    ("an owner knows its devices", reading::an_owner_knows_its_devices),
    ("lists go on where they ended", reading::lists_go_on_where_they_ended),
    ("details tell no secret", reading::details_tell_no_secret),
    ("whatever a name holds is a name", reading::whatever_a_name_holds_is_a_name),
    ("what cannot be stored is not there", reading::what_cannot_be_stored_is_not_there),
    ("changes are told once and in order", reading::changes_are_told_once_and_in_order),
    ("owners change and history stays", acts::owners_change_and_history_stays),
    ("a code is good once", acts::a_code_is_good_once),
    ("a certificate costs a code", acts::a_certificate_costs_a_code),
    ("an unknown device is adopted", acts::an_unknown_device_is_adopted),
    ("revoked is found and refused", acts::revoked_is_found_and_refused),
    ("an owner takes its devices along", acts::an_owner_takes_its_devices_along),
    ("a certificate that is nobody's is revoked", acts::a_certificate_that_is_nobodys_is_revoked),
    ("a removed device's certificate stays revoked", acts::a_removed_devices_certificate_stays_revoked),
    ("quarantine ends by itself", acts::quarantine_ends_by_itself),
    ("nothing is done by halves", acts::nothing_is_done_by_halves),
    ("what makes no sense is refused", acts::what_makes_no_sense_is_refused),
    ("an import takes all or nothing", importing::an_import_takes_all_or_nothing),
    ("bad lines are left out when told so", importing::bad_lines_are_left_out_when_told_so),
    ("those that are there are updated or left", importing::those_that_are_there_are_updated_or_left),
    ("an export is an import", importing::an_export_is_an_import),
    ("batches meet what batches before them made", importing::batches_meet_what_batches_before_them_made),
    ("many at once do not get in each other's way", acts::many_at_once_do_not_get_in_each_others_way),
];

#[test]
fn the_suite_holds_on_sqlite() {
    for (name, run) in SUITE {
        eprintln!("SQLite: {name}");
        let folder = Folder::new();
        run(&Desk::open(RegistryLocation::Sqlite(folder.0.join("registry.db"))));
    }
}

#[test]
fn the_suite_holds_on_postgresql() {
    let cluster = postgres::Cluster::start();
    for (index, (name, run)) in SUITE.iter().enumerate() {
        eprintln!("PostgreSQL: {name}");
        run(&Desk::open(cluster.database(&format!("suite{index}"))));
    }
    // What is away says so, and is there again when it is back.
    let desk = Desk::open(cluster.database("away"));
    desk.add("d", None, vec![]);
    cluster.stop();
    let error = desk.wait(desk.database.record(device("d"))).unwrap_err();
    assert!(matches!(error, RecordsError::Unavailable(_)), "{error}");
    cluster.go_on();
    assert!(desk.record(device("d")).is_some());
    cluster.stop();
    let error = open_registry(&desk.location).unwrap_err();
    assert!(error.contains("/away cannot be opened"), "{error}");
}

#[test]
fn a_file_is_for_its_owner_alone_and_is_opened_again() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.0.join("a name? with #odd %41 characters.db");
    let location = RegistryLocation::Sqlite(path.clone());
    let desk = Desk::open(location.clone());
    desk.add("d", Some("o"), vec![]);
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    drop(desk);
    assert!(!folder.0.join("a name? with #odd %41 characters.db-wal").exists(), "closed in order");
    assert!(Desk::open(location).record(device("d")).is_some());
    let nowhere = RegistryLocation::Sqlite(folder.0.join("no/such/folder/registry.db"));
    let error = open_registry(&nowhere).unwrap_err();
    assert!(error.contains("no/such/folder/registry.db cannot be opened: No such file"), "{error}");
    std::fs::write(&path, "this is no database, but long enough for one to look at it").unwrap();
    let error = open_registry(&RegistryLocation::Sqlite(path)).unwrap_err();
    assert!(error.contains("file is not a database"), "{error}");
}

#[test]
fn a_later_schema_is_refused() {
    let folder = Folder::new();
    let location = RegistryLocation::Sqlite(folder.0.join("registry.db"));
    let desk = Desk::open(location.clone());
    desk.database.handle.block_on(async {
        let sql = "UPDATE about SET value = 999 WHERE name = 'schema'";
        writer::query(sql, vec![]).execute(&desk.database.pools.write).await.unwrap();
    });
    drop(desk);
    let error = open_registry(&location).unwrap_err();
    assert!(error.contains("made by a later version of Windrose: its schema is 999"), "{error}");
}

#[test]
fn a_password_in_the_url_is_not_told() {
    let url =
        windrose_policy::PoolHeader("postgres://user:hush@127.0.0.1:1/db?application_name=x".to_owned());
    let error = open_registry(&RegistryLocation::Postgres(url)).unwrap_err();
    assert!(error.contains("postgres://127.0.0.1:1/db cannot be opened"), "{error}");
    assert!(!error.contains("hush"), "{error}");
}
