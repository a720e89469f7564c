//! The least that a server of CoAP can be: datagrams received as far as there are some, and each answered.

use tokio::net::UdpSocket;

/// Datagrams that are received before the first of them is answered.
const BATCH: usize = 32;

/// What a datagram has at most.
const ROOM: usize = 2_048 + 64;

/// Answers each request 2.04 (RFC 7252 §3, §5.2.1), until it is killed.
pub(super) async fn answer(socket: UdpSocket) {
    let mut bytes = vec![0; BATCH * ROOM];
    let mut peers = Vec::with_capacity(BATCH);
    while socket.readable().await.is_ok() {
        peers.clear();
        for room in bytes.chunks_exact_mut(ROOM) {
            let Ok((length, peer)) = socket.try_recv_from(room) else { break };
            peers.push((length, peer));
        }
        for (room, (length, peer)) in bytes.chunks_exact_mut(ROOM).zip(&peers) {
            let Some(&[first, _, high, low]) = room.first_chunk::<4>().filter(|_| *length >= 4) else {
                continue;
            };
            // The token stays where it is.
            let token = usize::from(first & 0xf);
            room[..4].copy_from_slice(&[0x60 | (first & 0xf), 0x44, high, low]);
            if let Some(response) = room.get(..(4 + token).min(*length)) {
                let _ = socket.try_send_to(response, *peer);
            }
        }
        tokio::task::yield_now().await;
    }
}
