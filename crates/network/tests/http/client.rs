//! Events on their way to services.

use crate::service::{Act, start};
use crate::support::{event, pool, question, run};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use windrose_engine::{Answer, Dispatch, DispatchId, ReplyForm};
use windrose_event::{Cause, Details, Event, Outcome};
use windrose_identity::TokenSigner;
use windrose_network::http::client::PoolClient;
use windrose_policy::Pool;

pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// Sends events to a pool's first member and waits for the answer.
pub(crate) async fn send(
    client: &Rc<PoolClient>,
    pool: &Arc<Pool>,
    events: Vec<Event>,
    timeout: Duration,
) -> Answer {
    let (done, answer) = oneshot::channel();
    let dispatch = Dispatch {
        id: DispatchId(7),
        pool: Arc::clone(pool),
        member: 0,
        events: events.into_iter().map(Arc::new).collect(),
        timeout,
        form: ReplyForm::default(),
    };
    client.dispatch(dispatch, move |id, answer| {
        assert_eq!(id, DispatchId(7));
        done.send(answer).unwrap();
    });
    answer.await.expect("a dispatch is answered, whatever happens")
}

async fn outcome(client: &Rc<PoolClient>, pool: &Arc<Pool>) -> Outcome {
    send(client, pool, vec![event("a/b", "{\"x\":1}")], LIMIT).await.outcome
}

pub(crate) fn client() -> Rc<PoolClient> {
    PoolClient::new(
        "edge-1".into(),
        Arc::new(|_: &Path| Err(io::ErrorKind::NotFound.into())),
        Arc::new(TokenSigner::new("edge-1")),
    )
}

fn unavailable() -> Outcome {
    Outcome::unavailable()
}

#[test]
fn requests_share_one_connection_and_say_what_the_document_says() {
    run(async {
        let (address, requests) = start(|_, _| Act::ok()).await;
        let pool = pool(&format!("http://{address}/events?from=edge"), "headers: {Authorization: Bearer k1}");
        let client = client();
        for _ in 0..3 {
            assert_eq!(outcome(&client, &pool).await, Outcome::Accepted);
        }
        let requests = requests.borrow();
        assert_eq!(requests.iter().map(|(connection, _)| *connection).collect::<Vec<_>>(), [0, 0, 0]);
        let request = &requests[0].1;
        assert!(request.starts_with("POST /events?from=edge HTTP/1.1\r\n"), "{request}");
        for line in [
            format!("host: {address}"),
            "authorization: Bearer k1".to_owned(),
            "ce-source: windrose://edge-1/devices/car-7".to_owned(),
            "ce-subject: a/b".to_owned(),
            "content-type: application/json".to_owned(),
        ] {
            assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
        }
        assert!(request.ends_with("\r\n\r\n{\"x\":1}"), "{request}");
    });
}

#[test]
fn a_dead_service_is_unavailable() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(outcome(&client(), &pool(&format!("http://{address}/"), "")).await, unavailable());
        assert_eq!(outcome(&client(), &pool("http://no-such-name.invalid/", "")).await, unavailable());
    });
}

#[test]
fn a_slow_service_times_out_and_its_connection_is_not_used_again() {
    run(async {
        let (address, requests) =
            start(|connection, _| if connection == 0 { Act::Hang } else { Act::ok() }).await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        let started = Instant::now();
        let answer = send(&client, &pool, vec![event("a", "x")], Duration::from_millis(100)).await;
        assert_eq!(answer.outcome, Outcome::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(2));
        assert_eq!(outcome(&client, &pool).await, Outcome::Accepted);
        assert_eq!(requests.borrow().len(), 2);
    });
}

#[test]
fn garbage_is_no_answer() {
    run(async {
        for garbage in [
            "SSH-2.0-OpenSSH_9.9\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
            "\r\n\r\n\r\n",
        ] {
            let (address, requests) = start(move |_, _| Act::AnswerAndClose(garbage.into())).await;
            assert_eq!(
                outcome(&client(), &pool(&format!("http://{address}/"), "")).await,
                unavailable(),
                "{garbage}"
            );
            assert_eq!(requests.borrow().len(), 1, "a fresh connection's failure is the engine's to retry");
        }
    });
}

