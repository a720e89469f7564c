//! Reading a request's body: no more of it than is allowed, and not for ever.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::time::Duration;
use tokio::time::timeout;
use windrose_protocol::http::Problem;

/// How long a whole body may take, however slowly it trickles.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The whole body, if it has at most `limit` bytes.
pub(super) async fn read(body: Incoming, limit: usize) -> Result<Bytes, Problem> {
    // A length that is claimed is believed only to refuse by it.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    match timeout(TIME_LIMIT, collect(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "malformed",
            format!("the body did not come within {} s", TIME_LIMIT.as_secs()),
        )),
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the body cannot be read: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = if rest.is_empty() { first.len() } else { rest.len() };
        if so_far + data.len() > limit {
            return Err(too_large(limit));
        }
        // Most bodies are one piece, which needs no copy.
        if first.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        format!("the body may have {limit} bytes; the limit is limits.payload_bytes"),
    )
}
