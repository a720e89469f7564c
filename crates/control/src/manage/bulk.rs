//! The whole registry at once: taken in, and written out line by line.

use super::answer::{Fault, json};
use super::{Answered, Caller, Managed};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::{Value, json as object};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use windrose_identity::RecordsError;
use windrose_protocol::http::{Problem, Query};

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkFormat {
    /// Comma-separated values (RFC 4180) with a header.
    Csv,
    /// A JSON object in each line.
    JsonLines,
}

impl BulkFormat {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::JsonLines => "application/jsonl",
        }
    }
}

/// What happens with those that are there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BulkExisting {
    /// Their lines are bad ones.
    #[default]
    Fail,
    /// Their lines are left out.
    Skip,
    /// They become what their lines say.
    Update,
}

/// Lines that are taken in.
#[derive(Clone, Debug)]
pub struct Import {
    /// How they are written.
    pub format: BulkFormat,
    /// What happens with those that are there already.
    pub existing: BulkExisting,
    /// Whether bad lines are left out instead of stopping everything.
    pub skip_bad: bool,
    /// Who does it, for the history.
    pub by: String,
    /// The lines.
    pub body: Bytes,
}

/// What became of them.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Whether it took effect.
    pub done: bool,
    /// Those that are new, that are now as their lines say, that stay as they were; and lines that are bad.
    pub counts: [u64; 4],
    /// Bad lines by their numbers, with what is wrong with each; the first of them, if they are many.
    pub told: Vec<(u64, String)>,
}

impl Imported {
    fn json(&self) -> Value {
        let [added, updated, skipped, bad] = self.counts;
        let told: Vec<Value> =
            self.told.iter().map(|(line, problem)| object!({"line": line, "problem": problem})).collect();
        object!({"added": added, "updated": updated, "skipped": skipped, "bad": bad, "problems": told})
    }
}

/// The lines of an export as they come.
pub type Exported = mpsc::Receiver<Result<Bytes, RecordsError>>;

/// `POST /v1/registry/import?existing=fail&skip_bad=false`
pub(super) async fn import(
    State(managed): State<Managed>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let query = Query::new(query.as_deref());
    let existing = match query.get("existing").as_deref() {
        None | Some("fail") => BulkExisting::Fail,
        Some("skip") => BulkExisting::Skip,
        Some("update") => BulkExisting::Update,
        Some(_) => return Err(Fault::bad("the query's existing is fail, skip or update")),
    };
    let skip_bad = query.flag("skip_bad").map_err(Fault::bad)?.unwrap_or(false);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let format = match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" => BulkFormat::Csv,
        "application/jsonl" | "application/x-ndjson" => BulkFormat::JsonLines,
        _ => {
            let detail = "Content-Type is text/csv or application/jsonl";
            return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
    };
    let import = Import { format, existing, skip_bad, by: caller.0.to_string(), body };
    let imported = managed.import(import).ok_or_else(Fault::no_database)?.await?;
    if imported.done {
        let [added, updated, skipped, bad] = imported.counts;
        let by = &caller.0;
        tracing::info!(%by, added, updated, skipped, bad, "the registry was imported to by the admin API");
        managed.changed();
        return Ok(json(StatusCode::OK, &imported.json()));
    }
    let detail = "nothing was taken in: some lines are bad";
    let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
    problem.results = Some(imported.json());
    Err(problem.into())
}

/// `GET /v1/registry/export?format=jsonl`; secrets are never in it.
pub(super) async fn export(
    State(managed): State<Managed>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answered {
    let format = match Query::new(query.as_deref()).get("format").as_deref() {
        None | Some("jsonl") => BulkFormat::JsonLines,
        Some("csv") => BulkFormat::Csv,
        Some(_) => return Err(Fault::bad("the query's format is jsonl or csv")),
    };
    let mut lines = managed.export(format).ok_or_else(Fault::no_database)?;
    // If it fails at once that is an answer; later the connection ends before its time.
    let first = lines.recv().await.transpose()?;
    tracing::info!(by = %caller.0, "the registry is exported by the admin API");
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(Lines { first, lines })).into_response())
}

struct Lines {
    first: Option<Bytes>,
    lines: Exported,
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = RecordsError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RecordsError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.lines.poll_recv(context).map(|line| line.map(|line| line.map(Frame::data)))
    }
}
