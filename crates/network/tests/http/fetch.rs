//! Questions to services elsewhere.

use crate::service::{self, Act, Requests};
use crate::support::run;
use crate::tls::{authority, start};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;
use windrose_identity::{Fetch, FetchRequest, Fetched};
use windrose_network::http::fetch::HttpFetch;

fn question(url: String) -> FetchRequest {
    FetchRequest {
        method: "POST",
        url,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Bytes::from_static(b"{}"),
        timeout: Duration::from_secs(2),
        most: 1_000,
    }
}

async fn ask(fetch: &HttpFetch, address: SocketAddr) -> Result<Fetched, String> {
    fetch.fetch(question(format!("http://{address}/a/b?c=d"))).await
}

#[test]
fn an_answer_is_brought_and_the_connection_kept() {
    run(async {
        let answer =
            |_: usize, _: usize| Act::answer("403 Forbidden", "cache-control: private, max-age=60\r\n", "no");
        let (address, seen): (_, Requests) = service::start(answer).await;
        let fetch = HttpFetch::new(None).unwrap();
        for _ in 0..3 {
            let fetched = ask(&fetch, address).await.unwrap();
            assert_eq!((fetched.status, &fetched.body[..]), (403, &b"no"[..]));
            assert_eq!(fetched.max_age, Some(Duration::from_secs(60)));
        }
        let seen = seen.borrow();
        assert_eq!(seen.iter().map(|(connection, _)| *connection).collect::<Vec<_>>(), [0, 0, 0]);
        assert!(seen[0].1.starts_with("POST /a/b?c=d HTTP/1.1\r\n"), "{}", seen[0].1);
        assert!(seen[0].1.contains(&format!("host: {address}\r\n")), "{}", seen[0].1);
        assert!(seen[0].1.ends_with("\r\n\r\n{}"), "{}", seen[0].1);
    });
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_nobodys_trouble() {
    run(async {
        let answer = |_: usize, index: usize| match index {
            0 => Act::answer("200 OK", "", "yes"),
            _ => Act::Close,
        };
        let (address, _) = service::start(answer).await;
        let fetch = HttpFetch::new(None).unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&fetch, address).await.unwrap().status, 200);
        }
    });
}

#[test]
fn what_is_too_long_too_late_or_elsewhere_is_told_and_not_taken() {
    run(async {
        let fetch = HttpFetch::new(None).unwrap();
        let (long, _) = service::start(|_, _| Act::answer("200 OK", "", &"x".repeat(1_001))).await;
        assert!(ask(&fetch, long).await.unwrap_err().contains("more than 1000 bytes"));
        let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
            + &"5\r\nxxxxx\r\n".repeat(1_000);
        let (endless, _) = service::start(move |_, _| Act::Answer(endless.clone().into())).await;
        assert!(ask(&fetch, endless).await.unwrap_err().contains("more than 1000 bytes"));
        let (silent, _) = service::start(|_, _| Act::Hang).await;
        let quick =
            FetchRequest { timeout: Duration::from_millis(50), ..question(format!("http://{silent}/")) };
        assert!(fetch.fetch(quick).await.unwrap_err().contains("within 50 ms"));
        let (elsewhere, _) =
            service::start(|_, _| Act::answer("302 Found", "location: http://127.0.0.1:1/\r\n", "")).await;
        assert_eq!(ask(&fetch, elsewhere).await.unwrap().status, 302);
        let (garbage, _) = service::start(|_, _| Act::AnswerAndClose(b"SSH-2.0-x\r\n".to_vec())).await;
        assert!(ask(&fetch, garbage).await.unwrap_err().contains("did not answer"));
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(&fetch, closed).await.unwrap_err().contains("cannot connect"));
        assert!(fetch.fetch(question("/nowhere".to_owned())).await.unwrap_err().contains("no host"));
    });
}

#[test]
fn a_server_has_to_be_the_one_that_the_authorities_vouch_for() {
    run(async {
        let ours = authority();
        let (port, _) = start(&ours, "localhost", &[]).await;
        let ask = async |fetch: &HttpFetch| fetch.fetch(question(format!("https://localhost:{port}/"))).await;
        let pem = ours.pem();
        let fetch = HttpFetch::new(Some(pem.as_bytes())).unwrap();
        assert_eq!(ask(&fetch).await.unwrap().status, 204);
        assert!(ask(&HttpFetch::new(None).unwrap()).await.unwrap_err().contains("TLS handshake"));
        let other = authority().pem();
        assert!(
            ask(&HttpFetch::new(Some(other.as_bytes())).unwrap())
                .await
                .unwrap_err()
                .contains("TLS handshake")
        );
        let wrong = fetch.fetch(question(format!("https://127.0.0.1:{port}/"))).await;
        assert!(wrong.unwrap_err().contains("TLS handshake"));
        assert!(HttpFetch::new(Some(b"nothing")).err().unwrap().contains("no certificate"));
    });
}
