//! Identity tokens on their way to services.

use crate::client::{LIMIT, send};
use crate::host::{connect, willing};
use crate::service::{Act, start};
use crate::support::{event, pool, run};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use windrose_event::{Event, Identity, Origin, Outcome, Principal, Timestamp};
use windrose_identity::TokenSigner;
use windrose_network::http::client::PoolClient;

const WANTED: &str = "identity_token: {audience: api, header: X-Who}";

/// A client whose node signs.
fn client() -> Rc<PoolClient> {
    let signer = TokenSigner::new("edge-1");
    let (keys, _) = TokenSigner::prepare(None, Timestamp::from_micros(1)).unwrap();
    signer.replace(Some(keys));
    PoolClient::new("edge-1".into(), Arc::new(|_| Err(io::ErrorKind::NotFound.into())), Arc::new(signer))
}

fn of(principal: Principal) -> Event {
    let event = event("a/b", "{}");
    let identity = Identity { principal, ..Identity::anonymous() };
    Event { origin: Arc::new(Origin { identity, ..(*event.origin).clone() }), ..event }
}

fn device(id: &str) -> Event {
    of(Principal::Device { id: id.into(), owner: Some("alice".into()) })
}

/// The tokens of one request.
fn tokens(request: &str) -> Vec<String> {
    let head = request.split("\r\n\r\n").next().unwrap();
    head.lines().filter_map(|line| line.strip_prefix("x-who: ")).map(str::to_owned).collect()
}

/// The tokens of the requests that these batches of events make.
async fn sent(settings: &str, batches: Vec<Vec<Event>>) -> Vec<Vec<String>> {
    let (address, requests) = start(|_, _| Act::ok()).await;
    let (client, pool) = (client(), pool(&format!("http://{address}/"), settings));
    for batch in batches {
        assert_eq!(send(&client, &pool, batch, LIMIT).await.outcome, Outcome::Accepted);
    }
    let requests = requests.borrow();
    requests.iter().map(|(_, request)| tokens(request)).collect()
}

#[test]
fn a_request_says_who_published_in_every_mode() {
    run(async {
        for mode in ["binary", "structured", "batch"] {
            let settings = format!("{WANTED}, mode: {mode}");
            let batches = vec![vec![device("car-7")], vec![device("car-7")], vec![device("car-8")]];
            let sent = sent(&settings, batches).await;
            let [first, second, other] = &sent[..] else { panic!("three requests: {sent:?}") };
            assert_eq!(first.len(), 1, "{mode}");
            assert_eq!(first[0].split('.').count(), 3);
            assert_eq!(first, second, "one token does for many events");
            assert_ne!(first, other, "each has its own");
        }
    });
}

#[test]
fn one_token_is_never_for_several_senders() {
    run(async {
        let settings = format!("{WANTED}, mode: batch");
        let batches = vec![
            vec![device("car-7"), device("car-7")],
            vec![device("car-7"), device("car-8")],
            vec![device("car-7"), of(Principal::Anonymous)],
        ];
        let counts: Vec<_> = sent(&settings, batches).await.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 0, 0]);
    });
}

#[test]
fn nobody_vouches_for_the_anonymous_nor_where_nobody_asks() {
    run(async {
        assert_eq!(sent(WANTED, vec![vec![of(Principal::Anonymous)]]).await, [Vec::<String>::new()]);
        assert_eq!(sent("mode: binary", vec![vec![device("car-7")]]).await, [Vec::<String>::new()]);
    });
}

#[test]
fn a_device_that_is_somebody_elses_now_gets_another_token() {
    run(async {
        let bobs = of(Principal::Device { id: "car-7".into(), owner: Some("bob".into()) });
        let mut grouped = device("car-7");
        let identity = Identity { groups: ["cars".into()].into(), ..grouped.origin.identity.clone() };
        grouped.origin = Arc::new(Origin { identity, ..(*grouped.origin).clone() });
        let sent = sent(WANTED, vec![vec![device("car-7")], vec![bobs], vec![grouped]]).await;
        assert!(sent[0] != sent[1] && sent[1] != sent[2] && sent[0] != sent[2], "{sent:?}");
    });
}

#[test]
fn services_read_the_keys_without_credentials() {
    run(async {
        let host = willing();
        assert_eq!(connect(&host).ask("GET /.well-known/jwks.json", &[], "").await.status, 404);
        *host.keys.borrow_mut() = Some("{\"keys\":[]}".into());
        let answer = connect(&host).ask("GET /.well-known/jwks.json", &[], "").await;
        assert_eq!((answer.status, &*answer.body), (200, "{\"keys\":[]}"));
        assert_eq!(connect(&host).ask("POST /.well-known/jwks.json", &[], "").await.status, 405);
        assert!(host.claims.borrow().is_empty());
    });
}
