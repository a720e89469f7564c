//! Connections of devices that a registry of a million knows: what it costs the server to know who they are, next to
//! connections of nobody in particular in the same process.

use super::{Column, Conditions, Measure, Sample};
use crate::helper::{Helper, Role};
use crate::load::storm::{Device, Measured, Work};
use crate::peers::{Identity, Need, Peer, Setup};
use crate::server::Server;
use crate::{Result, procfs};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Devices in the registry.
const REGISTERED: usize = 1_000_000;

/// How often what is compared is done in turn. Not often: the system's table of connections remembers them for minutes, and five
/// rounds make nearly as many as it holds.
const TURNS: usize = 2;

/// What servers finish after the last connection has this long.
const SETTLE: Duration = Duration::from_millis(200);

/// Storms of connections by different credentials, one after another at one server.
pub(super) struct Known {
    /// How many each.
    connections: usize,
    tls: bool,
}

/// In plain text.
pub(super) const PLAIN: Known = Known { connections: 6_000, tls: false };

/// With whole handshakes of TLS.
pub(super) const TLS: Known = Known { connections: 2_000, tls: true };

const COLUMNS: &[Column] = &[
    ("anon conn/CPU-s", |sample| sample.figure("anonymous")),
    ("JWT cold", |sample| sample.figure("jwt cold")),
    ("JWT", |sample| sample.figure("jwt")),
    ("cert. of nobody", |sample| sample.figure("certificate of nobody")),
    ("cert. cold", |sample| sample.figure("certificate cold")),
    ("cert.", |sample| sample.figure("certificate")),
    ("anon resumed", |sample| sample.figure("anonymous resumed")),
    ("cert. resumed", |sample| sample.figure("certificate resumed")),
    ("registry MiB", |sample| sample.figure("registry MiB")),
    ("RSS MiB", Sample::resident_mebibytes),
];

impl Measure for Known {
    fn run(&self, peer: &dyn Peer, mut setup: Setup, conditions: &Conditions) -> Result<Sample> {
        setup.tls = self.tls.then(|| conditions.tls.clone());
        let fleet = Fleet::make(peer, &setup, self.connections, self.tls)?;
        let registry = fleet.identity.registry.clone();
        // Where nobody is known, a certificate is verified all the same: what that costs is TLS's, not the registry's.
        let nobody = match self.tls {
            true => Some(self.of_nobody(peer, &setup, conditions, &fleet)?),
            false => None,
        };
        setup.identity = Some(fleet.identity.clone());
        setup.address = crate::peers::free_address()?;
        let mut server = Server::start(peer, &setup)?;
        let mut sample = Sample { work: self.connections as u64, ..Sample::default() };
        let start = Instant::now();
        let mut rates: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        let mut storm = |name, devices: &[Device], resume| -> Result<()> {
            let rate = self.storm(&server, &setup, conditions, devices, resume, &mut sample.load_cpu)?;
            rates.entry(name).or_default().push(rate);
            Ok(())
        };
        // Its first storm is the server's first work at all, and not looked at.
        storm("warm-up", &[], false)?;
        storm("jwt cold", &fleet.tokens, false)?;
        // In turn: the machine is not the same from one second to the next.
        for _ in 0..TURNS {
            storm("anonymous", &[], false)?;
            storm("jwt", &fleet.tokens, false)?;
        }
        if self.tls {
            storm("certificate cold", &fleet.certificates, false)?;
            storm("certificate", &fleet.certificates, false)?;
            // How a fleet comes back.
            storm("anonymous resumed", &[], true)?;
            storm("certificate resumed", &fleet.certificates, true)?;
        }
        let mean = |rates: Vec<f64>| rates.iter().sum::<f64>() / rates.len() as f64;
        sample.figures.extend(rates.into_iter().map(|(name, rates)| (name, mean(rates))));
        sample.figures.extend(nobody.map(|rate| ("certificate of nobody", rate)));
        sample.figures.insert("registry MiB", std::fs::metadata(&registry)?.len() as f64 / 1_048_576.0);
        sample.seconds = start.elapsed().as_secs_f64();
        server.check()?;
        sample.server_cpu = procfs::cpu_seconds(server.pid())?;
        sample.resident = procfs::resident_bytes(server.pid())?;
        Ok(sample)
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn compared(&self) -> usize {
        3
    }

    fn about_seconds(&self, _: &Conditions) -> f64 {
        15.0
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Qos1, Need::Tls, Need::Registry]
    }
}

impl Known {
    /// Connections a second of the server's processor time.
    fn storm(
        &self,
        server: &Server,
        setup: &Setup,
        conditions: &Conditions,
        devices: &[Device],
        resume: bool,
        load_cpu: &mut f64,
    ) -> Result<f64> {
        let work = Work {
            server: setup.address,
            connections: self.connections,
            mqtt: conditions.mqtt,
            authority: setup.tls.as_ref().map(|tls| tls.authority.clone()),
            resume,
            devices: devices.to_vec(),
        };
        let mut crowd = Helper::start(Role::Storm, &work)?;
        crowd.answer::<()>()?;
        let before = procfs::cpu_seconds(server.pid())?;
        crowd.tell(&())?;
        let measured: Measured = crowd.answer()?;
        if resume && measured.resumed < self.connections {
            let resumed = measured.resumed;
            return Err(format!("{resumed} of {} connections were resumed", self.connections).into());
        }
        std::thread::sleep(SETTLE);
        *load_cpu += measured.load_cpu;
        Ok(self.connections as f64 / (procfs::cpu_seconds(server.pid())? - before).max(0.01))
    }

