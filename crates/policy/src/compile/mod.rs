//! From the operator's document to a [`Snapshot`]: keys become what they mean, and what does not fit together is said.
//!
//! A section's file reads its keys and notes mistakes in `reading`; what it returns then does not matter, because
//! [`Reading::finish`] gives a snapshot only if there were none.

mod access;
mod amqp;
mod amqp_pools;
mod authority;
mod brokers;
mod headers;
mod identity;
mod limits;
mod listeners;
mod pool_keys;
mod pools;
mod routes;
mod sharing;
mod urls;

use crate::document::{At, Located, Mistakes, Name, Optional, Reading, Shape, suggestion};
use crate::keys::{DocumentKeys, NodeKeys, Switch};
use crate::snapshot::{Node, Snapshot};

/// Compiles the text of a document, which messages call `name`. `environment` answers for `${NAME}` in values.
///
/// Reads no files: whether certificates and the like are there shows when they are loaded. Relative paths stay as
/// written; [`Snapshot::resolve_paths`] makes them paths from the document's folder.
pub fn compile(
    name: &str,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Snapshot, Mistakes> {
    let mut reading = Reading::new(name, text, environment);
    let keys = reading.document::<DocumentKeys>();
    let snapshot = keys.map(|keys| snapshot(keys, &mut reading));
    reading.finish(snapshot)
}

/// The document's JSON Schema (2020-12). JSON is YAML, so it serves editors of either.
pub fn schema() -> serde_json::Value {
    let mut schema = DocumentKeys::schema();
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Windrose".into();
    schema
}

fn snapshot(keys: DocumentKeys, reading: &mut Reading<'_>) -> Snapshot {
    let tls = listeners::tls(keys.tls, reading);
    let (admin, listeners) = listeners::listeners(keys.admin, keys.listeners, &tls, reading);
    let node = keys.node.get().map_or_else(Node::default, node);
    let pools = pools::pools(keys.pools, &node.name, reading);
    let routes = routes::routes(keys.routes, &pools, reading);
    Snapshot {
        node,
        admin,
        tls: tls.profiles,
        listeners,
        identity: identity::identity(keys.identity.get(), reading),
        ca: keys.ca.get().and_then(|keys| authority::authority(keys, reading)),
        access: access::rules(keys.access, reading),
        pools: pools.list,
        routes,
        limits: limits::limits(keys.limits.get(), reading),
    }
}

fn node(keys: NodeKeys) -> Node {
    let default = Node::default();
    Node {
        name: keys.name.get().map_or(default.name, |name| name.0.into()),
        data_dir: keys.data_dir.get().unwrap_or(default.data_dir),
        shards: keys.shards.get().and_then(|shards| usize::try_from(shards.0).ok()),
        shutdown_deadline: keys
            .shutdown_deadline
            .get()
            .map_or(default.shutdown_deadline, |deadline| deadline.0),
        persistence: keys.persistence.or(Switch::Off) == Switch::On,
        sys_interval: keys.sys_interval.get().map_or(default.sys_interval, |interval| interval.0),
    }
}

/// The entries of a section, empty if it was left out.
fn entries<T>(section: Optional<Vec<T>>) -> Vec<T> {
    section.get().unwrap_or_default()
}

/// Notes names that are there twice in a list whose entries are told apart by them.
struct Names(Vec<String>);

impl Names {
    fn take(&mut self, what: &str, name: &Located<Name>, reading: &mut Reading<'_>) {
        if self.0.contains(&name.value.0) {
            let message = format!("there is another {what} named `{}`", name.value.0);
            reading
                .mistake(&name.at, message)
                .help("names tell them apart in logs and metrics: choose another");
        }
        self.0.push(name.value.0.clone());
    }
}

/// Notes a chosen name that is not made as names are.
fn check_name(name: &Located<String>, reading: &mut Reading<'_>) {
    if let Some(message) = Name::mistake(&name.value) {
        reading.mistake(&name.at, message).help(Name::HELP);
    }
}

/// Notes that something refers to a name that is not there.
fn unknown_name<'n>(
    what: &str,
    name: &str,
    at: &At,
    names: impl Iterator<Item = &'n str> + Clone,
    reading: &mut Reading<'_>,
) {
    let mistake = reading.mistake(at, format!("there is no {what} named `{name}`"));
    let list: Vec<_> = names.clone().collect();
    mistake.help(match (suggestion(name, names), list.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => format!("the document has no {what} at all: add one"),
        (None, list) => format!("there is {}", list.join(", ")),
    });
}

#[cfg(test)]
mod tests;
