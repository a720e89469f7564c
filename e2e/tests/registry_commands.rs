//! The command line on the registry: devices, owners, credentials, import and export, with no node running.

use serde_json::Value;
use windrose_e2e::binary::{output, run};
use windrose_e2e::folder::Folder;

const DOCUMENT: &str = r#"
listeners:
  - {name: mqtt, protocol: mqtt, bind: "127.0.0.1:1883"}
identity: {registry: "sqlite:registry.db"}
"#;

/// A folder with a document that names a registry.
struct Desk {
    folder: Folder,
    document: String,
}

impl Desk {
    fn new() -> Self {
        let folder = Folder::new();
        let document = folder.write("windrose.yaml", DOCUMENT).display().to_string();
        Self { folder, document }
    }

    /// Whether it was done, what it said on standard output, and on standard error.
    fn try_with(&self, arguments: &[&str], input: &str) -> (bool, String, String) {
        let mut all = arguments.to_vec();
        all.extend(["--document", &self.document]);
        let done = run(&all, input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.success(), text(&done.stdout), text(&done.stderr))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let (done, out, error) = self.try_with(arguments, "");
        assert!(done, "{arguments:?}: {error}");
        out
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (done, out, error) = self.try_with(arguments, "");
        assert!(!done && out.is_empty(), "{arguments:?}: {out}");
        error
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        serde_json::from_str(&self.run(&all)).expect("JSON")
    }
}

#[test]
fn a_device_is_somebodys_and_then_somebody_elses() {
    let desk = Desk::new();
    assert_eq!(
        desk.run(&["device", "add", "car-7", "--owner", "ann", "--group", "cars"]),
        "added device car-7, which is ann's\n"
    );
    assert!(desk.refused(&["device", "add", "car-7"]).contains("there is another device `car-7`"));
    assert!(desk.refused(&["device", "add", "a/b"]).contains("cannot be the name of a device"));
    assert!(desk.refused(&["device", "show", "car-8"]).contains("there is no device `car-8`"));
    desk.run(&["device", "transfer", "car-7", "--owner", "ben"]);
    desk.run(&["device", "release", "car-7"]);
    desk.run(&["device", "claim", "car-7", "--owner", "cleo"]);
    let history = desk.run(&["device", "history", "car-7"]);
    let acts: Vec<&str> = history.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(acts, ["claimed", "released", "transferred", "added"], "{history}");
    desk.run(&["device", "revoke", "car-7", "--reason", "stolen"]);
    let shown = desk.json(&["device", "show", "car-7"]);
    assert_eq!(
        (&shown["owner"], &shown["status"], &shown["reason"]),
        (&"cleo".into(), &"revoked".into(), &"stolen".into())
    );
    desk.run(&["device", "reinstate", "car-7"]);
    desk.run(&["owner", "revoke", "cleo"]);
    assert_eq!(desk.json(&["device", "show", "car-7"])["status"], "owner_revoked");
    assert!(desk.run(&["owner", "list"]).contains("cleo   revoked"));
    assert_eq!(desk.run(&["device", "list", "--owner", "ben"]).lines().count(), 1, "the header alone");
    desk.run(&["device", "remove", "car-7"]);
    assert!(desk.refused(&["device", "show", "car-7"]).contains("there is no device"));
}

#[test]
fn a_code_is_all_that_is_printed() {
    let desk = Desk::new();
    desk.run(&["device", "add", "car-7"]);
    let code = desk.run(&["device", "enrol-code", "car-7", "--purpose", "claim", "--valid", "1h"]);
    let code = code.trim_end();
    assert!(code.starts_with("wre_") && code.len() == 30, "{code}");
    assert!(!desk.run(&["device", "show", "car-7"]).contains(code), "it is shown once");
    let file = desk.folder.write("code", code).display().to_string();
    desk.run(&["device", "claim", "car-7", "--owner", "ann", "--code", &file]);
    desk.run(&["device", "release", "car-7"]);
    let again = desk.refused(&["device", "claim", "car-7", "--owner", "ann", "--code", &file]);
    assert!(again.contains("was used already"), "{again}");
    let bytes = std::fs::read(desk.folder.path().join("registry.db")).expect("the registry");
    assert!(!bytes.windows(code.len()).any(|some| some == code.as_bytes()), "only its digest is kept");
}

