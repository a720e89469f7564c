//! `windrose device credential`, and the same for owners and services: how somebody proves who it is. Secrets come from files,
//! standard input or chance, never from the command line, where every program on the machine sees them.

use super::desk::{Desk, read_secret, time};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use windrose_event::{Secret, Subject};
use windrose_identity::{
    Act, CredentialSecret, Kind, Lookup, NewCredential, hash_password, new_secret, scram_keys,
};

/// What is done with credentials.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add one. A secret that is made (`--generate`) is printed, once.
    Add(Box<Add>),
    /// Let nobody in by it any more; sessions that it proved end.
    Revoke {
        /// The credential, by the id that `show` prints.
        credential: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let in by it again. Certificates stay revoked.
    Reinstate {
        /// The credential, by the id that `show` prints.
        credential: String,
    },
}

/// A credential that is added.
#[derive(Args)]
pub(crate) struct Add {
    /// Whose.
    id: String,
    #[command(flatten)]
    what: What,
    /// The user name that goes with a password, or the identity that goes with a pre-shared key. Default: the id.
    #[arg(long)]
    name: Option<String>,
    /// Where the secret is: a file, or `-` for standard input. A pre-shared key is its bytes, or `hex:` and hex digits.
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    secret: Option<PathBuf>,
    /// Make a secret and print it.
    #[arg(long)]
    generate: bool,
    /// From when it is good, such as 2026-11-21T07:00:00Z.
    #[arg(long)]
    not_before: Option<String>,
    /// Until when it is good.
    #[arg(long)]
    not_after: Option<String>,
}

/// What it is: one of these.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct What {
    /// A user name and a password.
    #[arg(long)]
    password: bool,
    /// A user name and the keys of a password for SCRAM-SHA-256.
    #[arg(long)]
    scram: bool,
    /// A pre-shared key, for DTLS.
    #[arg(long)]
    psk: bool,
    /// An API key.
    #[arg(long)]
    api_key: bool,
    /// A certificate, by its file in PEM or DER.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// A certificate by its SHA-256 in hex.
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,
    /// Certificates by their subject, such as `CN=car-7,O=Cars`.
    #[arg(long)]
    subject: Option<String>,
    /// Certificates by their common name.
    #[arg(long)]
    common_name: Option<String>,
    /// Certificates by one of their alternative names.
    #[arg(long)]
    san: Option<String>,
}

/// Does it; the text is for people, or the secret that was made.
pub(super) fn run(desk: &Desk, kind: Kind, command: &Command) -> Result<String, String> {
    match command {
        Command::Add(add) => run_add(desk, kind, add),
        Command::Revoke { credential, reason } => {
            let subject = Subject::Credential(credential.as_str().into());
            let done = format!("nobody is let in by credential {credential} any more");
            desk.act(Act::Revoke { subject, reason: reason.clone() }, done)
        }
        Command::Reinstate { credential } => {
            let subject = Subject::Credential(credential.as_str().into());
            desk.act(Act::Reinstate { subject }, format!("credential {credential} is good again"))
        }
    }
}

fn run_add(desk: &Desk, kind: Kind, add: &Add) -> Result<String, String> {
    let Add { id, what, name, secret, generate, not_before, not_after } = add;
    let needs_secret = what.password || what.scram || what.psk || what.api_key;
    if !needs_secret && (*generate || secret.is_some() || name.is_some()) {
        return Err(
            "a certificate has no secret and no name here: leave --secret, --generate and --name out"
                .to_owned(),
        );
    }
    let made = match (needs_secret, secret, generate) {
        (false, ..) => None,
        (true, Some(file), _) => Some(read_secret(file)?),
        (true, None, true) => Some(new_secret()?),
        (true, None, false) => {
            return Err("where is the secret? Say `--generate`, `--secret FILE` or `--secret -`".to_owned());
        }
    };
    let name = name.as_deref().unwrap_or(id);
    let hidden = |text: String| Secret::new(text.into_bytes());
    let (lookup, its) = if let Some(secret) = &made {
        if what.password {
            let hash = hash_password(secret.reveal()).map_err(|error| error.to_string())?;
            (Lookup::Username(name.to_owned()), CredentialSecret::PasswordHash(hidden(hash)))
        } else if what.scram {
            let keys = scram_keys(secret.reveal()).map_err(|error| error.to_string())?;
            (Lookup::Scram(name.to_owned()), CredentialSecret::ScramKeys(hidden(keys)))
        } else if what.psk {
            (Lookup::Psk(name.as_bytes().to_vec()), CredentialSecret::Psk(key_bytes(secret, *generate)?))
        } else {
            (Lookup::api_key(secret.reveal()), CredentialSecret::None)
        }
    } else {
        (certificate(what)?, CredentialSecret::None)
    };
    let limit = |text: &Option<String>| text.as_deref().map(time).transpose();
    let (not_before, not_after) = (limit(not_before)?, limit(not_after)?);
    let credential = NewCredential { lookup, secret: its, not_before, not_after };
    let act = Act::AddCredential { subject: kind.subject(id), credential };
    let done = desk.act(act, format!("{} {id} has another credential", kind.name()))?;
    match made.filter(|_| *generate) {
        Some(secret) => Ok(format!("{}\n", String::from_utf8_lossy(secret.reveal()))),
        None => Ok(done),
    }
}

/// A pre-shared key: bytes, or `hex:` and hex digits. What is made here is hex digits anyway.
fn key_bytes(secret: &Secret, is_hex: bool) -> Result<Secret, String> {
    let bytes = secret.reveal();
    let digits = match bytes.strip_prefix(b"hex:") {
        Some(digits) => digits,
        None if is_hex => bytes,
        None => return Ok(secret.clone()),
    };
    let text = String::from_utf8_lossy(digits);
    match Lookup::read(&format!("psk:{}", text.trim())) {
        Some(Lookup::Psk(bytes)) => Ok(Secret::new(bytes)),
        _ => Err("after `hex:` come hex digits, two for each byte".to_owned()),
    }
}

/// What certificates are recognised by.
fn certificate(what: &What) -> Result<Lookup, String> {
    if let Some(file) = &what.certificate {
        let bytes = windrose_storage::read_file(file)
            .map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
        return Lookup::certificate(&bytes)
            .ok_or_else(|| format!("{}: this is no certificate", file.display()));
    }
    if let Some(digits) = &what.fingerprint {
        let digits = digits.replace(':', "").to_ascii_lowercase();
        let lookup = Lookup::read(&format!("sha256:{digits}"));
        return lookup.ok_or_else(|| "a fingerprint is the SHA-256 of a certificate in hex".to_owned());
    }
    let named = what.subject.as_deref().map(Lookup::subject);
    let named = named.or_else(|| what.common_name.clone().map(Lookup::CommonName));
    let named = named.or_else(|| what.san.clone().map(Lookup::AlternativeName));
    named.ok_or_else(|| "what is the certificate recognised by?".to_owned())
}
