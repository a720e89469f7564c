//! Floor 2: who somebody is, and what proves it.
//!
//! A claim becomes an [`windrose_event::Identity`] here: passwords, certificates, tokens and keys are verified against what
//! [`Records`] (the database), the document's files, or somebody elsewhere ([`Fetch`]) says, behind a cache that is told of
//! every change. The node's own authority and its tokens are here, too. This crate opens no files and no sockets.

mod act;
mod anchors;
pub mod authority;
mod code;
mod directory;
mod directory_json;
mod distinguished;
mod fetch;
mod generated;
mod generations;
mod hook;
mod identities;
mod identity_token;
mod json;
mod lookup;
mod name;
mod recent;
mod record;
mod records;
mod revocation;
mod signature;
mod tokens;
mod vouched;

pub use act::{Act, IssuedCertificate, NewCredential, NewDevice};
pub use anchors::{Above, Anchors};
pub use code::{is_code, new_code};
pub use directory::{
    Counts, CredentialDetails, CredentialKind, Details, Directory, Kind, Listing, MOST_LISTED, Ownership,
    RevokedCertificate, StatusFilter, Summary,
};
pub use directory_json::{read_rfc3339, rfc3339};
pub use fetch::{Fetch, FetchRequest, Fetched};
pub use generated::new_secret;
pub use hook::Hook;
pub use identities::{
    EnrolledCa, FileRecords, Identities, IdentityFigures, Parts, PasswordError, check_password_hash,
    check_scram_keys, hash_password, scram_keys,
};
pub use identity_token::{PreparedKeys, TokenSigner};
pub use lookup::Lookup;
pub use name::is_name;
pub use record::{Changes, CodePurpose, Credential, CredentialSecret, Noted, Record, Status, subject_of};
pub use records::{Asked, Found, Records, RecordsError};
pub use revocation::{RevocationLists, Revocations, StatusQuestion};
pub use tokens::{Issuers, looks_like_token};
pub use vouched::{Fetchers, Vouched};
