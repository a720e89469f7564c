//! Reading a YAML document that an operator wrote, so that every mistake in it is reported at once and in its place.
//!
//! A [`Node`] is what was written, with its place; a [`Shape`] is what was meant: it reads a node and describes itself
//! in JSON Schema, so that the two cannot disagree. [`record!`](crate::record) makes a shape of a struct whose fields
//! are the document's keys and whose doc comments are the schema's descriptions.
//!
//! Reading goes on after a mistake: [`Reading`] collects them, and [`Reading::finish`] gives the value only if there
//! were none.

mod mistakes;
mod reading;
mod record;
mod scalars;
mod shape;
mod tree;
mod variables;

pub use mistakes::{Mistake, Mistakes};
pub use reading::{Environment, Reading, suggestion};
pub use record::{Field, Keys, Optional, Required, described, key, record_schema};
pub use scalars::{Concealed, MaybeFile, Name, Scalar, Size, Wait, Whole};
pub use serde_json::Value as Json;
pub use shape::{Located, OneOrMore, Shape, Words, or_variable};
pub use tree::{At, Key, Node, Value};
