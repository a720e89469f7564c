//! Floor 4: how the node is watched and, later, steered: the admin API.
//!
//! It knows neither sockets nor files. Whoever composes the node hands it an open listener, and everything else that it
//! tells of the node reaches it through [`NodeView`].

mod api;
mod exposition;
mod merge;
mod serve;
mod view;

pub use api::router;
pub use exposition::{CONTENT_TYPE, exposition};
pub use serve::serve;
pub use view::{NodeView, ProcessFacts, Reloads};
