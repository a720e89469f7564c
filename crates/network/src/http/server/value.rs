//! GET: an address's last value.

use super::Connection;
use super::caller::closed;
use super::respond::{self, Content};
use super::router::{bad_address, not_one};
use http::request::Parts;
use http::{Response, StatusCode};
use windrose_event::{Address, Directive, Intent};
use windrose_protocol::http::{Problem, read_path};

/// Reads the last value: its payload as the body, its attributes as headers.
pub(super) async fn get(
    connection: &Connection,
    parts: &Parts,
    path: &str,
) -> Result<Response<Content>, Problem> {
    let decoded = read_path(path).map_err(|error| bad_address(&error))?;
    let address = Address::new(&*decoded).map_err(not_one)?;
    let caller = connection.caller(parts).await?;
    let asked = caller.tag();
    caller.exchange.intent(Intent::Read { tag: asked, address });
    let value = loop {
        match caller.exchange.directive().await {
            Directive::Value { tag, value } if tag == asked => break value,
            Directive::Close(reason) => return Err(closed(&reason)),
            _ => {}
        }
    };
    connection.callers.keep(caller);
    match value {
        Ok(Some(event)) => Ok(respond::event(&connection.host.snapshot().node.name, &event)),
        Ok(None) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no_value",
            "this address has no last value; PUT sets one",
        )),
        Err(rejection) => Err(Problem::of_rejection(&rejection)),
    }
}
