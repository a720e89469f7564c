//! Identity tokens: short-lived tokens that tell services who published an event (RFC 7519), signed by the node.

mod keys;
#[cfg(test)]
mod tests;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use keys::SigningKeys;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use windrose_event::{Identity, Principal, Timestamp};
use windrose_policy::IdentityToken;

/// Signs identity tokens once it has keys. What it says of itself: `iss` is `windrose://NODE`.
pub struct TokenSigner {
    issuer: String,
    keys: ArcSwapOption<Keys>,
}

struct Keys {
    signing: SigningKeys,
    public: Bytes,
}

impl TokenSigner {
    /// One without keys for the node of that name: it signs nothing.
    pub fn new(node: &str) -> Self {
        Self { issuer: format!("windrose://{node}"), keys: ArcSwapOption::empty() }
    }

    /// Takes the keys that were kept, if any were, and makes new ones where that is due. Returns what is to be kept from now
    /// on if that is something else; then it has to be kept before [`TokenSigner::replace`] puts it into use.
    /// The error is a sentence for the operator.
    pub fn prepare(kept: Option<&[u8]>, now: Timestamp) -> Result<(PreparedKeys, Option<Vec<u8>>), String> {
        let keys = kept.map_or(Ok(SigningKeys::none()), SigningKeys::read)?;
        match keys.rotated(now)? {
            Some(new) => {
                let kept = new.write()?;
                Ok((PreparedKeys(new), Some(kept)))
            }
            None => Ok((PreparedKeys(keys), None)),
        }
    }

    /// Signs with these keys from now on; `None`: no more.
    pub fn replace(&self, keys: Option<PreparedKeys>) {
        self.keys.store(keys.map(|PreparedKeys(signing)| {
            let public = signing.public().to_string().into();
            Arc::new(Keys { signing, public })
        }));
    }

    /// The public keys, as a JWK Set (RFC 7517 §5), if it has any.
    pub fn public_keys(&self) -> Option<Bytes> {
        self.keys.load().as_ref().map(|keys| keys.public.clone())
    }

    /// A token that says who somebody is. Nobody vouches for the anonymous.
    pub fn sign(&self, identity: &Identity, token: &IdentityToken, now: Timestamp) -> Option<String> {
        let keys = self.keys.load();
        let signing = keys.as_ref()?.signing.signing(now)?;
        let issued = now.as_millis() / 1_000;
        let mut claims = Map::new();
        match &identity.principal {
            Principal::Anonymous => return None,
            Principal::Device { id, owner } => {
                claims.insert("device".to_owned(), json!(&**id));
                if let Some(owner) = owner {
                    claims.insert("owner".to_owned(), json!(&**owner));
                }
            }
            Principal::Owner { id } => {
                claims.insert("owner".to_owned(), json!(&**id));
            }
            Principal::Service { name } => {
                claims.insert("service".to_owned(), json!(&**name));
            }
        }
        if !identity.groups.is_empty() {
            let groups: Vec<&str> = identity.groups.iter().map(|group| &**group).collect();
            claims.insert("groups".to_owned(), json!(groups));
        }
        let mut random = [0; 12];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let common = [
            ("iss", json!(self.issuer)),
            ("aud", json!(&*token.audience)),
            ("sub", json!(identity.to_string())),
            ("iat", json!(issued)),
            ("exp", json!(issued + token.lifetime.as_secs().max(1))),
            ("jti", json!(URL_SAFE_NO_PAD.encode(random))),
        ];
        claims.extend(common.map(|(name, value)| (name.to_owned(), value)));
        signing.sign(&Value::Object(claims))
    }
}

/// Keys that can be put into use.
pub struct PreparedKeys(SigningKeys);
