//! The admin API's resources.

use crate::NodeView;
use crate::exposition::{CONTENT_TYPE, exposition};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long the shards may take to tell their counts before a scrape fails.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(5);

/// What somebody finds who opens the admin address in a browser.
const INDEX: &str = "Windrose's admin API\n\n\
    GET /metrics  counts, as OpenMetrics text\n\
    GET /healthz  200 while the process lives\n\
    GET /readyz   200 when the node takes connections, otherwise 503 and why\n";

/// The admin API: `/metrics`, `/healthz`, `/readyz`.
pub fn router<N: NodeView>(node: Arc<N>) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics::<N>))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz::<N>))
        .with_state(node)
}

async fn metrics<N: NodeView>(State(node): State<Arc<N>>) -> Response {
    let Ok(tallies) = tokio::time::timeout(SCRAPE_TIMEOUT, node.tallies()).await else {
        tracing::warn!(
            "a scrape of /metrics failed: the shards did not tell their counts within {SCRAPE_TIMEOUT:?}"
        );
        return (StatusCode::SERVICE_UNAVAILABLE, "the shards did not tell their counts in time\n")
            .into_response();
    };
    let shown = exposition(
        node.version(),
        &tallies,
        node.reloads(),
        node.process(),
        node.journal(),
        node.identities(),
    );
    match shown {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written as text");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn readyz<N: NodeView>(State(node): State<Arc<N>>) -> Response {
    let (status, body) = match node.readiness() {
        Ok(()) => match node.notes() {
            notes if notes.is_empty() => (StatusCode::OK, json!({"ready": true})),
            notes => (StatusCode::OK, json!({"ready": true, "notes": notes})),
        },
        Err(reasons) => (StatusCode::SERVICE_UNAVAILABLE, json!({"ready": false, "reasons": reasons})),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
