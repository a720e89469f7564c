//! The sample service prints what it gets.

use crate::client::{LIMIT, client, send};
use crate::support::{event, pool, run};
use std::cell::RefCell;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windrose_event::Outcome;
use windrose_network::http::sample_service::serve;

#[test]
fn each_event_is_one_line() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Rc::new(RefCell::new(Vec::new()));
        let printed = Rc::clone(&lines);
        let service = serve(listener, move |line: &str| printed.borrow_mut().push(line.to_owned()));
        tokio::task::spawn_local(service);
        let client = client();
        let url = format!("http://{address}/events");
        let one =
            send(&client, &pool(&url, ""), vec![event("devices/car-7/telemetry", "{\"speed\":81}")], LIMIT)
                .await;
        assert_eq!(one.outcome, Outcome::Accepted);
        let long = "x".repeat(300);
        let two =
            send(&client, &pool(&url, "mode: batch"), vec![event("a", &long), event("b", "1\n2")], LIMIT)
                .await;
        assert_eq!(two.outcome, Outcome::Accepted);
        let source = "windrose://edge-1/devices/car-7";
        assert_eq!(
            *lines.borrow(),
            [
                format!("10:13:00.000001  devices/car-7/telemetry  {source}  {{\"speed\":81}}"),
                format!("10:13:00.000001  a  {source}  {}...", "x".repeat(200)),
                format!("10:13:00.000001  b  {source}  1 2"),
            ]
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("{\"requests\":2,\"events\":3}\n"), "{text}");
    });
}
