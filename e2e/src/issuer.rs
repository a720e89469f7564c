//! An issuer of tokens that nobody here wrote: PyJWT (`services/issuer.py`).

use crate::clients::python;
use crate::http;
use crate::ports::Port;
use crate::process::Process;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const INSTALL: &str = "run `scripts/setup test`, which installs PyJWT into .venv";

/// A running issuer. Dropped, it is killed.
#[derive(Debug)]
pub struct Issuer {
    port: Port,
    process: Option<Process>,
}

impl Issuer {
    /// Starts an issuer without keys: it makes each when it first signs with it.
    pub fn start() -> Self {
        let port = Port::free();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/services/issuer.py");
        let process =
            Process::start(Command::new(python()).args([path, &port.number().to_string()]), INSTALL);
        process.line("that it listens", |line| line == "ready");
        Self { port, process: Some(process) }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// How often it was asked for its keys.
    pub fn asked(&self) -> usize {
        self.process.as_ref().map_or(0, |process| process.out.count(|line| line == "asked for keys"))
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// The claims of a token for a device that is good for ten minutes.
    pub fn claims(device: &str) -> Value {
        json!({"iss": "https://idp.example", "aud": "windrose", "sub": device, "household": "alice", "exp": now() + 600})
    }

    /// Signs claims. The key's name says its algorithm: `rs-1`, `es-1`, `ed-1`; one that begins with an `x` is never told.
    pub fn sign(&self, key: &str, claims: &Value) -> String {
        self.sign_as(key, claims, &json!({}))
    }

    /// Signs claims with further fields of the header.
    pub fn sign_as(&self, key: &str, claims: &Value, header: &Value) -> String {
        let token = self
            .get("sign", &[("key", key), ("claims", &claims.to_string()), ("header", &header.to_string())]);
        token.unwrap_or_else(|problem| panic!("the issuer does not sign: {problem}"))
    }

    /// Takes a key out.
    pub fn drop_key(&self, key: &str) {
        let _was_there = self.get("drop", &[("key", key)]);
    }

    /// The claims of a token that somebody else's keys, at a URL, verify; or why they do not.
    pub fn verify(&self, keys: &str, audience: &str, token: &str) -> Result<Value, String> {
        let claims = self.get("verify", &[("keys", keys), ("audience", audience), ("token", token)])?;
        Ok(serde_json::from_str(&claims).expect("claims are JSON"))
    }

    fn get(&self, what: &str, query: &[(&str, &str)]) -> Result<String, String> {
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let answer = http::get(self.port.address(), &format!("/{what}?{}", query.join("&")));
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status() == 200 { Ok(answer.text()) } else { Err(answer.text()) }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
