//! A thing that waits for requests on `devices/ID/commands/locate` and answers them (MQTT 5 §4.10).

use super::Print;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use windrose_event::{Assurance, RetainedDelivery, Text};
use windrose_protocol::mqtt::codec::{
    Ack, Connect, Packet, Properties, Publish, Subscribe, SubscribeFilter, Version, decode, encode,
};

/// Seconds between packets at most.
const KEEP_ALIVE: u16 = 30;

/// Wait before connecting again.
const RECONNECT: Duration = Duration::from_secs(1);

/// The largest packet that it takes from the node.
const PACKET: usize = 1 << 20;

/// Runs the thing until the program ends, connecting again when the connection is lost.
pub async fn thing(id: String, node: SocketAddr, print: Print) -> io::Result<()> {
    loop {
        match connection(&id, node, &print).await {
            Ok(()) => print(&format!("{id}: the node closed the connection")),
            Err(error) => print(&format!("{id}: {node}: {error}")),
        }
        sleep(RECONNECT).await;
    }
}

async fn connection(id: &str, node: SocketAddr, print: &Print) -> io::Result<()> {
    let mut stream = TcpStream::connect(node).await?;
    let mut out = Vec::new();
    put(
        &mut out,
        &Packet::Connect(Box::new(Connect {
            version: Version::V5,
            legacy: false,
            bridge: false,
            clean_start: true,
            keep_alive: KEEP_ALIVE,
            client_id: Text::from(format!("sample-{id}")),
            will: None,
            username: None,
            password: None,
            properties: None,
        })),
    );
    let filter = format!("devices/{id}/commands/locate");
    put(
        &mut out,
        &Packet::Subscribe(Subscribe {
            packet_id: 1,
            properties: None,
            filters: vec![SubscribeFilter {
                filter: Text::from(filter.clone()),
                qos: Assurance::AtLeastOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainedDelivery::Never,
            }],
        }),
    );
    stream.write_all(&out).await?;
    let mut received = Vec::new();
    let mut answers: u16 = 0;
    loop {
        while let Some((packet, length)) = decode(&received, Version::V5).map_err(io::Error::other)? {
            received.drain(..length);
            out.clear();
            match packet {
                Packet::Connack(connack) if connack.code.is_error() => {
                    return Err(io::Error::other(format!(
                        "refused with reason code {:#04x}",
                        connack.code.0
                    )));
                }
                Packet::Suback(_) => print(&format!("{id}: waiting for requests on {filter}")),
                Packet::Publish(request) => {
                    answers = answers % 1_000 + 1;
                    answer(id, answers + 1, request, &mut out, print);
                }
                _ => {}
            }
            stream.write_all(&out).await?;
        }
        if received.len() > PACKET {
            return Err(io::Error::other("the node sent a packet that is too large for this thing"));
        }
        let quiet = Duration::from_secs(u64::from(KEEP_ALIVE) / 2);
        match timeout(quiet, stream.read_buf(&mut received)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => drop(read?),
            Err(_) => {
                out.clear();
                put(&mut out, &Packet::Pingreq);
                stream.write_all(&out).await?;
            }
        }
    }
}

/// Acknowledges a request and publishes where the thing is to whoever asked.
fn answer(id: &str, packet_id: u16, request: Publish, out: &mut Vec<u8>, print: &Print) {
    if request.qos == Assurance::AtLeastOnce {
        put(out, &Packet::Puback(Ack::success(request.packet_id)));
    }
    let Some(properties) = request.properties else { return };
    let Some(response_topic) = properties.response_topic else { return };
    print(&format!("{id}: asked on {}: {}", request.topic, String::from_utf8_lossy(&request.payload)));
    let payload = format!(r#"{{"device":"{id}","latitude":59.3293,"longitude":18.0686}}"#);
    put(
        out,
        &Packet::Publish(Publish {
            dup: false,
            qos: Assurance::AtLeastOnce,
            retain: false,
            topic: response_topic,
            packet_id,
            properties: Some(Box::new(Properties {
                content_type: Some(Text::from_static("application/json")),
                correlation_data: properties.correlation_data,
                ..Properties::default()
            })),
            payload: payload.into(),
        }),
    );
}

fn put(out: &mut Vec<u8>, packet: &Packet) {
    encode(packet, Version::V5, out);
}
