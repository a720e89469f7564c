//! README's section "Bring your first device": its commands as they stand there, from an empty directory.

use std::fs;
use std::process::Command;
use windrose_e2e::binary::windrose;
use windrose_e2e::folder::Folder;
use windrose_e2e::ports::Port;

const README: &str = include_str!("../../README.md");

/// The indented lines of the section, in order.
fn commands() -> Vec<&'static str> {
    let (_, section) = README.split_once("## Bring your first device\n").expect("README has the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    section.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

/// Runs the commands in one shell, as somebody would who types them; then `more`.
fn type_in(folder: &Folder, more: &str) -> (bool, String) {
    let [mqtts, https, admin] = [(); 3].map(|()| Port::free().address().port().to_string());
    let wait = format!(
        "for i in $(seq 300); do curl -s http://127.0.0.1:{admin}/readyz >/dev/null && break; sleep 0.1; done"
    );
    let mut script = String::from("set -ex\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
    for command in commands() {
        let command =
            command.replace(":8443", &format!(":{https}")).replace("-p 8883", &format!("-p {mqtts}"));
        script.push_str(&command);
        script.push('\n');
        if command.contains("windrose run") {
            script.push_str(&wait);
            script.push('\n');
        }
    }
    script.push_str(&more.replace("MQTTS", &mqtts));
    let path = std::env::var("PATH").unwrap_or_default();
    let program = windrose().parent().expect("the program is in a folder").display();
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", format!("{program}:{path}"))
        .env("WINDROSE_MQTTS_PORT", &mqtts)
        .env("WINDROSE_HTTPS_PORT", &https)
        .env("WINDROSE_ADMIN_PORT", &admin)
        .output()
        .expect("bash can be started");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn at_most_eight_commands_lead_from_nothing_to_a_device_that_publishes_over_mutual_tls() {
    let folder = Folder::new();
    let count = commands().len();
    assert!((1..=8).contains(&count), "there are {count} commands");
    let (fine, said) = type_in(&folder, "echo ALL DONE\n");
    assert!(fine && said.contains("ALL DONE"), "{said}");
    let certificate = fs::read_to_string(folder.path().join("car-7.pem")).expect("there is a certificate");
    assert!(certificate.contains("BEGIN CERTIFICATE"), "{certificate}");
}

#[test]
fn what_was_enrolled_may_be_nothing_but_itself_and_nothing_once_it_is_revoked() {
    let folder = Folder::new();
    let publish =
        "mosquitto_pub --cafile ca/root.pem --cert car-7.pem --key car-7.key -p MQTTS -V 5 -q 1 -m x -d";
    let more = format!(
        "{publish} -t devices/car-8/telemetry 2>&1 | tee other.log || true\n\
         windrose device revoke car-7\n\
         for i in $(seq 100); do {publish} -t devices/car-7/telemetry || break; sleep 0.1; done\n\
         {publish} -t devices/car-7/telemetry && exit 1\n\
         echo REVOKED\n"
    );
    let (fine, said) = type_in(&folder, &more);
    assert!(fine && said.contains("REVOKED"), "{said}");
    let other = fs::read_to_string(folder.path().join("other.log")).expect("it was tried");
    assert!(
        other.contains("rc135") || other.contains("ot authorized"),
        "another's address is denied: {other}"
    );
}
