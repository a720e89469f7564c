//! `/v1/`: the registry and the access rules, for operators and their programs.
//!
//! Callers need an identity that an access rule lets `administer`: there is no other way in. What is done is what the
//! command line does: one [`Act`] each, noted in the log with who did it. Problems are `application/problem+json` (RFC 9457).

mod answer;
mod audit;
mod body;
mod bulk;
mod caller;
mod credentials;
mod devices;
mod explain;
mod openapi;
mod subjects;

pub use bulk::{BulkExisting, BulkFormat, Exported, Import, Imported};
pub use caller::Peer;
pub use explain::{Asker, permission};

use answer::Fault;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{Identity, Pending, Registry, Subject};
use windrose_identity::{Act, Directory, Kind, Record, RecordsError};
use windrose_policy::Snapshot;

/// The largest body of a request.
const MAX_BODY: usize = 1 << 20;

/// What is managed.
pub trait Management: Send + Sync + 'static {
    /// Who says who a caller is: the same that says it on listeners.
    fn registry(&self) -> Arc<dyn Registry>;

    /// The document in force.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// The database, if the document names one.
    fn directory(&self) -> Option<Arc<dyn Directory>>;

    /// What the document's files, or else the database, know of somebody.
    fn record(&self, subject: Subject) -> Pending<Result<Option<Arc<Record>>, RecordsError>>;

    /// Takes lines in, on a thread of its own; `None`: there is no database.
    fn import(&self, import: Import) -> Option<Pending<Result<Imported, RecordsError>>>;

    /// Writes the database out, without secrets, on a thread of its own; `None`: there is none.
    fn export(&self, format: BulkFormat) -> Option<Exported>;

    /// The database was changed from here: what follows from that is to follow at once.
    fn changed(&self);
}

/// The largest import: some million lines.
const MAX_IMPORT: usize = 128 << 20;

type Managed = Arc<dyn Management>;
type Answered = Result<Response, Fault>;

/// Somebody who may administer.
#[derive(Clone)]
struct Caller(Arc<Identity>);

/// The resources under `/v1/`.
pub fn management(managed: Arc<dyn Management>) -> Router {
    let mut router = Router::new();
    for kind in [Kind::Device, Kind::Owner, Kind::Service] {
        router = subjects(router, kind);
    }
    router
        .route("/v1/devices/{id}/claim", post(devices::claim))
        .route("/v1/devices/{id}/transfer", post(devices::transfer))
        .route("/v1/devices/{id}/release", post(devices::release))
        .route("/v1/devices/{id}/enrol-code", post(devices::enrol_code))
        .route("/v1/devices/{id}/history", get(devices::history))
        .route("/v1/credentials/{id}", get(credentials::show))
        .route("/v1/credentials/{id}/revoke", post(credentials::revoke))
        .route("/v1/certificates/{sha256}/revoke", post(credentials::revoke_certificate))
        .route("/v1/registry", get(subjects::counts))
        .route("/v1/registry/import", post(bulk::import).layer(DefaultBodyLimit::max(MAX_IMPORT)))
        .route("/v1/registry/export", get(bulk::export))
        .route("/v1/explain", get(explain::explain))
        .route("/v1/openapi.json", get(openapi::description))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // What is not there is not there for anybody: 404, as outside `/v1/`.
        .route_layer(middleware::from_fn_with_state(Arc::clone(&managed), caller::admit))
        .with_state(managed)
}

/// The resources of a kind: `/v1/devices` and so on.
fn subjects(router: Router<Managed>, kind: Kind) -> Router<Managed> {
    use subjects as on;
    let all = format!("/v1/{}s", kind.name());
    let one = format!("{all}/{{id}}");
    router
        .route(
            &all,
            get(move |State(managed): State<Managed>, RawQuery(query): RawQuery| {
                on::list(kind, managed, query)
            })
            .post(move |State(managed), caller, headers: HeaderMap, body: Bytes| {
                on::add(kind, managed, caller, headers, body)
            }),
        )
        .route(
            &one,
            get(move |State(managed): State<Managed>, Path(id): Path<String>| on::show(kind, managed, id))
                .patch(
                    move |State(managed), caller, Path(id): Path<String>, headers: HeaderMap, body: Bytes| {
                        on::change(kind, managed, caller, id, headers, body)
                    },
                )
                .delete(move |State(managed), caller, Path(id): Path<String>| {
                    on::remove(kind, managed, caller, id)
                }),
        )
        .route(
            &format!("{one}/credentials"),
            get(move |State(managed): State<Managed>, Path(id): Path<String>| {
                credentials::list(kind, managed, id)
            })
            .post(
                move |State(managed), caller, Path(id): Path<String>, headers: HeaderMap, body: Bytes| {
                    credentials::add(kind, managed, caller, id, headers, body)
                },
            ),
        )
        .route(
            &format!("{one}/revoke"),
            post(move |State(managed), caller, Path(id): Path<String>, headers: HeaderMap, body: Bytes| {
                on::revoke(kind, managed, caller, id, headers, body)
            }),
        )
        .route(
            &format!("{one}/reinstate"),
            post(move |State(managed), caller, Path(id): Path<String>| {
                on::reinstate(kind, managed, caller, id)
            }),
        )
}

/// The database, or why there is none.
fn directory(managed: &Managed) -> Result<Arc<dyn Directory>, Fault> {
    managed.directory().ok_or_else(Fault::no_database)
}

/// Does something to the registry, and notes who did it.
async fn act(managed: &Managed, caller: &Caller, act: Act) -> Result<(), Fault> {
    let directory = directory(managed)?;
    let note = audit::Note::of(&act);
    directory.act(act, &caller.0.to_string()).await?;
    note.log(caller);
    managed.changed();
    Ok(())
}