#[test]
fn a_connection_that_the_service_closed_meanwhile_is_replaced_at_once() {
    run(async {
        // The second request on the first connection finds it closing.
        let (address, requests) = start(|connection, request| match (connection, request) {
            (0, 1) => Act::Close,
            _ => Act::ok(),
        })
        .await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        assert_eq!(outcome(&client, &pool).await, Outcome::Accepted);
        assert_eq!(outcome(&client, &pool).await, Outcome::Accepted);
        let connections: Vec<_> = requests.borrow().iter().map(|(connection, _)| *connection).collect();
        assert_eq!(connections, [0, 0, 1]);
    });
}

#[test]
fn a_service_that_always_closes_is_tried_twice_at_most() {
    run(async {
        let (address, requests) =
            start(|connection, request| if (connection, request) == (0, 0) { Act::ok() } else { Act::Close })
                .await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        assert_eq!(outcome(&client, &pool).await, Outcome::Accepted);
        assert_eq!(outcome(&client, &pool).await, unavailable());
        assert_eq!(requests.borrow().len(), 3);
    });
}

#[test]
fn the_services_word_becomes_the_outcome() {
    run(async {
        let (address, _) = start(|_, request| match request {
            0 => Act::answer(
                "404 Not Found",
                "content-type: application/problem+json\r\n",
                "{\"title\":\"No such car\"}",
            ),
            1 => Act::answer("503 Service Unavailable", "retry-after: 7\r\n", "later"),
            2 => Act::answer("429 Too Many Requests", "", ""),
            3 => Act::answer("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
            _ => Act::answer("500 Internal Server Error", "", "<html>"),
        })
        .await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        assert_eq!(
            outcome(&client, &pool).await,
            Outcome::rejected_because(Cause::ByService, "HTTP 404: No such car")
        );
        let later = Some(Duration::from_secs(7));
        assert_eq!(outcome(&client, &pool).await, Outcome::Unavailable { retry_after: later });
        assert_eq!(outcome(&client, &pool).await, Outcome::Busy { retry_after: None });
        assert!(matches!(outcome(&client, &pool).await, Outcome::Rejected(_)), "redirects are not followed");
        assert_eq!(outcome(&client, &pool).await, unavailable());
    });
}

#[test]
fn the_answer_is_the_reply_to_those_who_asked() {
    run(async {
        let (address, _) = start(|_, request| match request {
            0 | 1 => Act::answer("200 OK", "content-type: application/json\r\n", "{\"lat\":47}"),
            2 => Act::Answer(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                    .to_vec(),
            ),
            3 => Act::answer("202 Accepted", "", ""),
            _ => Act::ok(),
        })
        .await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        assert!(send(&client, &pool, vec![event("a", "x")], LIMIT).await.reply.is_none(), "nobody asked");
        let reply = send(&client, &pool, vec![question("a")], LIMIT).await.reply.unwrap();
        assert_eq!(reply.payload, "{\"lat\":47}");
        assert_eq!(reply.content_type.as_deref(), Some("application/json"));
        let reply = send(&client, &pool, vec![question("a")], LIMIT).await.reply.unwrap();
        assert_eq!(reply.payload, "abcde");
        assert!(send(&client, &pool, vec![question("a")], LIMIT).await.reply.is_none(), "202 is a promise");
        assert_eq!(send(&client, &pool, vec![question("a")], LIMIT).await.reply.unwrap().payload, "");
    });
}

#[test]
fn an_answer_that_is_too_long_is_not_kept() {
    run(async {
        let (address, requests) = start(|_, _| Act::answer("200 OK", "", &"x".repeat(3 << 20))).await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        let answer = send(&client, &pool, vec![question("a")], LIMIT).await;
        assert_eq!(answer.outcome, Outcome::Accepted);
        assert!(answer.reply.is_none());
        assert_eq!(outcome(&client, &pool).await, Outcome::Accepted);
        assert_eq!(requests.borrow()[1].0, 1, "its connection is of no more use");
    });
}

#[test]
fn a_large_event_reaches_a_service_that_reads_slowly() {
    run(async {
        let (address, requests) = start(|_, _| Act::ok()).await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        // More than the kernel takes at once.
        let payload = "x".repeat(12 << 20);
        for _ in 0..2 {
            let answer = send(&client, &pool, vec![event("a", &payload)], LIMIT).await;
            assert_eq!(answer.outcome, Outcome::Accepted);
        }
        let requests = requests.borrow();
        assert_eq!(requests.iter().map(|(connection, _)| *connection).collect::<Vec<_>>(), [0, 0]);
        assert!(requests.iter().all(|(_, request)| request.ends_with(&payload)));
    });
}

#[test]
fn an_answer_that_does_not_wait_for_the_whole_event_counts() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            let mut kept = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_exact(&mut [0; 4]).await.unwrap();
                stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                kept.push(stream);
            }
        });
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        let payload = "x".repeat(12 << 20);
        for _ in 0..2 {
            let outcome = send(&client, &pool, vec![event("a", &payload)], LIMIT).await.outcome;
            assert_eq!(outcome, Outcome::rejected_because(Cause::ByService, "HTTP 413"));
        }
    });
}

