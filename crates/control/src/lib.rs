//! Floor 4: how the node is watched and managed: the admin API.
//!
//! It knows neither sockets nor files. Whoever composes the node hands it an open listener; what it tells of the node reaches it
//! through [`NodeView`], and the registry and the access rules through [`Management`].

mod api;
mod exposition;
mod manage;
mod merge;
mod serve;
mod view;

pub use api::router;
pub use exposition::{CONTENT_TYPE, exposition};
pub use manage::{
    Asker, BulkExisting, BulkFormat, Exported, Import, Imported, Management, Peer, management, permission,
};
pub use serve::serve;
pub use view::{NodeView, ProcessFacts, Reloads};
