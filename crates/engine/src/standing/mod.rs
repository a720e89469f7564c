//! Standing: how a change of the registry finds, among all that is open or kept, whom it is about.

mod lately;
mod marks;
mod wanted;

pub(crate) use lately::Lately;
pub(crate) use marks::Marks;
pub(crate) use wanted::{Stands, Wanted};