#[test]
fn interim_answers_are_not_the_answer_and_what_nobody_asked_for_ends_the_connection() {
    run(async {
        let (address, requests) = start(|_, request| match request {
            0 => Act::Answer(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            _ => Act::Answer(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 No\r\n\r\n".to_vec()),
        })
        .await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        for _ in 0..3 {
            assert_eq!(outcome(&client, &pool).await, Outcome::Accepted);
        }
        let connections: Vec<_> = requests.borrow().iter().map(|(connection, _)| *connection).collect();
        assert_eq!(connections, [0, 0, 1]);
    });
}

#[test]
fn each_request_has_its_own_time_limit() {
    run(async {
        let (address, _) = start(|_, _| Act::Hang).await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        let one = |limit| send(&client, &pool, vec![event("a", "x")], Duration::from_millis(limit));
        let started = Instant::now();
        let (long, short) = tokio::join!(one(600), async {
            let answer = one(50).await;
            (answer, started.elapsed())
        });
        assert_eq!((long.outcome, short.0.outcome), (Outcome::TimedOut, Outcome::TimedOut));
        assert!(short.1 < Duration::from_millis(600), "it does not wait for the other: {:?}", short.1);
        assert!(started.elapsed() >= Duration::from_millis(600));
    });
}

#[test]
fn a_trace_of_the_event_takes_the_place_of_the_documents() {
    run(async {
        let (address, requests) = start(|_, _| Act::ok()).await;
        let pool = pool(&format!("http://{address}/"), "headers: {traceparent: of-the-document}");
        let client = client();
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let details = Details { headers: vec![("traceparent".into(), parent.into())], ..Details::default() };
        let traced = Event { details: Some(Box::new(details)), ..event("a", "x") };
        for event in [traced, event("a", "x")] {
            assert_eq!(send(&client, &pool, vec![event], LIMIT).await.outcome, Outcome::Accepted);
        }
        let said = |index: usize| {
            let request = requests.borrow()[index].1.clone();
            let lines = request.lines().filter_map(|line| line.strip_prefix("traceparent: "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!((said(0), said(1)), (vec![parent.to_owned()], vec!["of-the-document".to_owned()]));
    });
}

#[test]
fn structured_and_batch_mode_are_json() {
    run(async {
        let (address, requests) = start(|_, _| Act::ok()).await;
        let client = client();
        let url = format!("http://{address}/");
        let events = || vec![event("a", "{\"n\":1}"), event("b", "2")];
        let answer = send(&client, &pool(&url, "mode: batch"), events(), LIMIT).await;
        assert_eq!(answer.outcome, Outcome::Accepted);
        assert_eq!(outcome(&client, &pool(&url, "mode: structured")).await, Outcome::Accepted);
        let requests = requests.borrow();
        assert!(
            requests[0].1.contains("content-type: application/cloudevents-batch+json"),
            "{}",
            requests[0].1
        );
        let body = requests[0].1.split_once("\r\n\r\n").unwrap().1;
        let batch: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&batch[0]["data"]["n"], &batch[1]["subject"]), (&1.into(), &"b".into()));
        assert!(requests[1].1.contains("content-type: application/cloudevents+json"), "{}", requests[1].1);
    });
}

#[test]
fn many_at_once_use_connections_of_their_own_and_keep_them() {
    run(async {
        let (address, requests) = start(|_, _| Act::ok()).await;
        let (client, pool) = (client(), pool(&format!("http://{address}/"), ""));
        for _ in 0..2 {
            let all = (0..8).map(|_| outcome(&client, &pool));
            let outcomes = futures_util::future::join_all(all).await;
            assert!(outcomes.iter().all(Outcome::is_accepted), "{outcomes:?}");
        }
        let most = requests.borrow().iter().map(|(connection, _)| *connection).max();
        assert_eq!(most, Some(7), "the second round uses the connections of the first");
    });
}

#[test]
fn connections_of_pools_that_are_gone_are_closed() {
    run(async {
        let (address, requests) = start(|_, _| Act::ok()).await;
        let url = format!("http://{address}/");
        let (client, before) = (client(), pool(&url, ""));
        outcome(&client, &before).await;
        let same = pool(&url, "");
        client.retain_pools(&[Arc::clone(&same)]);
        outcome(&client, &same).await;
        assert_eq!(requests.borrow()[1].0, 0, "the same pool in a new document keeps its connection");
        client.retain_pools(&[]);
        outcome(&client, &same).await;
        assert_eq!(requests.borrow()[2].0, 1);
    });
}

/// A service of HTTP/2 that counts its connections and answers 204 after a moment.
async fn http2_service() -> (String, Rc<Cell<usize>>, Rc<RefCell<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let (connections, seen) = (Rc::new(Cell::new(0)), Rc::new(RefCell::default()));
    let (counted, noted) = (Rc::clone(&connections), Rc::clone(&seen));
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.set(counted.get() + 1);
            let noted: Rc<RefCell<Vec<String>>> = Rc::clone(&noted);
            tokio::task::spawn_local(async move {
                let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let noted = Rc::clone(&noted);
                    async move {
                        let subject = request.headers()["ce-subject"].to_str().unwrap();
                        noted.borrow_mut().push(format!(
                            "{:?} {} {subject}",
                            request.version(),
                            request.uri()
                        ));
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        let _ = request.into_body().collect().await;
                        Ok::<_, Infallible>(
                            http::Response::builder().status(204).body(Empty::<Bytes>::new()).unwrap(),
                        )
                    }
                });
                let builder = hyper::server::conn::http2::Builder::new(Local);
                let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    (url, connections, seen)
}

#[derive(Clone, Copy)]
pub(crate) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

#[test]
fn http2_requests_share_one_connection_at_once() {
    run(async {
        let (url, connections, seen) = http2_service().await;
        let (client, pool) = (client(), pool(&url, "version: \"2\""));
        let outcomes = futures_util::future::join_all((0..20).map(|_| outcome(&client, &pool))).await;
        assert!(outcomes.iter().all(Outcome::is_accepted), "{outcomes:?}");
        assert_eq!(outcome(&client, &pool).await, Outcome::Accepted);
        assert_eq!(connections.get(), 1);
        assert_eq!(seen.borrow()[0], format!("HTTP/2.0 {url} a/b"));
    });
}

#[test]
fn a_service_that_does_not_speak_http2_is_unavailable() {
    run(async {
        let (address, _) = start(|_, _| Act::ok()).await;
        let pool = pool(&format!("http://{address}/"), "version: \"2\"");
        let answer = send(&client(), &pool, vec![event("a", "x")], Duration::from_millis(500)).await;
        assert!(answer.outcome.is_retriable(), "{:?}", answer.outcome);
    });
}
