//! Who calls, and whether it may administer.

use super::answer::Fault;
use super::{Caller, Managed};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Claim, Principal, RefusalCause};
use windrose_protocol::http::{Problem, read_credentials};

/// How long the registry may take to say who a caller is.
const OPENING: Duration = Duration::from_secs(15);
/// How long anything may take, its body included.
const WHOLE: Duration = Duration::from_secs(60);
/// How long an import may take.
const IMPORT: Duration = Duration::from_secs(600);

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Lets in who may administer; the others get a problem.
pub(super) async fn admit(State(managed): State<Managed>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    // Copied: a body cannot be waited beside.
    let headers = request.headers().clone();
    match caller(&managed, &headers, peer).await {
        Ok(caller) => request.extensions_mut().insert(caller),
        Err(fault) => return fault.into_response(),
    };
    let whole = if request.uri().path() == "/v1/registry/import" { IMPORT } else { WHOLE };
    match tokio::time::timeout(whole, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "it took too long; it may have been done all the same";
            Fault::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", detail).into_response()
        }
    }
}

async fn caller(managed: &Managed, headers: &HeaderMap, peer: Option<SocketAddr>) -> Result<Caller, Fault> {
    refuse_other_sites(headers)?;
    let mut claim = Claim { listener: "admin".into(), peer, ..Claim::default() };
    read_credentials(headers, &mut claim)?;
    // Where anonymous is allowed it is allowed on listeners, not here.
    if claim.is_anonymous() {
        return Err(Problem::of_refusal(RefusalCause::AnonymousDenied).into());
    }
    let registry = managed.registry();
    let verdict = match registry.identify_at_once(&claim) {
        Some(verdict) => verdict,
        None => match tokio::time::timeout(OPENING, registry.identify(Box::new(claim))).await {
            Ok(verdict) => verdict,
            Err(_) => return Err(Problem::of_refusal(RefusalCause::Unavailable).into()),
        },
    };
    let identity = match verdict {
        Ok(identity) => identity,
        Err(refusal) => {
            tracing::warn!(
                ?peer,
                cause = refusal.cause.name(),
                detail = refusal.detail,
                "the admin API let nobody in"
            );
            return Err(Problem::of_refusal(refusal.cause).into());
        }
    };
    if identity.principal == Principal::Anonymous {
        // There is nothing that its credentials could have been compared with.
        return Err(Problem::of_refusal(RefusalCause::BadCredentials).into());
    }
    if !managed.snapshot().access.permits_administration(&identity) {
        tracing::warn!(?peer, by = %identity, "the admin API let nobody in: no access rule lets it administer");
        let detail = "an access rule has to allow it: `may: administer`";
        return Err(Fault::new(StatusCode::FORBIDDEN, "not_permitted", detail));
    }
    Ok(Caller(Arc::new(identity)))
}

/// A browser sends a password along that it remembers: a page of another site must not use it.
fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Fault> {
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        None | Some(b"none" | b"same-origin") => Ok(()),
        Some(_) => {
            let detail = "pages of other sites cannot use the admin API";
            Err(Fault::new(StatusCode::FORBIDDEN, "not_permitted", detail))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::of_refusal(RefusalCause::AnonymousDenied).into())
    }
}
