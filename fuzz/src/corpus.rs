//! The inputs that are kept: `fuzz/corpus/TARGET/`, a small file each.

use crate::Target;
use std::path::PathBuf;
use std::{fs, io};

/// Where a target's inputs are.
pub fn folder(target: Target) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "corpus", target.name].iter().collect()
}

/// A target's inputs, in the order of their names.
pub fn read(target: Target) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder(target))? {
        paths.push(entry?.path());
    }
    paths.sort();
    paths.iter().map(fs::read).collect()
}

/// Keeps inputs, each in a file that is named after what is in it.
pub fn write(target: Target, inputs: &[Vec<u8>]) -> io::Result<()> {
    let folder = folder(target);
    fs::create_dir_all(&folder)?;
    for input in inputs {
        let mut name = crate::signature::Signature::new();
        name.add(input);
        fs::write(folder.join(format!("{:016x}", name.finish())), input)?;
    }
    Ok(())
}
