//! Events on their way to services behind TLS.

use crate::client::{LIMIT, Local, send};
use crate::service::{Act, Requests, connection};
use crate::support::{event, pool, run};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use windrose_event::Outcome;
use windrose_identity::TokenSigner;
use windrose_network::http::client::{PoolClient, load_client_tls};

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A client for which the file `ca.pem` has that authority's certificate, and no other file exists.
fn trusting(authority: &Authority) -> Rc<PoolClient> {
    let pem = authority.pem();
    let read = move |path: &Path| match path.to_str() {
        Some("ca.pem") => Ok(pem.clone().into_bytes()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    PoolClient::new("edge-1".into(), Arc::new(read), Arc::new(TokenSigner::new("edge-1")))
}

/// A service behind TLS whose certificate says `name`; it answers 204.
pub(crate) async fn start(authority: &Authority, name: &str, speaks: &[&[u8]]) -> (u16, Requests) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    config.alpn_protocols = speaks.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Requests::default();
    let seen = requests.clone();
    tokio::task::spawn_local(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, seen) = (acceptor.clone(), seen.clone());
            tokio::task::spawn_local(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    http2(stream, number, seen).await;
                } else {
                    connection(stream, number, &RefCell::new(|_, _| Act::ok()), &seen).await;
                }
            });
        }
    });
    (port, requests)
}

async fn http2(stream: TlsStream<TcpStream>, number: usize, seen: Requests) {
    let answer = service_fn(|request: http::Request<hyper::body::Incoming>| {
        seen.borrow_mut().push((number, format!("{:?} {}", request.version(), request.uri())));
        async {
            Ok::<_, Infallible>(http::Response::builder().status(204).body(Empty::<Bytes>::new()).unwrap())
        }
    });
    let _ =
        hyper::server::conn::http2::Builder::new(Local).serve_connection(TokioIo::new(stream), answer).await;
}

#[test]
fn a_member_must_prove_who_it_is() {
    run(async {
        let (ours, other) = (authority(), authority());
        let (port, requests) = start(&ours, "localhost", &[b"http/1.1"]).await;
        let outcome = async |host: &str, trusted: &Authority, file: &str| {
            let pool = pool(&format!("https://{host}:{port}/"), &format!("ca: {file}"));
            send(&trusting(trusted), &pool, vec![event("a", "x")], LIMIT).await.outcome
        };
        assert_eq!(outcome("localhost", &ours, "ca.pem").await, Outcome::Accepted);
        assert!(requests.borrow()[0].1.contains(&format!("host: localhost:{port}\r\n")));
        assert_eq!(outcome("localhost", &other, "ca.pem").await, Outcome::unavailable(), "another authority");
        assert_eq!(outcome("127.0.0.1", &ours, "ca.pem").await, Outcome::unavailable(), "another name");
        assert_eq!(outcome("localhost", &ours, "nowhere.pem").await, Outcome::unavailable(), "no authority");
        assert_eq!(requests.borrow().len(), 1);
    });
}

#[test]
fn requests_behind_tls_share_one_connection_too_however_large_they_are() {
    run(async {
        let ours = authority();
        let (port, requests) = start(&ours, "localhost", &[b"http/1.1"]).await;
        let pool = pool(&format!("https://localhost:{port}/"), "ca: ca.pem");
        let client = trusting(&ours);
        let large = "x".repeat(4 << 20);
        for payload in ["small", &large, "small"] {
            let answer = send(&client, &pool, vec![event("a", payload)], LIMIT).await;
            assert_eq!(answer.outcome, Outcome::Accepted);
        }
        let requests = requests.borrow();
        assert!(requests.iter().all(|(connection, _)| *connection == 0), "one connection");
        assert!(requests[1].1.ends_with(&large));
    });
}

#[test]
fn an_authority_that_cannot_be_used_is_told_before_it_is_needed() {
    let told = |read: fn(&Path) -> io::Result<Vec<u8>>| {
        load_client_tls(&pool("https://localhost/", "ca: ca.pem"), &read).unwrap_err().to_string()
    };
    assert_eq!(
        told(|_| Err(io::ErrorKind::NotFound.into())),
        "pools.api.ca: ca.pem: cannot be read: entity not found"
    );
    assert!(told(|_| Ok(b"hello".to_vec())).contains("has no certificate"));
    let broken = told(|_| Ok(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()));
    assert!(broken.contains("is not a PEM file of certificates"), "{broken}");
    let plain = load_client_tls(&pool("http://localhost/", ""), &|_| Err(io::ErrorKind::NotFound.into()));
    assert!(plain.unwrap().is_none(), "without https nothing is read");
}

#[test]
fn http2_is_spoken_where_both_ends_know_it() {
    run(async {
        let ours = authority();
        let (port, requests) = start(&ours, "localhost", &[b"h2", b"http/1.1"]).await;
        let pool = |settings: &str| {
            pool(&format!("https://localhost:{port}/events"), &format!("ca: ca.pem{settings}"))
        };
        let (client, auto) = (trusting(&ours), pool(""));
        let all = (0..10).map(|_| send(&client, &auto, vec![event("a", "x")], LIMIT));
        let answers = futures_util::future::join_all(all).await;
        assert!(answers.iter().all(|answer| answer.outcome.is_accepted()), "{answers:?}");
        assert!(
            requests.borrow().iter().all(|(connection, _)| *connection == 0),
            "they share one connection"
        );
        assert_eq!(requests.borrow()[0].1, format!("HTTP/2.0 https://localhost:{port}/events"));
        let old = pool(", version: \"1.1\"");
        assert_eq!(send(&client, &old, vec![event("a", "x")], LIMIT).await.outcome, Outcome::Accepted);
        let last = requests.borrow()[10].1.clone();
        assert!(last.starts_with("POST /events HTTP/1.1"), "{last}");
    });
}
