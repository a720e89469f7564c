//! The REST listener, as its callers see it.

use crate::host::{connect, host, willing};
use crate::support::{event, run};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use windrose_event::{
    Assurance, Cause, CloseReason, Delivery, Directive, Intent, Outcome, Refusal, RefusalCause, Rejection,
    Tag,
};

fn parse(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

#[test]
fn a_post_publishes() {
    run(async {
        let host = willing();
        let mut client = connect(&host);
        let curl = "content-type: application/x-www-form-urlencoded";
        let answer = client.ask("POST /v1/events/devices/car-7/honk", &[curl], "{}").await;
        assert_eq!(answer.status, 202);
        assert!(answer.head.contains("content-type: application/json\r\n"), "{}", answer.head);
        assert_eq!(parse(&answer.body), json!({"outcome": "accepted", "heard": true}));
        let headers = [
            "content-type: text/plain",
            "windrose-assurance: 2",
            "windrose-expiry: 30s",
            "windrose-reply-to: answers",
            "windrose-property-colour: blue",
        ];
        assert_eq!(client.ask("POST /v1/events/a%20b/c", &headers, "hi").await.status, 202);
        let published = host.published.borrow();
        assert_eq!(published[0].address.as_str(), "devices/car-7/honk");
        assert_eq!(published[0].payload, "{}");
        assert_eq!((published[0].assurance, published[0].retain), (Assurance::AtLeastOnce, false));
        assert!(published[0].details.is_none(), "what curl calls a form has no type");
        assert_eq!(published[1].address.as_str(), "a b/c");
        assert_eq!(published[1].assurance, Assurance::ExactlyOnce);
        assert_eq!(published[1].expiry, Some(Duration::from_secs(30)));
        let details = published[1].details.as_ref().unwrap();
        assert_eq!(details.content_type.as_deref(), Some("text/plain"));
        assert_eq!(details.reply_to.as_ref().unwrap().as_str(), "answers");
        assert_eq!(details.headers, [("colour".into(), "blue".into())]);
        assert_eq!(
            *host.others.borrow(),
            ["Release { tag: Tag(2) }"],
            "the exactly-once event may be forgotten"
        );
    });
}

#[test]
fn a_connection_asks_once_who_its_caller_is() {
    run(async {
        let host = willing();
        let mut client = connect(&host);
        for key in ["one", "one", "two", "two"] {
            let bearer = format!("authorization: Bearer {key}");
            assert_eq!(client.ask("POST /v1/events/a", &[&bearer], "x").await.status, 202);
        }
        assert_eq!(
            client.ask("POST /v1/events/a", &["authorization: Basic Y2FyLTc6cHc="], "x").await.status,
            202
        );
        assert_eq!(client.ask("POST /v1/events/a", &["authorization: Digest x"], "x").await.status, 401);
        let claims = host.claims.borrow();
        let keys: Vec<_> =
            claims.iter().map(|claim| claim.api_key.as_ref().map(|key| key.reveal())).collect();
        assert_eq!(keys, [Some(&b"one"[..]), Some(b"two"), None]);
        assert_eq!(claims[2].username.as_deref(), Some("car-7"));
        assert_eq!(&*claims[0].listener, "rest");
        assert!(claims[0].peer.is_some());
    });
}

#[test]
fn who_is_not_let_in_is_told_so_before_the_body_is_read() {
    run(async {
        let host = host("", |queue, intent| {
            if let Intent::Open(_) = intent {
                let detail = "nobody has that key".to_owned();
                queue.push(Directive::Refuse(Refusal { cause: RefusalCause::BadCredentials, detail }));
            }
            true
        });
        let mut client = connect(&host);
        client.write("POST /v1/events/a HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").await;
        let answer = client.answer(false).await;
        assert_eq!(answer.status, 401);
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
        let problem = parse(&answer.body);
        assert_eq!(problem["type"], "urn:windrose:problem:bad_credentials");
        assert!(!answer.body.contains("nobody has that key"), "the registry's words are for the operator");
        assert_eq!(host.ended.get(), 1);
    });
}

#[test]
fn outcomes_become_statuses() {
    run(async {
        let outcomes = [
            (Outcome::rejected(Cause::NotPermitted), 403),
            (Outcome::rejected(Cause::TooLarge), 413),
            (Outcome::rejected_because(Cause::ByService, "HTTP 404: no such car"), 422),
            (Outcome::Busy { retry_after: Some(Duration::from_secs(3)) }, 429),
            (Outcome::Unavailable { retry_after: None }, 503),
            (Outcome::TimedOut, 504),
        ];
        let mut script = outcomes.clone().into_iter();
        let host = host("", move |queue, intent| match intent {
            Intent::Publish(publish) => {
                let (outcome, _) = script.next().unwrap();
                queue.push(Directive::Settle { tag: publish.tag, outcome, heard: false });
                true
            }
            _ => false,
        });
        let mut client = connect(&host);
        for (outcome, status) in outcomes {
            let answer = client.ask("POST /v1/events/a", &[], "x").await;
            assert_eq!(answer.status, status, "{outcome:?}");
            assert_eq!(answer.head.contains("retry-after: "), matches!(status, 429 | 503), "{}", answer.head);
            assert_eq!(parse(&answer.body)["status"], status);
        }
    });
}

#[test]
fn put_sets_and_delete_clears_the_last_value() {
    run(async {
        let host = willing();
        let mut client = connect(&host);
        assert_eq!(client.ask("PUT /v1/events/a", &[], "21.5").await.status, 202);
        assert_eq!(client.ask("DELETE /v1/events/a", &[], "").await.status, 202);
        assert_eq!(client.ask("PUT /v1/events/a", &[], "").await.status, 400);
        let published = host.published.borrow();
        let kept: Vec<_> = published.iter().map(|event| (event.retain, event.payload.clone())).collect();
        assert_eq!(kept, [(true, Bytes::from_static(b"21.5")), (true, Bytes::new())]);
    });
}

#[test]
fn get_and_head_read_the_last_value() {
    run(async {
        let host = host("", |queue, intent| match intent {
            Intent::Read { tag, address } => {
                let value = match address.as_str() {
                    "none" => Ok(None),
                    "secret" => Err(Rejection { cause: Cause::NotPermitted, detail: None }),
                    address => Ok(Some(Arc::new(event(address, "{\"speed\":81}")))),
                };
                queue.push(Directive::Value { tag: *tag, value });
                true
            }
            _ => false,
        });
        let mut client = connect(&host);
        let answer = client.ask("GET /v1/events/devices/car-7/telemetry", &["accept: */*"], "").await;
        assert_eq!((answer.status, &*answer.body), (200, "{\"speed\":81}"));
        for line in [
            "content-type: application/json",
            "ce-subject: devices/car-7/telemetry",
            "ce-deviceid: car-7",
            "ce-source: windrose://edge-1/devices/car-7",
            "cache-control: no-store",
        ] {
            assert!(answer.head.contains(line), "{line} in {}", answer.head);
        }
        let answer = client.ask("HEAD /v1/events/devices/car-7/telemetry", &[], "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-length: 12"), "{}", answer.head);
        assert_eq!(client.ask("GET /v1/events/none", &[], "").await.status, 404);
        assert_eq!(client.ask("GET /v1/events/secret", &[], "").await.status, 403);
        assert_eq!(client.ask("GET /v1/events/a/+", &[], "").await.status, 406);
    });
}

