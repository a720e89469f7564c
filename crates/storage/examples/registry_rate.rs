//! How many devices a registry finds in a second, by their certificates, each of them for the first time:
//! `cargo run --profile quick -p windrose-storage --example registry_rate registry.db 100000 64`.
//!
//! The devices are those of an import whose certificates are the SHA-256 of their ids.

use sha2::{Digest, Sha256};
use std::io::Write;
use std::time::Instant;
use windrose_identity::{Directory, Lookup, Records};
use windrose_policy::RegistryLocation;
use windrose_storage::open_registry;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which file?")?;
    let location = match file.starts_with("postgres") {
        true => RegistryLocation::Postgres(windrose_policy::PoolHeader(file)),
        false => RegistryLocation::Sqlite(file.into()),
    };
    let asked: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let at_once: usize = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let registry = open_registry(&location)?;
    let devices = runtime.block_on(registry.counts())?.devices.max(1);
    let begin = Instant::now();
    let mut found = 0;
    let mut waiting = std::collections::VecDeque::new();
    for number in 0..asked {
        // All over the registry, so that no page is asked for twice in a row.
        let id = format!("d{:07}", number.wrapping_mul(7_368_787) % devices);
        let lookup = Lookup::Fingerprint(Sha256::digest(id.as_bytes()).into());
        waiting.push_back(registry.find(vec![lookup]));
        if waiting.len() == at_once
            && let Some(first) = waiting.pop_front()
        {
            found += runtime.block_on(first)?.len();
        }
    }
    for rest in waiting {
        found += runtime.block_on(rest)?.len();
    }
    let rate = asked as f64 / begin.elapsed().as_secs_f64();
    writeln!(std::io::stdout(), "{found} of {asked} found, {rate:.0}/s, {at_once} at once")?;
    Ok(())
}
