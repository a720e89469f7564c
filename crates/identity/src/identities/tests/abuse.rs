//! Guessing, and two things with one identity.

use super::*;
use std::sync::atomic::Ordering;
use std::task::Poll;

fn from(address: &str, claim: Claim) -> Claim {
    Claim { peer: Some(format!("{address}:1").parse().unwrap()), ..claim }
}

#[tokio::test]
async fn a_guesser_is_throttled_and_shuts_nobody_out_who_was_here() {
    let database = Database::of([
        device("car-7", None, vec![password("1", "car-7", "secret")]),
        device("boat", None, vec![password("2", "boat", "secret")]),
    ]);
    let identities = identities(&database);
    let mine = from("10.0.0.1", login("car-7", "secret"));
    assert!(ask(&identities, &mine).await.is_ok());
    for number in 0..20 {
        let guess = from("10.9.9.9", login("car-7", &number.to_string()));
        assert_eq!(cause(&identities, &guess).await, RefusalCause::BadCredentials);
    }
    let verified = identities.figures().passwords_verified;
    for number in 20..40 {
        let guess = from("10.9.9.9", login("car-7", &number.to_string()));
        assert_eq!(cause(&identities, &guess).await, RefusalCause::Throttled);
    }
    let figures = identities.figures();
    assert_eq!(figures.passwords_verified, verified, "no more work is done for it");
    assert_eq!((figures.throttled, figures.blocks), (20, 1));
    assert!(at_once(&identities, &mine), "whoever was here before still is");
    assert!(ask(&identities, &from("10.0.0.2", login("boat", "secret"))).await.is_ok());
    // What is remembered of others is of no use to it.
    assert_eq!(cause(&identities, &from("10.9.9.9", login("boat", "secret"))).await, RefusalCause::Throttled);
}

#[tokio::test]
async fn who_shares_an_address_with_a_guesser_still_comes_unless_it_goes_on_and_on() {
    let database = Database::of([device("car-7", None, vec![password("1", "car-7", "secret")])]);
    let identities = identities(&database);
    let mine = from("10.0.0.1", login("car-7", "secret"));
    assert!(ask(&identities, &mine).await.is_ok());
    for number in 0..100 {
        let _ = ask(&identities, &from("10.0.0.1", login("car-7", &number.to_string()))).await;
    }
    assert!(at_once(&identities, &mine));
    for number in 0..200 {
        let _ = ask(&identities, &from("10.0.0.1", login("car-7", &number.to_string()))).await;
    }
    assert_eq!(
        cause(&identities, &mine).await,
        RefusalCause::Throttled,
        "or it would be guessed for nothing"
    );
    assert!(
        ask(&identities, &from("10.0.0.2", login("car-7", "secret"))).await.is_ok(),
        "from elsewhere it may"
    );
}

#[tokio::test]
async fn what_a_handshake_proved_is_never_throttled() {
    let lookup = Lookup::CommonName("car-7".to_owned());
    let database =
        Database::of([device("car-7", None, vec![credential("1", lookup, CredentialSecret::None)])]);
    let identities = identities(&database);
    for number in 0..30 {
        let _ = ask(&identities, &from("10.0.0.1", login(&format!("n{number}"), "x"))).await;
    }
    assert_eq!(cause(&identities, &from("10.0.0.1", login("n", "x"))).await, RefusalCause::Throttled);
    assert!(ask(&identities, &from("10.0.0.1", certificate("car-7", 1))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn suspects_are_held_for_a_while_if_the_document_says_so() {
    let database = Database::of([device("car-7", None, vec![password("1", "car-7", "x")])]);
    let suspicion = || Suspicion {
        principal: Principal::Device { id: "car-7".into(), owner: None },
        session: "car-7".into(),
        takeovers: 11,
        peers: Vec::new(),
    };
    let lenient = identities(&database);
    lenient.suspect(suspicion());
    assert!(ask(&lenient, &login("car-7", "x")).await.is_ok(), "by default the log says so, and that is all");

    let mut policy = IdentityPolicy::default();
    policy.duplicates.quarantine = Some(Duration::from_secs(600));
    let strict = Identities::new(Parts { policy, ..parts(&database) });
    assert!(ask(&strict, &login("car-7", "x")).await.is_ok());
    strict.suspect(suspicion());
    let subject = Subject::Device("car-7".into());
    let held = IdentityChange { subject: subject.clone(), standing: Standing::Quarantined };
    assert_eq!(told(&strict).await, [held]);
    assert_eq!(cause(&strict, &login("car-7", "x")).await, RefusalCause::Quarantined);
    tokio::task::yield_now().await;
    let acts = database.acts.lock().unwrap().clone();
    assert!(acts.iter().any(|act| act.contains("Quarantine")), "{acts:?}");

    // Reinstated by an operator: the registry says something new of it.
    let _ = tokio::time::timeout(Duration::from_secs(1), strict.changes()).await;
    database.note(subject, false);
    let _ = tokio::time::timeout(Duration::from_secs(1), strict.changes()).await;
    assert!(ask(&strict, &login("car-7", "x")).await.is_ok());
}

/// Begins something that somebody waits for later.
async fn begin<T>(future: &mut Pending<T>) {
    std::future::poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_was_read_before_a_quarantine_and_is_decided_after_it_was_noted_is_held_too() {
    let lookup = Lookup::CommonName("car-7".to_owned());
    let car = device("car-7", None, vec![credential("1", lookup, CredentialSecret::None)]);
    let database = Database::of([car.clone()]);
    let mut policy = IdentityPolicy::default();
    policy.duplicates.quarantine = Some(Duration::from_secs(600));
    let identities = Identities::new(Parts { policy, ..parts(&database) });
    database.slow.store(100, Ordering::SeqCst);
    let claim = Box::new(certificate("car-7", 1));
    let mut first = identities.identify(claim.clone());
    let mut second = identities.identify(claim);
    begin(&mut first).await;
    begin(&mut second).await;
    assert_eq!(database.asked(), 1, "both wait for one answer");
    tokio::time::sleep(Duration::from_millis(10)).await;
    identities.suspect(Suspicion {
        principal: car.principal.clone(),
        session: "car-7".into(),
        takeovers: 11,
        peers: Vec::new(),
    });
    database.put(Record { status: Status::Quarantined { until: in_an_hour() }, ..car });
    assert_eq!(first.await.unwrap_err().cause, RefusalCause::Quarantined, "the node itself holds it");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(second.await.unwrap_err().cause, RefusalCause::Quarantined, "its record says so by now");
}
