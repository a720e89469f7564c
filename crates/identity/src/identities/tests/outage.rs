//! The database goes away and comes back.

use super::*;

fn quick(database: &Arc<Database>) -> Identities {
    let mut policy = IdentityPolicy::default();
    policy.cache.fresh = Duration::ZERO;
    policy.cache.negative = Duration::ZERO;
    Identities::new(Parts { policy, ..parts(database) })
}

#[tokio::test(start_paused = true)]
async fn while_the_database_is_away_known_devices_connect_and_others_are_told_to_come_back() {
    let database = Database::of([
        device("car-7", None, vec![password("1", "car-7", "x")]),
        device("boat", None, vec![password("2", "boat", "x")]),
    ]);
    let identities = quick(&database);
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
    database.go_away(true);
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok(), "it is old, but known");
    assert!(!identities.figures().away, "one answer that fails is no outage yet");
    let _ = tokio::time::timeout(Duration::from_secs(1), identities.changes()).await;
    assert!(identities.figures().away);
    assert!(at_once(&identities, &login("car-7", "x")), "and by now without asking");
    assert_eq!(cause(&identities, &login("boat", "x")).await, RefusalCause::Unavailable);
    assert_eq!(cause(&identities, &login("car-7", "y")).await, RefusalCause::BadCredentials);
    assert!(identities.figures().stale >= 2, "{:?}", identities.figures());

    let asked = database.asked();
    assert_eq!(cause(&identities, &login("bike", "x")).await, RefusalCause::Unavailable);
    assert_eq!(database.asked(), asked, "whoever comes does not wait for what is away");

    database.go_away(false);
    let _ = tokio::time::timeout(Duration::from_secs(1), identities.changes()).await;
    assert!(!identities.figures().away);
    assert!(ask(&identities, &login("boat", "x")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_database_that_does_not_answer_is_away() {
    let database = Database::of([device("car-7", None, vec![password("1", "car-7", "x")])]);
    database.slow.store(3_600_000, std::sync::atomic::Ordering::SeqCst);
    let identities = identities(&database);
    assert_eq!(cause(&identities, &login("car-7", "x")).await, RefusalCause::Unavailable);
    let _ = tokio::time::timeout(Duration::from_secs(10), identities.changes()).await;
    assert!(identities.figures().away);
    database.slow.store(0, std::sync::atomic::Ordering::SeqCst);
    let _ = tokio::time::timeout(Duration::from_secs(10), identities.changes()).await;
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
}

#[tokio::test]
async fn what_is_older_than_stale_is_not_taken() {
    let database = Database::of([device("car-7", None, vec![password("1", "car-7", "x")])]);
    let mut policy = IdentityPolicy::default();
    policy.cache.fresh = Duration::ZERO;
    policy.cache.stale = Duration::ZERO;
    let identities = Identities::new(Parts { policy, ..parts(&database) });
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
    database.go_away(true);
    assert_eq!(cause(&identities, &login("car-7", "x")).await, RefusalCause::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn whoever_was_revoked_while_it_was_away_is_sent_away_when_it_is_back() {
    let database = Database::of([device("car-7", None, vec![password("1", "car-7", "x")])]);
    let identities = identities(&database);
    let _ = tokio::time::timeout(Duration::from_secs(1), identities.changes()).await;
    assert!(ask(&identities, &login("car-7", "x")).await.is_ok());
    database.go_away(true);
    let _ = tokio::time::timeout(Duration::from_secs(1), identities.changes()).await;
    assert!(identities.figures().away, "it is noticed without anybody coming");
    assert!(at_once(&identities, &login("car-7", "x")));

    let gone = Record { status: Status::Revoked, ..device("car-7", None, vec![password("1", "car-7", "x")]) };
    database.put(gone);
    let car = Subject::Device("car-7".into());
    database.note(car.clone(), true);
    database.go_away(false);
    assert_eq!(told(&identities).await, [ended(car)]);
    assert_eq!(cause(&identities, &login("car-7", "x")).await, RefusalCause::Revoked);
    assert!(!identities.figures().away);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_connections_of_one_device_make_one_question() {
    let database = Database::of([device("car-7", None, vec![password("1", "car-7", "x")])]);
    database.slow.store(50, std::sync::atomic::Ordering::SeqCst);
    let identities = identities(&database);
    let asked: Vec<_> =
        (0..1_000).map(|_| tokio::spawn(identities.identify(Box::new(certificate("unknown", 1))))).collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap_err().cause, RefusalCause::BadCredentials);
    }
    assert_eq!(database.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_first_may_go_away_without_harm_to_the_others() {
    let lookup = Lookup::CommonName("car-7".to_owned());
    let database =
        Database::of([device("car-7", None, vec![credential("1", lookup, CredentialSecret::None)])]);
    database.slow.store(50, std::sync::atomic::Ordering::SeqCst);
    let identities = identities(&database);
    let first = tokio::spawn(identities.identify(Box::new(certificate("car-7", 1))));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = tokio::spawn(identities.identify(Box::new(certificate("car-7", 1))));
    tokio::time::sleep(Duration::from_millis(10)).await;
    first.abort();
    assert!(second.await.unwrap().is_ok());
}
