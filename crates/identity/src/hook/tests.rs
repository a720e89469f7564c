#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use windrose_event::{CertificateClaim, Principal, RefusalCause, Secret};

const NOW: u64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_micros(NOW * 1_000_000)
}

/// A hook's service: answers what a test says and remembers what it was asked.
#[derive(Default)]
struct Service {
    answer: Mutex<Option<Fetched>>,
    asked: Mutex<Vec<FetchRequest>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Service {
    fn new(status: u16, body: &Value) -> Arc<Self> {
        let service = Arc::new(Self::default());
        service.says(status, body, None);
        service
    }

    fn says(&self, status: u16, body: &Value, max_age: Option<Duration>) {
        *self.answer.lock().unwrap() = Some(Fetched { status, max_age, body: body.to_string().into() });
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

struct Fetching(Arc<Service>);

impl Fetch for Fetching {
    fn fetch(&self, request: FetchRequest) -> Pending<Result<Fetched, String>> {
        let service = Arc::clone(&self.0);
        Box::pin(async move {
            let at_once = service.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            service.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            service.at_once.fetch_sub(1, Ordering::SeqCst);
            service.asked.lock().unwrap().push(request);
            service.answer.lock().unwrap().clone().ok_or_else(|| "connection refused".to_owned())
        })
    }
}

fn hook(service: &Arc<Service>) -> Hook {
    let policy = IdentityHook {
        url: "https://ids.example/who".into(),
        headers: vec![("authorization".to_owned(), windrose_policy::PoolHeader("Bearer x".into()))],
        ca: None,
        timeout: Duration::from_secs(2),
        cache: Duration::from_secs(60),
    };
    let service = Arc::clone(service);
    Hook::open(&policy, &move |_| Ok(Arc::new(Fetching(Arc::clone(&service))))).unwrap()
}

fn claim() -> Claim {
    Claim {
        session: Some("s-1".into()),
        username: Some("car-7".into()),
        password: Some(Secret::new("secret")),
        listener: "mqtts".into(),
        peer: Some("192.0.2.1:5000".parse().unwrap()),
        ..Claim::default()
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_once_and_says_who_it_is() {
    let service = Service::new(
        200,
        &json!({"device": "car-7", "owner": "alice", "groups": ["cars"], "claims": {"tier": 2}, "until": NOW + 90}),
    );
    let hook = hook(&service);
    assert!(hook.ask_at_once(&claim(), now()).is_none());
    let vouched = hook.ask(&claim(), now()).await.unwrap().unwrap();
    assert_eq!(vouched.principal, Principal::Device { id: "car-7".into(), owner: Some("alice".into()) });
    assert_eq!((&*vouched.groups[0], &*vouched.proof.claims[0].1), ("cars", "2"));
    assert_eq!(vouched.proof.until, Some(now() + Duration::from_secs(90)));
    assert!(hook.ask_at_once(&claim(), now()).unwrap().unwrap().is_some());
    assert!(hook.ask_at_once(&claim(), now() + Duration::from_secs(90)).is_none(), "its word has ended");
    for other in [
        Claim { password: Some(Secret::new("Secret")), ..claim() },
        Claim { password: None, api_key: Some(Secret::new("secret")), ..claim() },
        Claim { session: Some("s-2".into()), ..claim() },
        Claim { peer: Some("192.0.2.2:5000".parse().unwrap()), ..claim() },
        Claim { listener: "rest".into(), ..claim() },
        Claim { certificate: Some(Arc::new(CertificateClaim::default())), ..claim() },
    ] {
        assert!(hook.ask_at_once(&other, now()).is_none(), "{other:?}");
    }
    assert_eq!(service.asked(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(hook.ask_at_once(&claim(), now()).is_none(), "after a minute");

    let request = service.asked.lock().unwrap().remove(0);
    let question: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        question,
        json!({"listener": "mqtts", "address": "192.0.2.1", "session": "s-1", "username": "car-7", "password": "secret"})
    );
    assert_eq!((request.method, &*request.url), ("POST", "https://ids.example/who"));
    assert!(request.headers.contains(&("authorization".to_owned(), "Bearer x".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn its_statuses_are_verdicts() {
    let service = Service::new(404, &json!({}));
    let hook = hook(&service);
    assert!(hook.ask(&claim(), now()).await.unwrap().is_none());
    assert!(hook.ask_at_once(&claim(), now()).unwrap().unwrap().is_none(), "for a few seconds");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(hook.ask_at_once(&claim(), now()).is_none());
    for (status, cause) in [
        (401, RefusalCause::BadCredentials),
        (403, RefusalCause::NotAllowed),
        (500, RefusalCause::Unavailable),
        (302, RefusalCause::Unavailable),
        (204, RefusalCause::Unavailable),
    ] {
        service.says(status, &json!({"device": "car-7"}), None);
        assert_eq!(hook.ask(&claim(), now()).await.unwrap_err().cause, cause, "{status}");
        tokio::time::sleep(Duration::from_secs(11)).await;
    }
    *service.answer.lock().unwrap() = None;
    let refusal = hook.ask(&claim(), now()).await.unwrap_err();
    assert_eq!(refusal.cause, RefusalCause::Unavailable);
    assert!(refusal.detail.contains("connection refused"));
    assert!(hook.ask_at_once(&claim(), now()).is_none(), "that is not remembered");
}

#[tokio::test(start_paused = true)]
async fn answers_that_make_no_sense_let_nobody_in() {
    let service = Service::new(200, &json!({}));
    let hook = hook(&service);
    for nonsense in [
        json!({}),
        json!([]),
        json!("car-7"),
        json!({"device": "a/b"}),
        json!({"device": ["a"]}),
        json!({"device": "a", "until": "tomorrow"}),
        json!({"device": "a", "until": -1}),
        json!({"device": "a", "claims": []}),
        json!({"device": "a", "registered": "yes"}),
        json!({"device": "a", "owner": "#"}),
    ] {
        service.says(200, &nonsense, None);
        let refusal = hook.ask(&claim(), now()).await.unwrap_err();
        assert_eq!(refusal.cause, RefusalCause::Unavailable, "{nonsense}");
    }
    service.says(200, &json!({"device": "a", "until": "2020-01-01T00:00:00Z"}), None);
    assert_eq!(
        hook.ask(&claim(), now()).await.unwrap_err().cause,
        RefusalCause::BadCredentials,
        "it is over"
    );
}

#[tokio::test(start_paused = true)]
async fn it_says_itself_how_long_its_word_holds() {
    let service = Service::new(200, &json!({"service": "billing"}));
    let hook = hook(&service);
    service.says(200, &json!({"service": "billing"}), Some(Duration::ZERO));
    assert!(hook.ask(&claim(), now()).await.is_ok());
    assert!(hook.ask_at_once(&claim(), now()).is_none());
    service.says(200, &json!({"service": "billing"}), Some(Duration::from_secs(600)));
    assert!(hook.ask(&claim(), now()).await.is_ok());
    tokio::time::sleep(Duration::from_secs(599)).await;
    assert!(hook.ask_at_once(&claim(), now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_storm_asks_it_so_many_questions_at_once_and_no_more() {
    let service = Service::new(200, &json!({"device": "a"}));
    let hook = hook(&service);
    let storm: Vec<_> = (0..500)
        .map(|count| {
            let claim = Claim { username: Some(format!("car-{count}").as_str().into()), ..claim() };
            tokio::spawn(hook.ask(&claim, now()))
        })
        .collect();
    for answer in storm {
        assert!(answer.await.unwrap().is_ok());
    }
    assert_eq!((service.asked(), service.most_at_once.load(Ordering::SeqCst)), (500, IN_FLIGHT));
}
