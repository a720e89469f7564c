//! URLs of services that the node asks or names.

use crate::document::{At, Located, Reading};
use crate::keys::Plaintext;
use http::Uri;

/// A URL that the node asks. By `http://` it may be on loopback only, or `plaintext: allow` says that the network is safe.
/// `danger` is what could happen on the way otherwise.
pub(super) fn asked(
    url: &Located<String>,
    plaintext: Option<&Located<Plaintext>>,
    danger: &str,
    reading: &mut Reading<'_>,
) -> Option<()> {
    let uri = service(&url.value, &url.at, reading)?;
    let is_plain = uri.scheme_str() == Some("http");
    match plaintext {
        None if is_plain && !is_loopback(&uri) => {
            let help = "write `https://...`, or `plaintext: allow` if the network is safe";
            reading.mistake(&url.at, format!("by `http://` {danger}")).help(help);
            return None;
        }
        Some(plaintext) if !is_plain => {
            reading.mistake(&plaintext.at, "nothing is asked in plain text").help("take `plaintext` out");
        }
        _ => {}
    }
    Some(())
}

/// A URL that begins with `https://` or `http://` and has a host, and no credentials.
pub(super) fn service(url: &str, at: &At, reading: &mut Reading<'_>) -> Option<Uri> {
    let bad = match url.parse::<Uri>() {
        Err(error) => error.to_string(),
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => {
            "it does not begin with `https://` or `http://`".to_owned()
        }
        Ok(uri) if uri.host().is_none_or(str::is_empty) => "it has no host".to_owned(),
        Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            reading.conceal(at);
            let help = "send them in a header, or take them out";
            reading.mistake(at, "credentials have no place in a URL: they end up in logs").help(help);
            return None;
        }
        Ok(uri) => return Some(uri),
    };
    reading.mistake(at, format!("this is not the URL of a service: {bad}"));
    None
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}