fn deliver(tag: u16, address: &str, payload: &str) -> Directive {
    Directive::Deliver(Delivery {
        tag: Tag(tag),
        event: Arc::new(event(address, payload)),
        assurance: if tag == 0 { Assurance::AtMostOnce } else { Assurance::AtLeastOnce },
        again: false,
        retain: false,
        subscriptions: Default::default(),
    })
}

#[test]
fn a_subscription_is_a_stream_of_server_sent_events() {
    run(async {
        let host = host("", |queue, intent| match intent {
            Intent::Subscribe { tag, requests } => {
                let request = &requests[0];
                assert_eq!(request.filter.as_str(), "devices/+/telemetry/#");
                assert_eq!(request.group.as_deref(), Some("g"));
                assert_eq!(request.assurance, Assurance::AtLeastOnce);
                queue.push(deliver(1, "devices/1/telemetry", "{\n \"n\": 1}"));
                queue.push(Directive::Subscribed { tag: *tag, results: vec![Ok(Assurance::AtLeastOnce)] });
                true
            }
            _ => false,
        });
        let mut client = connect(&host);
        client
            .write("GET /v1/events/devices/+/telemetry/%23?group=g&assurance=1 HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n")
            .await;
        let head = String::from_utf8(client.until(b"\r\n\r\n").await).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        let frame = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            parse(
                text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_else(|| panic!("{text}")),
            )
        };
        let first = frame(client.until(b"}\n\n").await);
        assert_eq!((&first["subject"], &first["data"]["n"]), (&"devices/1/telemetry".into(), &1.into()));
        let queue = host.queues.borrow()[0].clone();
        queue.push(deliver(2, "devices/2/telemetry", "2"));
        let second = frame(client.until(b"}\n\n").await);
        assert_eq!(second["subject"], "devices/2/telemetry");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let settled = host.others.borrow().join(" ");
        assert!(settled.contains("Settle { tag: Tag(1), outcome: Accepted }"), "{settled}");
        assert!(settled.contains("Settle { tag: Tag(2), outcome: Accepted }"), "{settled}");
        queue.push(Directive::Close(CloseReason::ShuttingDown));
        assert!(client.until(b"0\r\n\r\n").await.ends_with(b"0\r\n\r\n"), "the stream ends cleanly");
    });
}

