//! `windrose ca`: an authority of one's own, for things to enrol with.

use clap::{Args, Subcommand};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use windrose_identity::authority::{Root, Server, next_issuing, shown};
use windrose_storage::{AuthorityFile, AuthorityFolder};

/// What is done with an authority.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a root, what signs for it, and a server's certificate for listeners.
    ///
    /// Nothing that is there already is written over. The root's key stands in a folder of its own: take that away to where
    /// nobody gets at it, and bring it back for `windrose ca rotate`.
    Init(Init),
    /// Make a new certificate and key that sign, by the root's key.
    ///
    /// What signed before stays trusted, and still signs what is known of its own certificates. A node that runs takes the
    /// new one by itself.
    Rotate {
        /// The authority's folder.
        #[arg(long, default_value = "ca")]
        directory: PathBuf,
        /// What names begin with, as at `init`.
        #[arg(long, default_value = "Windrose")]
        name: String,
        /// The root's key, if it is not in the authority's folder.
        #[arg(long)]
        root_key: Option<PathBuf>,
    },
    /// Show the certificates of an authority.
    Show {
        /// The authority's folder.
        #[arg(long, default_value = "ca")]
        directory: PathBuf,
    },
}

/// What is to be made.
#[derive(Args)]
pub(crate) struct Init {
    /// The authority's folder; made if it is not there.
    #[arg(long, default_value = "ca")]
    directory: PathBuf,
    /// What names of its certificates begin with.
    #[arg(long, default_value = "Windrose")]
    name: String,
    /// A name or an address of the server, for the certificate of its listeners; may be given several times.
    #[arg(long = "server-name", default_values = ["localhost", "127.0.0.1", "::1"])]
    server_names: Vec<String>,
    /// Where the node can be asked for lists of revocation, such as `http://ca.example:8080`; written into the server's
    /// certificate.
    #[arg(long)]
    url: Option<String>,
}

/// Does it; the text is for people.
///
/// # Errors
/// The sentence that says why it is not done.
pub(crate) fn run(command: &Command) -> Result<String, String> {
    match command {
        Command::Init(Init { directory, name, server_names, url }) => {
            init(directory, name, server_names, url.as_deref())
        }
        Command::Rotate { directory, name, root_key } => rotate(directory, name, root_key.as_deref()),
        Command::Show { directory } => show(directory),
    }
}

/// Makes an authority; the text says what was made.
///
/// # Errors
/// The sentence that says why there is none.
pub(crate) fn init(
    directory: &Path,
    name: &str,
    server_names: &[String],
    url: Option<&str>,
) -> Result<String, String> {
    let (root, root_files) = Root::create(name)?;
    let (issuing, issuing_files) = root.issuing(&format!("{name} issuing 1"))?;
    let server = issuing.server(&Server { names: server_names, url })?;
    let chain = issuing_files.certificate.clone() + &root_files.certificate;
    let folder = AuthorityFolder::new(directory);
    folder.create(&[
        (AuthorityFile::Root, root_files.certificate.as_bytes()),
        (AuthorityFile::RootKey, root_files.key.reveal()),
        (AuthorityFile::Issuing, chain.as_bytes()),
        (AuthorityFile::IssuingKey, issuing_files.key.reveal()),
        (AuthorityFile::Server, server.certificate.as_bytes()),
        (AuthorityFile::ServerKey, server.key.reveal()),
        (AuthorityFile::Clients, chain.as_bytes()),
    ])?;
    let path = |file| folder.path(file).display().to_string();
    let mut text = String::new();
    for (file, what) in [
        (AuthorityFile::Root, "what things trust (curl --cacert, mosquitto_pub --cafile)"),
        (AuthorityFile::Issuing, "what signs, with its key: ca.certificate and ca.key"),
        (AuthorityFile::Server, "for listeners, with its key: tls.*.certificate and tls.*.key"),
        (AuthorityFile::Clients, "what listeners trust of things: tls.*.client_ca"),
        (AuthorityFile::RootKey, "the root's key: take its folder away, only `windrose ca rotate` needs it"),
    ] {
        let _ = writeln!(text, "{:24} {what}", path(file));
    }
    let _ = write!(
        text,
        "\nIn the document:\n\
         ca: {{certificate: {}, key: {}}}\n\
         tls:\n  edge: {{certificate: {}, key: {}, client_ca: {}}}\n",
        path(AuthorityFile::Issuing),
        path(AuthorityFile::IssuingKey),
        path(AuthorityFile::Server),
        path(AuthorityFile::ServerKey),
        path(AuthorityFile::Clients),
    );
    Ok(text)
}

fn rotate(directory: &Path, name: &str, root_key: Option<&Path>) -> Result<String, String> {
    let folder = AuthorityFolder::new(directory);
    let root_certificate = folder.read(AuthorityFile::Root)?;
    let key = match root_key {
        Some(path) => {
            windrose_storage::read_file(path).map_err(|error| format!("{}: {error}", path.display()))
        }
        None => folder.read(AuthorityFile::RootKey),
    };
    let key = key.map_err(|error| {
        format!("{error}\nThe root's key is needed: bring it back, or say where it is by --root-key")
    })?;
    let root = Root::read(&root_certificate, &key)?;
    let before = folder.read(AuthorityFile::Issuing)?;
    let keys = folder.read(AuthorityFile::IssuingKey)?;
    let name = format!("{name} issuing {}", next_issuing(name, &before));
    let (_, made) = root.issuing(&name)?;
    let first = |content: &[u8]| [made.certificate.as_bytes(), content].concat();
    // The key first: a node that reads in between finds a key too many, which it does not mind.
    folder.replace(AuthorityFile::IssuingKey, &[made.key.reveal(), &keys].concat())?;
    folder.replace(AuthorityFile::Clients, &first(&folder.read(AuthorityFile::Clients)?))?;
    folder.replace(AuthorityFile::Issuing, &first(&before))?;
    Ok(format!(
        "{name} signs from now on ({}); what signed before stays trusted for what it signed.\n",
        folder.path(AuthorityFile::Issuing).display()
    ))
}

fn show(directory: &Path) -> Result<String, String> {
    let folder = AuthorityFolder::new(directory);
    let mut text = String::new();
    for file in [AuthorityFile::Issuing, AuthorityFile::Server] {
        let path = folder.path(file);
        let shown = shown(&folder.read(file)?).map_err(|error| format!("{}: {error}", path.display()))?;
        let _ = writeln!(text, "{}\n{shown}", path.display());
    }
    let key = folder.path(AuthorityFile::RootKey);
    let here = if key.exists() { "is still there: take it away" } else { "is not there, as it should be" };
    let _ = writeln!(text, "{}\nthe root's key {here}", key.display());
    Ok(text)
}
