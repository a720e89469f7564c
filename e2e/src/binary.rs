//! Finding the program under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The `windrose` binary: `WINDROSE_BIN` if that is set, otherwise the one of the workspace, built now.
///
/// Cargo builds a binary for the tests of its own package only, so that the first test that needs it asks for the build;
/// if nothing has changed that takes a moment. The build is of the same profile as the tests and in the same folder.
pub fn windrose() -> &'static Path {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| match std::env::var_os("WINDROSE_BIN").map(PathBuf::from) {
        Some(named) if named.is_file() => Ok(named),
        Some(named) => Err(format!("WINDROSE_BIN: {} is no file", named.display())),
        None => build(),
    });
    found.as_ref().unwrap_or_else(|problem| panic!("{problem}"))
}

/// Builds the binary into the folder that the running test was built into: `target/PROFILE/deps/test-HASH`.
fn build() -> Result<PathBuf, String> {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("a test stands in target/PROFILE/deps");
    let profile = folder.file_name().and_then(|name| name.to_str()).unwrap_or("debug");
    let profile = if profile == "debug" { "dev" } else { profile };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "windrose",
            "--bin",
            "windrose",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(folder.parent().expect("a profile's folder stands in the target folder"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null())
        .output()
        .expect("cargo can be started");
    if output.status.success() {
        Ok(folder.join("windrose"))
    } else {
        Err(format!("the windrose binary cannot be built:\n{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Runs the program to its end, with text on its standard input.
pub fn run(arguments: &[&str], input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(windrose())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the windrose binary can be started");
    let mut stdin = child.stdin.take().expect("its standard input is a pipe");
    // A program that does not read its input closes the pipe: fine.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the windrose binary ends")
}

/// What the program wrote to standard output, if it exited with 0.
///
/// # Panics
/// If it did not.
pub fn output(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "windrose {arguments:?} failed: {errors}");
    String::from_utf8(output.stdout).expect("windrose writes UTF-8")
}
