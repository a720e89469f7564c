//! An authority that OpenSSL runs: it signs, revokes, lists what it revoked (`openssl ca`), and answers (`openssl ocsp`).

use crate::certs::Pair;
use crate::folder::Folder;
use crate::process::Process;
use std::path::Path;
use std::process::Command;

/// What `openssl ca` is told.
const CONFIG: &str = "
[ca]
default_ca = authority
[authority]
database = index.txt
serial = serial
crlnumber = crlnumber
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = policy
unique_subject = no
[policy]
commonName = supplied
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[device]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
";

/// An authority in a folder of its own.
#[derive(Debug)]
pub struct OpensslAuthority {
    folder: Folder,
}

impl OpensslAuthority {
    /// A new authority. With `responder`, a URL, its certificates say where to ask about them.
    pub fn new(responder: Option<&str>) -> Self {
        let folder = Folder::new();
        let access =
            responder.map(|url| format!("authorityInfoAccess = OCSP;URI:{url}\n")).unwrap_or_default();
        folder.write("ca.cnf", &format!("{CONFIG}{access}"));
        folder.write("index.txt", "");
        folder.write("serial", "1000\n");
        folder.write("crlnumber", "01\n");
        let authority = Self { folder };
        authority.key("ca");
        authority.openssl(&[
            "req",
            "-x509",
            "-new",
            "-key",
            "ca.key",
            "-subj",
            "/CN=Maker",
            "-days",
            "60",
            "-config",
            "ca.cnf",
            "-extensions",
            "root",
            "-out",
            "ca.pem",
        ]);
        authority
    }

    /// Its own certificate, as PEM.
    pub fn certificate(&self) -> String {
        self.read("ca.pem")
    }

    /// A device's certificate and key.
    pub fn device(&self, name: &str) -> Pair {
        self.key(name);
        let (key, request, certificate) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let subject = format!("/CN={name}");
        self.openssl(&[
            "req", "-new", "-key", &key, "-subj", &subject, "-config", "ca.cnf", "-out", &request,
        ]);
        self.openssl(&[
            "ca",
            "-batch",
            "-config",
            "ca.cnf",
            "-in",
            &request,
            "-out",
            &certificate,
            "-extensions",
            "device",
            "-notext",
        ]);
        Pair { certificate: self.read(&certificate), key: self.read(&key) }
    }

    /// Revokes a device's certificate.
    pub fn revoke(&self, name: &str) {
        self.openssl(&["ca", "-config", "ca.cnf", "-revoke", &format!("{name}.pem")]);
    }

    /// The list of what it revoked, as PEM.
    pub fn list(&self) -> String {
        self.openssl(&["ca", "-config", "ca.cnf", "-gencrl", "-out", "maker.crl"]);
        self.read("maker.crl")
    }

    /// Answers questions at a port of the loopback address.
    pub fn responder(&self, port: u16) -> Process {
        let mut command = Command::new("openssl");
        command.current_dir(self.folder.path()).args(["ocsp", "-port", &port.to_string(), "-ndays", "1"]);
        command.args(["-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key"]);
        Process::start(&mut command, "install the package openssl")
    }

    fn key(&self, name: &str) {
        let key = format!("{name}.key");
        self.openssl(&["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", &key]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").current_dir(self.folder.path()).args(arguments).output();
        let output = output.expect("install the package openssl");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {said}");
    }

    fn read(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::read_to_string(Path::new(&path)).expect("OpenSSL wrote it")
    }
}