    /// Connections with certificates to a server that verifies them and does not look whose they are.
    fn of_nobody(
        &self,
        peer: &dyn Peer,
        setup: &Setup,
        conditions: &Conditions,
        fleet: &Fleet,
    ) -> Result<f64> {
        let mut setup = setup.again()?;
        setup.identity = Some(Identity { nobody: true, ..fleet.identity.clone() });
        let server = Server::start(peer, &setup)?;
        let mut ignored = 0.0;
        self.storm(&server, &setup, conditions, &[], false, &mut ignored)?;
        self.storm(&server, &setup, conditions, &fleet.certificates, false, &mut ignored)
    }
}

/// A million registered devices, some of whom connect.
struct Fleet {
    identity: Identity,
    /// Those who connect, with tokens...
    tokens: Vec<Device>,
    /// ...and others, with certificates.
    certificates: Vec<Device>,
}

impl Fleet {
    fn make(peer: &dyn Peer, setup: &Setup, connections: usize, tls: bool) -> Result<Self> {
        // Made once for all rounds: it takes longer than everything else.
        let folder = setup.folder.parent().unwrap_or(&setup.folder).join("fleet");
        std::fs::create_dir_all(&folder)?;
        let registry = folder.join("registry.db");
        if !registry.exists() {
            fill(peer, &folder, &registry)?;
        }
        let (issuer, tokens) = tokens(&folder, connections)?;
        let (authority, certificates) = match tls {
            true => {
                let (authority, certificates) = certificates(&folder, connections)?;
                (Some(authority), certificates)
            }
            false => (None, Vec::new()),
        };
        // Each round begins with a registry that nobody has asked yet.
        let own = setup.folder.join("registry.db");
        std::fs::copy(&registry, &own)?;
        let identity = Identity { registry: own, issuer, authority, nobody: false };
        Ok(Self { identity, tokens, certificates })
    }
}

fn id(number: usize) -> String {
    format!("device-{number:07}")
}

/// The devices that connect are spread over the whole registry; those with certificates are others than those with tokens.
fn spread(connections: usize, offset: usize) -> impl Iterator<Item = usize> {
    let step = REGISTERED / connections.max(1);
    (0..connections).map(move |index| index * step + offset)
}

/// Imports the devices, as an operator would.
fn fill(peer: &dyn Peer, folder: &Path, registry: &Path) -> Result<()> {
    let list = folder.join("devices.csv");
    let mut out = BufWriter::new(File::create(&list)?);
    writeln!(out, "id,owner,groups")?;
    for number in 0..REGISTERED {
        writeln!(out, "{},household-{},meters", id(number), number / 4)?;
    }
    out.flush()?;
    let document = folder.join("windrose.yaml");
    let mut text = String::new();
    writeln!(text, "identity: {{registry: 'sqlite:{}'}}", registry.display())?;
    writeln!(text, "listeners: [{{name: mqtt, protocol: mqtt, bind: '127.0.0.1:1883'}}]")?;
    std::fs::write(&document, text)?;
    let begun = Instant::now();
    let mut command = peer.registry_import(&document, &list).ok_or("it has no registry")?;
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("the import failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    eprintln!("{REGISTERED} devices imported in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Tokens that are good for an hour, and the file of the issuer's public key.
fn tokens(folder: &Path, connections: usize) -> Result<(PathBuf, Vec<Device>)> {
    let key = KeyPair::generate()?;
    let issuer = folder.join("issuer.pem");
    std::fs::write(&issuer, key.public_key_pem())?;
    let signs = EncodingKey::from_ec_der(&key.serialize_der());
    let until = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3_600;
    let devices = spread(connections, 0).map(|number| {
        let id = id(number);
        let claims = serde_json::json!({"iss": "bench", "aud": "windrose", "sub": id, "exp": until});
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &signs)?;
        Ok(Device { id, password: Some(token), certificate: None })
    });
    Ok((issuer, devices.collect::<Result<_>>()?))
}

/// Certificates of an authority (ECDSA P-256), and its file.
fn certificates(folder: &Path, connections: usize) -> Result<(PathBuf, Vec<Device>)> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "Windrose bench fleet");
    let key = KeyPair::generate()?;
    let file = folder.join("fleet-ca.pem");
    std::fs::write(&file, authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);
    let devices = spread(connections, 1).map(|number| {
        let id = id(number);
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, id.as_str());
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?.pem() + &key.serialize_pem();
        Ok(Device { id, password: None, certificate: Some(certificate) })
    });
    Ok((file, devices.collect::<Result<_>>()?))
}
