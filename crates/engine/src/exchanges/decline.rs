//! Sentences of what is declined, as clients of AMQP 0-9-1 know them.

use std::fmt::Display;
use windrose_event::{DeclineCause, Declined};

/// There is no such queue.
pub(crate) fn no_queue(name: &str) -> Declined {
    Declined { cause: DeclineCause::NotFound, detail: format!("no queue '{name}' in vhost '/'") }
}

/// There is no such exchange.
pub(crate) fn no_exchange(name: &str) -> Declined {
    Declined { cause: DeclineCause::NotFound, detail: format!("no exchange '{name}' in vhost '/'") }
}

/// The queue is another connection's.
pub(crate) fn locked(name: &str) -> Declined {
    let detail = format!(
        "cannot obtain exclusive access to locked queue '{name}' in vhost '/'. It could be originally declared on \
         another connection or the exclusive property value does not match that of the original declaration."
    );
    Declined { cause: DeclineCause::Locked, detail }
}

/// No access rule allows it. `what` is `queue` or `exchange`.
pub(crate) fn refused(what: &str, name: &str, who: &impl Display) -> Declined {
    let detail = format!("access to {what} '{name}' in vhost '/' refused for user '{who}'");
    Declined { cause: DeclineCause::NotPermitted, detail }
}

/// Names that the node gives itself.
pub(crate) fn reserved(what: &str, name: &str) -> Declined {
    let detail = format!("{what} name '{name}' contains reserved prefix 'amq.*'");
    Declined { cause: DeclineCause::NotPermitted, detail }
}

/// The exchange is always there.
pub(crate) fn predeclared(name: &str) -> Declined {
    let detail = format!("deletion of system exchange '{name}' in vhost '/' not allowed");
    Declined { cause: DeclineCause::NotPermitted, detail }
}

/// The exchange without a name is as it is.
pub(crate) fn default_exchange() -> Declined {
    let detail = "operation not permitted on the default exchange".to_owned();
    Declined { cause: DeclineCause::NotPermitted, detail }
}

/// It is there, but otherwise than it was asked for.
pub(crate) fn inequivalent(
    argument: &str,
    what: &str,
    name: &str,
    received: &impl Display,
    current: &impl Display,
) -> Declined {
    let detail = format!(
        "inequivalent arg '{argument}' for {what} '{name}' in vhost '/': received {received} but current is {current}"
    );
    Declined { cause: DeclineCause::Precondition, detail }
}

/// As many are held as may be.
pub(crate) fn too_many(held: usize, what: &str, key: &str) -> Declined {
    let detail = format!("the node holds {held} {what}, as many as 'limits.{key}' allows");
    Declined { cause: DeclineCause::Quota, detail }
}