#[test]
fn secrets_come_by_files_or_chance_and_are_shown_once() {
    let desk = Desk::new();
    desk.run(&["device", "add", "car-7"]);
    let add = ["device", "credential", "add", "car-7"];
    let with = |more: &[&'static str]| [&add[..], more].concat();
    let made = desk.run(&with(&["--api-key", "--generate"]));
    assert_eq!(made.trim_end().len(), 64);
    let (done, out, error) = desk.try_with(&with(&["--password", "--secret", "-"]), "correct horse\n");
    assert!(done && !out.contains("horse"), "{error}");
    desk.run(&with(&["--psk", "--generate", "--name", "psk-7"]));
    desk.run(&with(&["--subject", "CN = car-7, O = Cars", "--not-after", "2040-01-01"]));
    assert!(desk.refused(&with(&["--password"])).contains("where is the secret?"));
    assert!(desk.refused(&with(&["--password", "--psk", "--generate"])).contains("cannot be used with"));
    assert!(desk.refused(&with(&["--psk", "--generate", "--name", "psk-7"])).contains("it is `car-7`'s"));
    let shown = desk.json(&["device", "show", "car-7"]);
    let credentials = shown["credentials"].as_array().expect("a list");
    let kinds: Vec<&str> = credentials.iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(kinds, ["api_key", "password", "psk", "certificate_subject"]);
    assert!(!shown.to_string().contains(made.trim_end()) && !shown.to_string().contains("argon2"));
    let id = credentials[1]["id"].as_str().expect("an id");
    desk.run(&["device", "credential", "revoke", id, "--reason", "leaked"]);
    assert!(desk.json(&["device", "show", "car-7"])["credentials"][1]["revoked"].is_string());
}

#[test]
fn an_import_is_all_or_nothing_and_an_export_gives_it_back() {
    let desk = Desk::new();
    let write = |name: &str, text: &str| desk.folder.write(name, text).display().to_string();
    let bad = write("bad.csv", "id,owner\na,ann\nb/c,ann\nd,ann\n");
    let error = desk.refused(&["registry", "import", &bad]);
    assert!(error.contains("bad.csv:3: `b/c` cannot be the name of a device"), "{error}");
    assert!(error.contains("nothing was taken in"), "{error}");
    assert_eq!(desk.json(&["registry", "info"])["devices"], 0);
    assert_eq!(desk.run(&["registry", "import", &bad, "--skip-bad"]), "2 added, 1 bad lines left out\n");
    let more = write("more.jsonl", "{\"id\":\"a\",\"owner\":\"ben\"}\n{\"id\":\"e\"}\n");
    assert!(
        desk.refused(&["registry", "import", &more]).contains("more.jsonl:1: there is another device `a`")
    );
    assert_eq!(desk.run(&["registry", "import", &more, "--existing", "update"]), "1 added, 1 updated\n");
    let exported = desk.run(&["registry", "export", "--format", "csv"]);
    let ids: Vec<&str> = exported.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(ids, ["a", "d", "e"], "{exported}");
    let other = Desk::new();
    let (done, out, error) = other.try_with(&["registry", "import", "-", "--format", "csv"], &exported);
    assert!(done && out == "3 added\n", "{error}");
    assert_eq!(other.run(&["registry", "export", "--format", "csv"]), exported);
    let file = desk.folder.path().join("out.jsonl").display().to_string();
    desk.run(&["registry", "export", &file]);
    assert!(desk.refused(&["registry", "export", &file]).contains("exists"), "nothing is written over");
}

#[test]
fn what_names_no_registry_is_told() {
    let folder = Folder::new();
    let document = DOCUMENT.replace("registry: \"sqlite:registry.db\"", "anonymous: deny");
    let document = folder.write("windrose.yaml", &document).display().to_string();
    let done = run(&["device", "list", "--document", &document], "");
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(error.contains("it names no registry: add `identity: {registry:"), "{error}");
    let nowhere = folder.path().join("nothing.yaml").display().to_string();
    assert!(!run(&["device", "list", "--document", &nowhere], "").status.success());
    assert!(output(&["device", "--help"], "").contains("enrol-code"));
}
