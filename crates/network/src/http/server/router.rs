//! From a request to what answers it.

use super::respond::{self, Content};
use super::{Connection, ask, authority, publish, stream, value};
use bytes::Bytes;
use http::header::ACCEPT;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use std::rc::Rc;
use windrose_event::{Address, AddressError};
use windrose_protocol::http::{AuthorityResource, EVENT_STREAM, Problem, Resource, openapi, read_path};

/// Answers one request.
pub(super) async fn answer(connection: Rc<Connection>, request: Request<Incoming>) -> Response<Content> {
    let busy = connection.life.begin(request.version() == Version::HTTP_2);
    let (parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let mut response =
        route(&connection, &parts, body).await.unwrap_or_else(|problem| respond::problem(&problem));
    if is_head {
        return respond::without_body(response);
    }
    if let Content::Stream(stream) = response.body_mut() {
        stream.hold(busy);
    }
    response
}

async fn route(connection: &Connection, parts: &Parts, body: Incoming) -> Result<Response<Content>, Problem> {
    if let Some(resource) = AuthorityResource::of(parts.uri.path())
        && connection.has_authority()
    {
        return Ok(authority::answer(connection, parts, body, resource).await);
    }
    let Some(resource) = Resource::of(parts.uri.path()) else {
        return Err(not_found());
    };
    match (resource, &parts.method) {
        (Resource::OpenApi, &(Method::GET | Method::HEAD)) => {
            Ok(respond::json(StatusCode::OK, description()))
        }
        (Resource::PublicKeys, &(Method::GET | Method::HEAD)) => match connection.host.public_keys() {
            Some(keys) => Ok(respond::public_keys(keys)),
            None => Err(not_found()),
        },
        (Resource::Events, &Method::POST) => publish::post(connection, parts, body, None).await,
        (Resource::Event(path), &Method::POST) => {
            publish::post(connection, parts, body, Some(address(path)?)).await
        }
        (Resource::Event(path), &Method::PUT) => publish::put(connection, parts, body, address(path)?).await,
        (Resource::Event(path), &Method::DELETE) => publish::delete(connection, parts, address(path)?).await,
        (Resource::Event(path), &Method::GET) if wants_stream(parts) => {
            stream::subscribe(connection, parts, path).await
        }
        (Resource::Event(path), &(Method::GET | Method::HEAD)) => value::get(connection, parts, path).await,
        (Resource::Request(path), &Method::POST) => ask::post(connection, parts, body, address(path)?).await,
        (resource, _) => Ok(respond::method_not_allowed(resource.methods())),
    }
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is no such resource; /v1/openapi.json describes those that there are",
    )
}

/// The address that a path names.
pub(super) fn address(path: &str) -> Result<Address, Problem> {
    let decoded = read_path(path).map_err(|error| bad_address(&error))?;
    Address::new(&*decoded).map_err(|error| bad_address(&error))
}

/// The problem of a path that names no address, or no filter.
pub(super) fn bad_address(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_address", format!("the path names no address: {error}"))
}

/// The problem of an address with wildcards, where one address is meant.
pub(super) fn not_one(error: AddressError) -> Problem {
    match error {
        AddressError::Wildcard => Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "bad_address",
            "a filter with wildcards has no value; subscribe to it with Accept: text/event-stream",
        ),
        error => bad_address(&error),
    }
}

fn wants_stream(parts: &Parts) -> bool {
    let accept = parts.headers.get_all(ACCEPT).iter();
    accept
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(EVENT_STREAM))
}

fn description() -> Bytes {
    openapi(env!("CARGO_PKG_VERSION")).to_string().into()
}
