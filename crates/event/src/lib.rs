//! Floor 0: the words that every other floor speaks.
//!
//! Three values carry the whole product: an [`Event`] is what happened, an [`Outcome`] is what became of it, and
//! [`Credit`] is how much more may be in flight. A protocol machine turns bytes into [`Intent`]s; the engine answers
//! with [`Directive`]s. They never meet in code: both words live here.
//!
//! This crate knows no protocol's words, does no input or output, and depends on nothing else of ours.

mod address;
mod conversation;
mod credit;
mod directive;
mod enrolment;
mod event;
mod exchange;
mod identity;
mod intent;
pub mod metrics;
mod outcome;
mod proof;
mod queueing;
mod reachable;
mod template;
mod text;
mod time;
mod via;

pub use address::{Address, AddressError, Filter, MAX_ADDRESS_BYTES, is_system};
pub use conversation::{Conversation, MOST_CHALLENGES, Step};
pub use credit::Credit;
pub use directive::{Accepted, CloseReason, Delivery, Directive};
pub use enrolment::{EnrolCause, EnrolRefusal, EnrolRequest, Enrolled, Enrolment, NoAuthority};
pub use event::{Assurance, Details, Event, EventId, Origin, Publication};
pub use exchange::{
    ExchangeKind, HeadersTest, PREDECLARED, TOPIC_EXCHANGE, TopicPattern, address_of, filter_of,
    is_namespace, key_of, prefix_of,
};
pub use identity::{
    CertificateClaim, Claim, Identity, Pending, Permission, Principal, Refusal, RefusalCause, Registry,
    Secret, Verdict,
};
pub use intent::{
    Close, CloseCause, ConnectionId, Intent, Open, Publish, RetainedDelivery, SubscriptionRequest, Tag, Will,
};
pub use outcome::{Cause, Outcome, Rejection};
pub use proof::{IdentityChange, Proof, Standing, Subject, Suspicion};
pub use queueing::{
    Arranged, Arrangement, Binding, Consume, ConsumerId, Consuming, Death, DeclineCause, Declined,
    Destination, Disposition, ExchangeDeclaration, Original, Overflow, Pulled, QueueDeclaration,
    QueueOptions, Source, Supply,
};
pub use reachable::Reachable;
pub use template::{Template, pattern_of};
pub use text::Text;
pub use time::{Moment, Now, Timestamp};
pub use via::{VIA, has_passed};
