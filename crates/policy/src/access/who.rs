//! Whom a rule speaks of.

use std::fmt;
use std::sync::Arc;
use windrose_event::{Identity, Principal};

/// Whom a rule speaks of (`who` in the document).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// `anyone`: everybody who was let in.
    Anyone,
    /// `anonymous`: those who did not say.
    Anonymous,
    /// `device:ID`.
    Device(Which),
    /// `owner:ID`: the owner itself, not its devices.
    Owner(Which),
    /// `group:NAME`: members of a group, whatever their kind.
    Group(Which),
    /// `service:NAME`.
    Service(Which),
    /// `claim:NAME=VALUE`: those whose token, or the hook, says so.
    Claim {
        /// The claim's name.
        name: Arc<str>,
        /// Its value.
        value: Which,
    },
}

/// Which one of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// `*`: all of the kind.
    All,
    /// The one of this name.
    Named(Arc<str>),
}

impl Which {
    fn new(name: &str) -> Self {
        if name == "*" { Self::All } else { Self::Named(name.into()) }
    }

    fn is(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(named) => **named == *name,
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl Who {
    /// Reads it as the document writes it. `None` if it is none of the forms.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "anyone" => Some(Self::Anyone),
            None if text == "anonymous" => Some(Self::Anonymous),
            Some((_, "")) | None => None,
            Some(("device", name)) => Some(Self::Device(Which::new(name))),
            Some(("owner", name)) => Some(Self::Owner(Which::new(name))),
            Some(("group", name)) => Some(Self::Group(Which::new(name))),
            Some(("service", name)) => Some(Self::Service(Which::new(name))),
            Some(("claim", claim)) => match claim.split_once('=') {
                Some(("", _) | (_, "")) | None => None,
                Some((name, value)) => Some(Self::Claim { name: name.into(), value: Which::new(value) }),
            },
            Some(_) => None,
        }
    }

    /// Whether a rule for them speaks of `identity`.
    pub fn includes(&self, identity: &Identity) -> bool {
        match (self, &identity.principal) {
            (Self::Anyone, _) | (Self::Anonymous, Principal::Anonymous) => true,
            (Self::Device(which), Principal::Device { id, .. })
            | (Self::Owner(which), Principal::Owner { id })
            | (Self::Service(which), Principal::Service { name: id }) => which.is(id),
            (Self::Group(which), _) => identity.groups.iter().any(|group| which.is(group)),
            (Self::Claim { name, value }, _) => {
                claims(identity).iter().any(|(its, is)| its == name && value.is(is))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Who {
    /// As the document writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Device(which) => write!(f, "device:{which}"),
            Self::Owner(which) => write!(f, "owner:{which}"),
            Self::Group(which) => write!(f, "group:{which}"),
            Self::Service(which) => write!(f, "service:{which}"),
            Self::Claim { name, value } => write!(f, "claim:{name}={value}"),
        }
    }
}

/// What a token or the hook says of somebody besides.
pub(super) fn claims(identity: &Identity) -> &[(Arc<str>, Arc<str>)] {
    identity.proof.as_ref().map_or(&[], |proof| &proof.claims)
}