#[test]
fn a_subscription_that_is_not_permitted_is_refused() {
    run(async {
        let host = host("", |queue, intent| match intent {
            Intent::Subscribe { tag, .. } => {
                let no = Err(Rejection { cause: Cause::NotPermitted, detail: None });
                queue.push(Directive::Subscribed { tag: *tag, results: vec![no] });
                true
            }
            _ => false,
        });
        let mut client = connect(&host);
        let stream = "accept: text/html, text/event-stream;q=0.9";
        assert_eq!(client.ask("GET /v1/events/%23", &[stream], "").await.status, 403);
        assert_eq!(client.ask("GET /v1/events/a+/b", &[stream], "").await.status, 400);
        assert_eq!(client.ask("GET /v1/events/a?assurance=2", &[stream], "").await.status, 400);
    });
}

#[test]
fn a_subscriber_that_leaves_ends_its_subscription() {
    run(async {
        let host = host("", |queue, intent| match intent {
            Intent::Subscribe { tag, .. } => {
                queue.push(Directive::Subscribed { tag: *tag, results: vec![Ok(Assurance::AtMostOnce)] });
                true
            }
            _ => false,
        });
        let mut client = connect(&host);
        client.write("GET /v1/events/a HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n").await;
        client.until(b":\n\n").await;
        drop(client);
        while host.ended.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_subscriber_that_reads_nothing_is_cut_and_nothing_piles_up() {
    run(async {
        let host = host("write_timeout: 200ms", |queue, intent| match intent {
            Intent::Subscribe { tag, .. } => {
                queue.push(Directive::Subscribed { tag: *tag, results: vec![Ok(Assurance::AtMostOnce)] });
                true
            }
            _ => false,
        });
        let mut client = connect(&host);
        client.write("GET /v1/events/a HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n").await;
        client.until(b":\n\n").await;
        let queue = host.queues.borrow()[0].clone();
        let payload = "x".repeat(10_000);
        for _ in 0..500 {
            queue.push(deliver(0, "a", &payload));
        }
        let started = Instant::now();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(queue.len() > 300, "what does not fit the transport stays with the engine: {}", queue.len());
        while host.ended.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(started.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_request_is_answered_with_the_things_reply() {
    run(async {
        let host = host("", |queue, intent| match intent {
            Intent::Request(publish) => {
                let tag = publish.tag;
                match publish.publication.address.as_str() {
                    "thing" => {
                        queue.push(Directive::Reply { tag, event: Arc::new(event("reply", "{\"lat\":47}")) })
                    }
                    "nobody" => {
                        queue.push(Directive::Settle { tag, outcome: Outcome::unavailable(), heard: false })
                    }
                    "forbidden" => {
                        let outcome = Outcome::rejected(Cause::NotPermitted);
                        queue.push(Directive::Settle { tag, outcome, heard: false });
                    }
                    _ => queue.push(Directive::Settle { tag, outcome: Outcome::Accepted, heard: true }),
                }
                true
            }
            _ => false,
        });
        let mut client = connect(&host);
        let answer = client.ask("POST /v1/requests/thing?wait=5s", &[], "{}").await;
        assert_eq!((answer.status, &*answer.body), (200, "{\"lat\":47}"));
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        let answer = client.ask("POST /v1/requests/nobody", &[], "{}").await;
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("nobody listens"), "{}", answer.body);
        assert_eq!(client.ask("POST /v1/requests/forbidden", &[], "{}").await.status, 403);
        let ended = host.ended.get();
        let answer = client.ask("POST /v1/requests/silent?wait=50ms", &[], "{}").await;
        assert_eq!(answer.status, 504);
        assert_eq!(host.ended.get(), ended + 1, "a late answer finds nobody");
        assert_eq!(client.ask("POST /v1/requests/thing?wait=soon", &[], "{}").await.status, 400);
    });
}

#[test]
fn a_batch_has_an_outcome_for_each_event() {
    run(async {
        let host = host("", |queue, intent| match intent {
            Intent::Publish(publish) => {
                let outcome = match publish.publication.address.as_str() {
                    "busy" => Outcome::Busy { retry_after: None },
                    _ => Outcome::Accepted,
                };
                queue.push(Directive::Settle { tag: publish.tag, outcome, heard: false });
                true
            }
            _ => false,
        });
        let mut client = connect(&host);
        let batch = |subjects: &[&str]| {
            let event = |subject| json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": subject});
            subjects.iter().map(event).collect::<Value>().to_string()
        };
        let kind = "content-type: application/cloudevents-batch+json";
        let many: Vec<_> = (0..300).map(|index| format!("a/{index}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let answer = client.ask("POST /v1/events", &[kind], &batch(&many)).await;
        assert_eq!(answer.status, 202);
        assert_eq!(parse(&answer.body)["results"].as_array().unwrap().len(), 300);
        let order: Vec<_> = host.published.borrow().iter().map(|event| event.address.to_string()).collect();
        assert_eq!(order, many);
        let answer = client.ask("POST /v1/events", &[kind], &batch(&["a", "busy", "b"])).await;
        assert_eq!(answer.status, 429);
        let names: Vec<_> = parse(&answer.body)["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["outcome"].clone())
            .collect();
        assert_eq!(names, ["accepted", "busy", "accepted"]);
        let answer = client.ask("POST /v1/events", &[kind], &batch(&["a", "b/#"])).await;
        assert_eq!(answer.status, 400);
        assert_eq!(parse(&answer.body)["results"][0]["outcome"], "accepted");
    });
}

#[test]
fn cloudevents_bring_their_address_along() {
    run(async {
        let host = willing();
        let mut client = connect(&host);
        let ce = ["ce-specversion: 1.0", "ce-id: 1", "ce-source: s", "ce-type: t", "ce-subject: a/b"];
        assert_eq!(client.ask("POST /v1/events", &ce, "x").await.status, 202);
        assert_eq!(client.ask("POST /v1/events/c", &ce, "x").await.status, 202, "the path's address wins");
        assert_eq!(client.ask("POST /v1/events", &ce[..4], "x").await.status, 400);
        assert_eq!(client.ask("POST /v1/events", &[], "x").await.status, 400);
        let addresses: Vec<_> =
            host.published.borrow().iter().map(|event| event.address.to_string()).collect();
        assert_eq!(addresses, ["a/b", "c"]);
    });
}

#[test]
fn what_is_not_there_is_told_so() {
    run(async {
        let host = willing();
        let mut client = connect(&host);
        assert_eq!(client.ask("GET /", &[], "").await.status, 404);
        assert_eq!(client.ask("POST /v1/events/a%2Fb", &[], "x").await.status, 400);
        assert_eq!(client.ask("POST /v1/events/a/%23", &[], "x").await.status, 400);
        let answer = client.ask("PATCH /v1/events/a", &[], "x").await;
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains("allow: get, head, post, put, delete"), "{}", answer.head);
        assert_eq!(client.ask("GET /v1/requests/a", &[], "").await.status, 405);
        assert_eq!(client.ask("POST /v1/events/a", &["content-encoding: gzip"], "x").await.status, 415);
        assert_eq!(client.ask("POST /v1/events/a", &["windrose-assurance: 9"], "x").await.status, 400);
        assert!(host.published.borrow().is_empty());
    });
}

#[test]
fn the_description_needs_no_credentials() {
    run(async {
        let host = willing();
        let answer = connect(&host).ask("GET /v1/openapi.json", &[], "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(parse(&answer.body)["openapi"], "3.1.0");
        assert!(host.claims.borrow().is_empty());
    });
}

#[test]
fn a_body_that_is_too_large_is_refused_however_it_is_sent() {
    run(async {
        let host = host("payload_bytes: 100", |_, _| false);
        let mut client = connect(&host);
        assert_eq!(client.ask("POST /v1/events/a", &[], &"x".repeat(100)).await.status, 202);
        client.write("POST /v1/events/a HTTP/1.1\r\nhost: x\r\ncontent-length: 101\r\nexpect: 100-continue\r\n\r\n").await;
        assert_eq!(client.answer(false).await.status, 413, "the claimed length is enough");
        let mut client = connect(&host);
        client.write("POST /v1/events/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for _ in 0..3 {
            client.write(&format!("32\r\n{}\r\n", "x".repeat(50))).await;
        }
        assert_eq!(client.answer(false).await.status, 413);
        assert_eq!(host.published.borrow().len(), 1);
    });
}

#[test]
fn a_client_that_expects_to_be_told_to_go_on_is() {
    run(async {
        let host = willing();
        let mut client = connect(&host);
        client
            .write(
                "POST /v1/events/a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n",
            )
            .await;
        assert_eq!(client.answer(false).await.status, 100);
        client.write("hi").await;
        assert_eq!(client.answer(false).await.status, 202);
    });
}

#[test]
fn a_head_that_trickles_or_never_comes_is_cut() {
    run(async {
        let host = host("connect_timeout: 100ms", |_, _| false);
        let started = Instant::now();
        let mut silent = connect(&host);
        let mut trickling = connect(&host);
        let mut second = connect(&host);
        assert_eq!(second.ask("POST /v1/events/a", &[], "x").await.status, 202);
        for byte in "POST /v1/events/a".chars() {
            let _ = trickling.stream.write_all(byte.to_string().as_bytes()).await;
            let _ = second.stream.write_all(byte.to_string().as_bytes()).await;
        }
        assert!(silent.rest().await.is_empty());
        assert!(trickling.rest().await.len() < 400);
        second.rest().await;
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    });
}

#[test]
fn garbage_is_refused_and_disturbs_nobody() {
    run(async {
        let host = willing();
        let mut good = connect(&host);
        let mut bad = connect(&host);
        bad.write("\u{1}\u{2}\u{3} not http at all\r\n\r\n").await;
        assert!(bad.rest().await.starts_with("HTTP/1.1 400"));
        let mut huge = connect(&host);
        let _ =
            huge.stream.write_all(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000)).as_bytes()).await;
        assert!(huge.rest().await.starts_with("HTTP/1.1 4"));
        assert_eq!(good.ask("POST /v1/events/a", &[], "x").await.status, 202);
    });
}

#[test]
fn without_credit_a_caller_is_asked_to_come_back() {
    run(async {
        let host = willing();
        let mut client = connect(&host);
        assert_eq!(client.ask("POST /v1/events/a", &[], "x").await.status, 202);
        let queue = host.queues.borrow()[0].clone();
        queue.set_paused(true);
        let answer = client.ask("POST /v1/events/a", &[], "x").await;
        assert_eq!(answer.status, 429);
        assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
        assert_eq!(client.ask("POST /v1/requests/a", &[], "x").await.status, 429);
        queue.set_paused(false);
        assert_eq!(client.ask("POST /v1/events/a", &[], "x").await.status, 202);
        assert_eq!(host.published.borrow().len(), 2);
    });
}

#[test]
fn a_drain_ends_idle_connections_and_refuses_what_is_new() {
    run(async {
        let host = willing();
        let (mut idle, mut new) = (connect(&host), connect(&host));
        assert_eq!(idle.ask("POST /v1/events/a", &[], "x").await.status, 202);
        host.draining.set(true);
        host.queues.borrow()[0].push(Directive::Close(CloseReason::ShuttingDown));
        assert_eq!(idle.rest().await, "");
        assert_eq!(host.ended.get(), 1);
        let answer = new.ask("POST /v1/events/a", &[], "x").await;
        assert_eq!(answer.status, 503);
        assert!(answer.head.contains("retry-after"), "{}", answer.head);
    });
}

#[test]
fn a_revoked_caller_is_asked_again_who_it_is() {
    run(async {
        let host = willing();
        let mut client = connect(&host);
        assert_eq!(client.ask("POST /v1/events/a", &[], "x").await.status, 202);
        host.queues.borrow()[0].push(Directive::Close(CloseReason::Revoked));
        assert_eq!(client.ask("POST /v1/events/a", &[], "x").await.status, 202);
        assert_eq!(host.claims.borrow().len(), 2);
    });
}

#[test]
fn http2_is_spoken_by_prior_knowledge() {
    run(async {
        let host = willing();
        let io = TokioIo::new(connect(&host).stream);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(crate::client::Local, io).await.unwrap();
        tokio::task::spawn_local(async move { drop(connection.await) });
        let post = |method: &'static str| {
            let mut sender = sender.clone();
            async move {
                let request = http::Request::builder().method(method).uri("http://x/v1/events/a");
                let response =
                    sender.send_request(request.body(Full::new(Bytes::from("hi"))).unwrap()).await.unwrap();
                let status = response.status().as_u16();
                (status, response.into_body().collect().await.unwrap().to_bytes())
            }
        };
        for (status, _) in futures_util::future::join_all((0..20).map(|_| post("POST"))).await {
            assert_eq!(status, 202);
        }
        assert_eq!(post("PATCH").await.0, 405);
        assert_eq!(host.published.borrow().len(), 20);
    });
}
