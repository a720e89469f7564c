//! Reading a request's body: no more of it than is allowed, and not for ever.

use super::Connection;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;
use windrose_protocol::http::Problem;

/// Bytes that a CloudEvent in JSON may have beside its payload.
const ENVELOPE: usize = 64 * 1024;

/// Bytes that a batch may have.
const BATCH: usize = 4 << 20;

/// The whole body, within `limits.payload_bytes` (and what its format adds) and `limits.body_timeout`.
pub(super) async fn read(connection: &Connection, parts: &Parts, body: Incoming) -> Result<Bytes, Problem> {
    let limit = body_limit(parts, connection.host.snapshot().limits.payload_bytes as usize);
    read_within(connection, body, limit, "; the limit is limits.payload_bytes").await
}

/// The whole body, within `limit` bytes and `limits.body_timeout`. `hint`: what may follow when it is larger.
pub(super) async fn read_within(
    connection: &Connection,
    body: Incoming,
    limit: usize,
    hint: &'static str,
) -> Result<Bytes, Problem> {
    let time = connection.host.snapshot().limits.body_timeout;
    // A length that is claimed is believed only to refuse by it.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit, hint));
    }
    match timeout(time, collect(body, limit, hint)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "malformed",
            format!("the body did not come within {} ms; the limit is limits.body_timeout", time.as_millis()),
        )),
    }
}

async fn collect(mut body: Incoming, limit: usize, hint: &'static str) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the body cannot be read: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = if rest.is_empty() { first.len() } else { rest.len() };
        if so_far + data.len() > limit {
            return Err(too_large(limit, hint));
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

fn too_large(limit: usize, hint: &'static str) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body may have {limit} bytes{hint}"))
}

/// How many bytes a request's body may have.
fn body_limit(parts: &Parts, payload: usize) -> usize {
    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let starts_with = |prefix: &str| {
        content_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    if starts_with("application/cloudevents-batch") {
        BATCH.max(payload)
    } else if starts_with("application/cloudevents") {
        // Base64 takes four bytes for three; the payload itself is measured once it is decoded.
        payload / 3 * 4 + ENVELOPE
    } else {
        payload
    }
}
