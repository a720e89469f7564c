//! What a request says of who sends it.

use super::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use windrose_event::{Claim, Secret, Text};

/// Adds a request's credentials to a claim: an API key (`Authorization: Bearer`, `X-API-Key`), or a user name and
/// password (`Authorization: Basic`, RFC 7617).
pub fn read_credentials(headers: &HeaderMap, claim: &mut Claim) -> Result<(), Problem> {
    let Some(authorization) = headers.get(AUTHORIZATION) else {
        if let Some(key) = headers.get("x-api-key") {
            claim.api_key = Some(Secret::new(Bytes::copy_from_slice(key.as_bytes())));
        }
        return Ok(());
    };
    let text = authorization.to_str().map_err(|_| unreadable())?;
    let (scheme, value) = text.trim().split_once(' ').ok_or_else(unreadable)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        claim.api_key = Some(Secret::new(Bytes::copy_from_slice(value.trim().as_bytes())));
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = Bytes::from(STANDARD.decode(value.trim()).map_err(|_| unreadable())?);
        let colon = decoded.iter().position(|byte| *byte == b':').ok_or_else(unreadable)?;
        claim.username = Some(Text::from_utf8(decoded.slice(..colon)).map_err(|_| unreadable())?);
        claim.password = Some(Secret::new(decoded.slice(colon + 1..)));
    } else {
        return Err(unreadable());
    }
    Ok(())
}

fn unreadable() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "bad_credentials",
        "Authorization is not understood; it is Bearer with an API key, or Basic with a user name and password",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use http::HeaderValue;

    fn read(name: &'static str, value: &'static str) -> Result<Claim, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let mut claim = Claim::default();
        read_credentials(&headers, &mut claim).map(|()| claim)
    }

    #[test]
    fn credentials_come_in_three_ways() {
        for (name, value) in
            [("authorization", "Bearer k1"), ("authorization", "bearer  k1 "), ("x-api-key", "k1")]
        {
            assert_eq!(read(name, value).unwrap().api_key.unwrap().reveal(), b"k1", "{value}");
        }
        let claim = read("authorization", "Basic Y2FyLTc6YTpi").unwrap();
        assert_eq!(claim.username.as_deref(), Some("car-7"));
        assert_eq!(claim.password.unwrap().reveal(), b"a:b");
        assert!(read("accept", "*/*").unwrap().is_anonymous());
    }

    #[test]
    fn what_is_not_understood_does_not_make_anonymous() {
        for value in ["Digest x", "Bearer", "Basic ***", "Basic Y2Fy"] {
            assert_eq!(read("authorization", value).unwrap_err().status.as_u16(), 401, "{value}");
        }
    }
}
