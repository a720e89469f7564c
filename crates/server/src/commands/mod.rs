//! What the command line does beside running a node: a file for each family of commands.

pub(crate) mod ca;
pub(crate) mod init;
