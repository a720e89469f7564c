#![allow(clippy::unwrap_used)]

use super::*;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{DuplexStream, duplex};

/// What the server does in these tests, and a client that trusts it and offers this version only.
fn pair(version: &'static rustls::SupportedProtocolVersion) -> (Arc<ServerConfig>, ClientConnection) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    (Arc::new(server), ClientConnection::new(Arc::new(client), name).unwrap())
}

fn said(client: &mut ClientConnection) -> Vec<u8> {
    let mut words = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut words).unwrap();
    }
    words
}

fn run<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

async fn serve(mut stream: DuplexStream, config: Arc<ServerConfig>) -> io::Result<Box<ServerConnection>> {
    let hello = read_hello(&mut stream).await?;
    shake_hands(&mut stream, hello, config).await
}

/// What a server answers to these words, after which nothing comes, and the client stays.
fn answer(words: Vec<u8>) -> Vec<u8> {
    let (config, _) = pair(&rustls::version::TLS12);
    let (mut client, server) = duplex(1 << 20);
    run(async move {
        let talk = async {
            client.write_all(&words).await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (heard, served) = tokio::join!(talk, serve(server, config));
        assert!(served.is_err());
        heard
    })
}

/// A record of a handshake that begins a message of this type and claimed length.
fn record(kind: u8, claimed: usize, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
    let claimed = u32::try_from(claimed).unwrap().to_be_bytes();
    [&[22, 3, 1], &length[..], &[kind], &claimed[1..], body].concat()
}

#[test]
fn who_begins_with_anything_but_a_hello_hears_that_it_was_not_expected() {
    assert_eq!(answer(record(250, 1, &[0])), [21, 3, 3, 0, 2, 2, 10]);
}

#[test]
fn a_hello_amid_which_something_else_is_said_is_refused_by_an_alert() {
    let mut words = record(1, 100, &[3, 3]);
    words.extend([20, 3, 3, 0, 1, 1]);
    assert_eq!(answer(words), [21, 3, 3, 0, 2, 2, 10]);
}

#[test]
fn a_hello_of_more_than_64_kib_is_refused_by_an_alert() {
    // The message claims less than that, its records have more.
    let mut words = record(1, 0xfff0, &[3]);
    for _ in 0..0xffff / 6 {
        words.extend([22, 3, 1, 0, 1, 0]);
    }
    assert_eq!(answer(words), [21, 3, 3, 0, 2, 2, 50]);
}

/// A hello with so many more bytes of padding (RFC 7685), in records that are as long as they may be.
fn padded(hello: &[u8], padding: u16) -> Vec<u8> {
    let mut message = hello[5..].to_vec();
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(message[at]);
    at += 2 + usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    at += 1 + usize::from(message[at]);
    let extensions = u16::from_be_bytes([message[at], message[at + 1]]) + 4 + padding;
    message[at..at + 2].copy_from_slice(&extensions.to_be_bytes());
    message.extend([0, 21]);
    message.extend(padding.to_be_bytes());
    message.resize(message.len() + usize::from(padding), 0);
    let length = u32::try_from(message.len() - 4).unwrap().to_be_bytes();
    message[1..4].copy_from_slice(&length[1..]);
    let record =
        |part: &[u8]| [&[22, 3, 1], &u16::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat();
    message.chunks(1 << 14).flat_map(record).collect()
}

#[test]
fn a_hello_of_several_records_is_answered_however_it_is_cut() {
    for padding in [10, 16_000, 20_000, 40_000, 60_000] {
        let (_, mut client) = pair(&rustls::version::TLS12);
        let mut words = padded(&said(&mut client), padding);
        // Something that nobody speaks ends it.
        words.extend([24, 3, 3, 0, 1, 1]);
        let heard = answer(words);
        assert!(heard.starts_with(&[22, 3, 3]), "{padding}: {heard:?}");
    }
}

#[test]
fn what_comes_with_the_hello_is_heard_before_more_is_waited_for() {
    let (_, mut client) = pair(&rustls::version::TLS12);
    let mut words = said(&mut client);
    // A heartbeat, which nobody speaks.
    words.extend([24, 3, 3, 0, 1, 1]);
    let heard = answer(words);
    assert!(heard.ends_with(&[21, 3, 3, 0, 2, 2, 50]), "{heard:?}");
}

#[test]
fn a_handshake_that_breaks_before_anything_is_encrypted_ends_with_an_alert() {
    let (_, mut client) = pair(&rustls::version::TLS12);
    let mut words = said(&mut client);
    // The beginning of a ClientKeyExchange, and something else before its end.
    words.extend(record(16, 33, &[32]));
    words.extend([23, 3, 3, 0, 1, 1]);
    let heard = answer(words);
    assert!(heard.ends_with(&[21, 3, 3, 0, 2, 2, 10]), "{heard:?}");
}

#[test]
fn who_can_verify_none_of_our_signatures_hears_that_it_failed() {
    let (_, mut client) = pair(&rustls::version::TLS12);
    let mut words = said(&mut client);
    // Of the schemes of the extension, all become one that a key of P-256 does not sign with.
    let begin = words.windows(2).position(|pair| pair == [0, 13]).unwrap() + 6;
    let length = usize::from(words[begin - 1]);
    words[begin..begin + length].chunks_mut(2).for_each(|scheme| scheme.copy_from_slice(&[5, 3]));
    assert_eq!(answer(words), [21, 3, 3, 0, 2, 2, 40]);
}

#[test]
fn a_handshake_that_goes_well_says_nothing_more_than_it_has_to() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (config, mut client) = pair(version);
        let (mut near, far) = duplex(1 << 20);
        let talk = async move {
            while client.is_handshaking() {
                near.write_all(&said(&mut client)).await.unwrap();
                let mut room = Vec::new();
                assert!(near.read_buf(&mut room).await.unwrap() > 0);
                client.read_tls(&mut room.as_slice()).unwrap();
                client.process_new_packets().unwrap();
            }
            near.write_all(&said(&mut client)).await.unwrap();
            near
        };
        let serve = async move {
            let mut far = far;
            let hello = read_hello(&mut far).await.unwrap();
            let mut connection = shake_hands(&mut far, hello, config).await.unwrap();
            // It is left to the first answer to take this along.
            write_all(&mut far, &mut connection, &mut Vec::new()).await.unwrap();
            connection.is_handshaking()
        };
        let (_, is_handshaking) = run(async { tokio::join!(talk, serve) });
        assert!(!is_handshaking, "{version:?}");
    }
}
