//! The admin API over a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use windrose_control::{NodeView, router, serve};
use windrose_engine::Tally;

#[derive(Default)]
struct Node {
    draining: AtomicBool,
    stuck: AtomicBool,
}

impl NodeView for Node {
    async fn tallies(&self) -> Vec<Tally> {
        if self.stuck.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        vec![Tally { sessions: 3, ..Tally::default() }]
    }

    fn readiness(&self) -> Result<(), Vec<String>> {
        match self.draining.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(vec!["the node is \"shutting down\"".into()]),
        }
    }

    fn version(&self) -> &str {
        "1.2.3"
    }
}

/// Starts the API and gives its address and what ends it when dropped.
async fn start(node: Arc<Node>) -> (std::net::SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, router(node), async {
        let _ = stopped.await;
    }));
    (address, stop)
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn metrics_are_served_as_openmetrics() {
    let (address, _stop) = start(Arc::default()).await;
    let answer = get(address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.contains("windrose_build_info{version=\"1.2.3\"} 1\n"), "{answer}");
    assert!(answer.contains("\nwindrose_sessions 3\n"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn a_draining_node_is_healthy_and_says_why_it_is_not_ready() {
    let node = Arc::new(Node::default());
    let (address, _stop) = start(node.clone()).await;
    assert!(get(address, "/readyz").await.ends_with("{\"ready\":true}\n"));
    node.draining.store(true, Ordering::Relaxed);
    let answer = get(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains(r#""reasons":["the node is \"shutting down\""]"#), "{answer}");
    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let (address, _stop) = start(Arc::default()).await;
    assert!(get(address, "/nothing").await.starts_with("HTTP/1.1 404"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"DELETE /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn nothing_is_accepted_after_the_stop() {
    let (address, stop) = start(Arc::default()).await;
    get(address, "/healthz").await;
    drop(stop);
    let refused = tokio::time::timeout(Duration::from_secs(5), async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(refused.await.is_ok(), "the listener is still open");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_shard_fails_the_scrape_in_time_instead_of_hanging_it() {
    let node = Arc::new(Node::default());
    node.stuck.store(true, Ordering::Relaxed);
    let (address, _stop) = start(node).await;
    assert!(get(address, "/metrics").await.starts_with("HTTP/1.1 503"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_trickles_its_request_is_cut() {
    let (address, _stop) = start(Arc::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HT").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection was left open");
}
