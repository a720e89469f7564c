//! Keys that are fetched.

use super::*;

fn fetched(server: &Arc<KeyServer>) -> Issuers {
    reloaded(server, "windrose", None)
}

fn reloaded(server: &Arc<KeyServer>, audience: &str, before: Option<&Issuers>) -> Issuers {
    let policy = policy(KeySource::Url("https://idp.example/jwks".into()));
    let tokens = vec![TokenIssuer { audience: vec![audience.into()], ..policy }];
    let identity = IdentityPolicy { tokens, ..IdentityPolicy::default() };
    let server = Arc::clone(server);
    let fetchers = move |_: Option<&Path>| Ok(Arc::new(Arc::clone(&server)) as Arc<dyn Fetch>);
    Issuers::open(&identity, &fetchers, &|_| Ok(Vec::new()), before).unwrap()
}

fn serving(keys: &[&SigningKey]) -> Arc<KeyServer> {
    Arc::new(KeyServer { answer: Mutex::new(Some(jwks(keys))), ..KeyServer::default() })
}

async fn ask(issuers: &Issuers, token: &str) -> Result<Arc<Vouched>, Refusal> {
    issuers.verify(Secret::new(token.to_owned()), now()).await
}

fn asked(server: &KeyServer) -> usize {
    server.asked.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_however_many_wait() {
    let key = SigningKey::new("a", Algorithm::EdDSA);
    let server =
        Arc::new(KeyServer { answer: Mutex::new(Some(jwks(&[&key]))), slow: true, ..KeyServer::default() });
    let issuers = fetched(&server);
    let waiting: Vec<_> = (0..50)
        .map(|count| {
            let token = key.sign(&with("sub", json!(format!("car-{count}"))));
            assert!(issuers.verify_at_once(token.as_bytes(), now()).is_none());
            tokio::spawn(issuers.verify(Secret::new(token), now()))
        })
        .collect();
    for verdict in waiting {
        assert!(verdict.await.unwrap().is_ok());
    }
    assert_eq!(asked(&server), 1);
    assert!(verdict(&issuers, &key.sign(&claims())).is_ok(), "at once from now on");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_an_old_one_forgotten() {
    let (old, new) = (SigningKey::new("old", Algorithm::ES256), SigningKey::new("new", Algorithm::ES256));
    let server = serving(&[&old]);
    let issuers = fetched(&server);
    assert!(ask(&issuers, &old.sign(&claims())).await.is_ok());
    *server.answer.lock().unwrap() = Some(jwks(&[&new]));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(ask(&issuers, &new.sign(&claims())).await.is_ok(), "it is asked for again when it is missing");
    let refusal = ask(&issuers, &old.sign(&claims())).await.unwrap_err();
    assert_eq!(refusal.cause, RefusalCause::BadCredentials, "what it proved a moment ago counts no more");
}

#[tokio::test(start_paused = true)]
async fn made_up_keys_cause_few_questions() {
    let key = SigningKey::new("a", Algorithm::EdDSA);
    let server = serving(&[&key]);
    let issuers = fetched(&server);
    assert!(ask(&issuers, &key.sign(&claims())).await.is_ok());
    for count in 0..1_000 {
        let token = key.sign_as(&json!({"alg": "EdDSA", "kid": format!("k{count}")}), &claims());
        assert_eq!(ask(&issuers, &token).await.unwrap_err().cause, RefusalCause::BadCredentials);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!((3..=4).contains(&asked(&server)), "in half a minute: {}", asked(&server));
}

#[tokio::test(start_paused = true)]
async fn known_keys_outlive_their_server_for_a_while() {
    let key = SigningKey::new("a", Algorithm::EdDSA);
    let server = serving(&[&key]);
    let issuers = fetched(&server);
    let token = |count: u32| key.sign(&with("sub", json!(format!("car-{count}"))));
    assert!(ask(&issuers, &token(1)).await.is_ok());
    *server.answer.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(ask(&issuers, &token(2)).await.is_ok());
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    let refusal = ask(&issuers, &token(3)).await.unwrap_err();
    assert_eq!(refusal.cause, RefusalCause::Unavailable);
    assert!(refusal.detail.contains("connection refused"), "{}", refusal.detail);
    *server.answer.lock().unwrap() = Some(jwks(&[&key]));
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(ask(&issuers, &token(4)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_not_asked_by_everybody() {
    let key = SigningKey::new("a", Algorithm::EdDSA);
    let server = Arc::new(KeyServer::default());
    let issuers = fetched(&server);
    for _ in 0..600 {
        let refusal = ask(&issuers, &key.sign(&claims())).await.unwrap_err();
        assert_eq!(refusal.cause, RefusalCause::Unavailable);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((4..=9).contains(&asked(&server)), "in a minute: {}", asked(&server));
}

#[tokio::test(start_paused = true)]
async fn nonsense_from_the_server_changes_nothing() {
    let key = SigningKey::new("a", Algorithm::EdDSA);
    let server = serving(&[&key]);
    let issuers = fetched(&server);
    assert!(ask(&issuers, &key.sign(&claims())).await.is_ok());
    for nonsense in [&b"<html>"[..], b"{\"keys\": []}", b"", &[b'['; 300_000]] {
        *server.answer.lock().unwrap() = Some(nonsense.to_vec());
        tokio::time::sleep(Duration::from_secs(400)).await;
        assert!(ask(&issuers, &key.sign(&with("jti", json!(nonsense.len())))).await.is_ok());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(asked(&server) > 3);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_keys_and_holds_tokens_to_the_new_document() {
    let key = SigningKey::new("a", Algorithm::EdDSA);
    let server = serving(&[&key]);
    let issuers = fetched(&server);
    let token = key.sign(&claims());
    let first = ask(&issuers, &token).await.unwrap();
    *server.answer.lock().unwrap() = None;
    let same = reloaded(&server, "windrose", Some(&issuers));
    assert!(Arc::ptr_eq(&first, &verdict(&same, &token).unwrap()), "what was verified is remembered");
    let other = reloaded(&server, "elsewhere", Some(&same));
    assert!(refused(&other, &token).contains("audience"));
    assert!(verdict(&other, &key.sign(&with("aud", json!("elsewhere")))).is_ok());
    assert_eq!(asked(&server), 1, "the server is not needed for that");
}
