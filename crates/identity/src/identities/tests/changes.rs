//! What changes elsewhere takes effect here.

use super::*;

fn car(owner: &str) -> Record {
    device("car-7", Some(owner), vec![password("1", "car-7", "x")])
}

async fn first_look(identities: &Identities) {
    let _ = tokio::time::timeout(Duration::from_secs(1), identities.changes()).await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_device_ends_and_is_refused_from_then_on() {
    let database = Database::of([car("alice")]);
    let identities = identities(&database);
    first_look(&identities).await;
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
    database.put(Record { status: Status::Revoked, ..car("alice") });
    assert!(at_once(&identities, &login("car-7", "x")), "nobody told yet");
    let car = Subject::Device("car-7".into());
    database.note(car.clone(), true);
    assert_eq!(told(&identities).await, [ended(car)]);
    assert!(!at_once(&identities, &login("car-7", "x")));
    assert_eq!(cause(&identities, &login("car-7", "x")).await, RefusalCause::Revoked);
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_is_revoked_takes_its_devices_along() {
    let database =
        Database::of([car("alice"), device("boat", Some("bob"), vec![password("2", "boat", "x")])]);
    let identities = identities(&database);
    first_look(&identities).await;
    for name in ["car-7", "boat"] {
        assert!(ask(&identities, &login(name, "x")).await.is_ok());
    }
    database.put(Record { status: Status::OwnerRevoked, ..car("alice") });
    database.note(Subject::Owner("alice".into()), true);
    assert_eq!(told(&identities).await, [ended(Subject::Owner("alice".into()))]);
    assert_eq!(cause(&identities, &login("car-7", "x")).await, RefusalCause::Revoked);
    assert!(at_once(&identities, &login("boat", "x")), "the others notice nothing");
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_is_here_gains_a_device_in_place() {
    let alice = |owned: &[&str]| Record {
        principal: Principal::Owner { id: "alice".into() },
        owned: owned.iter().map(|id| Arc::from(*id)).collect(),
        ..device("", None, vec![credential("k", Lookup::api_key(b"key"), CredentialSecret::None)])
    };
    let database = Database::of([alice(&["car-7"])]);
    let identities = identities(&database);
    first_look(&identities).await;
    let key = Claim { api_key: Some(Secret::new(&b"key"[..])), ..Claim::default() };
    assert!(ask(&identities, &key).await.is_ok());
    database.put(alice(&["boat", "car-7"]));
    database.note(Subject::Owner("alice".into()), false);
    match &told(&identities).await[..] {
        [IdentityChange { subject, standing: Standing::Is(now) }] => {
            assert_eq!(*subject, Subject::Owner("alice".into()));
            assert_eq!(names(&now.owned), ["boat", "car-7"]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(names(&ask(&identities, &key).await.unwrap().owned), ["boat", "car-7"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_not_known_is_known_as_soon_as_it_is_added() {
    let database = Database::of([]);
    let identities = identities(&database);
    first_look(&identities).await;
    assert_eq!(cause(&identities, &login("car-7", "x")).await, RefusalCause::BadCredentials);
    database.put(car("alice"));
    database.note(Subject::Device("car-7".into()), false);
    first_look(&identities).await;
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_taken_away_is_not_found_by_what_it_was_found_by() {
    let both = || vec![password("1", "car-7", "x"), password("2", "seven", "y")];
    let database = Database::of([device("car-7", None, both())]);
    let identities = identities(&database);
    first_look(&identities).await;
    for claim in [login("car-7", "x"), login("seven", "y")] {
        assert!(ask(&identities, &claim).await.is_ok());
    }
    database.put(device("car-7", None, vec![password("1", "car-7", "x")]));
    database.note(Subject::Credential("2".into()), true);
    database.note(Subject::Device("car-7".into()), false);
    assert_eq!(told(&identities).await, [ended(Subject::Credential("2".into()))], "and nobody else");
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
    assert_eq!(cause(&identities, &login("seven", "y")).await, RefusalCause::BadCredentials);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_gone_from_the_database_ends() {
    let database = Database::of([car("alice")]);
    let identities = identities(&database);
    first_look(&identities).await;
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
    let car = Subject::Device("car-7".into());
    database.remove(&car);
    database.note(car.clone(), false);
    assert_eq!(told(&identities).await, [ended(car)]);
}

fn file(records: Vec<Record>) -> Parts {
    Parts {
        files: FileRecords { records, has_devices: true, has_api_keys: true, ..FileRecords::default() },
        ..Parts::default()
    }
}

#[tokio::test]
async fn a_reload_of_the_files_ends_what_is_not_there_any_more_and_nothing_else() {
    let boat = || device("boat", None, vec![password("b", "boat", "x")]);
    let hash = CredentialSecret::PasswordHash(cheap("x"));
    let car = |owner: &str, credentials| device("car-7", Some(owner), credentials);
    let kept = || credential("kept", Lookup::Username("kept".to_owned()), hash.clone());
    let other = || password("other", "other", "y");

    let registry = Identities::new(file(vec![boat(), car("alice", vec![kept(), other()])]));
    registry.reload(file(vec![boat(), car("alice", vec![kept()])]));
    let changes = told(&registry).await;
    assert!(changes.contains(&ended(Subject::Credential("other".into()))), "{changes:?}");
    assert!(!changes.contains(&ended(Subject::Credential("kept".into()))), "{changes:?}");

    registry.reload(file(vec![car("bob", vec![kept()])]));
    let changes = told(&registry).await;
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(changes.contains(&ended(Subject::Device("boat".into()))));
    assert!(changes.contains(&ended(Subject::Device("car-7".into()))), "it is bob's now");

    let grouped = Record { groups: vec!["x".into()].into(), ..car("bob", vec![kept()]) };
    registry.reload(file(vec![grouped]));
    match &told(&registry).await[..] {
        [IdentityChange { standing: Standing::Is(now), .. }] => assert_eq!(names(&now.groups), ["x"]),
        other => panic!("{other:?}"),
    }
    let same = Record { groups: vec!["x".into()].into(), ..car("bob", vec![kept()]) };
    registry.reload(file(vec![same]));
    let nothing = tokio::time::timeout(Duration::from_millis(50), registry.changes()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test(start_paused = true)]
async fn another_database_makes_everybody_known_anew() {
    let first = Database::of([car("alice")]);
    let registry = identities(&first);
    first_look(&registry).await;
    assert!(ask(&registry, &login("car-7", "x")).await.is_ok());
    registry.reload(parts(&Database::of([])));
    assert_eq!(told(&registry).await, [ended(Subject::Device("car-7".into()))]);
    assert_eq!(cause(&registry, &login("car-7", "x")).await, RefusalCause::BadCredentials);
}
