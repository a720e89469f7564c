//! What the command line does beside running a node: a file for each family of commands.

pub(crate) mod ca;
mod credential;
mod desk;
pub(crate) mod device;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod owner;
pub(crate) mod registry;
