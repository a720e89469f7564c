//! Who could do what, and which rule says so: for the command line and the admin API alike.

use super::answer::{Fault, json};
use super::{Answered, Managed};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use std::sync::Arc;
use windrose_event::{Filter, Identity, Permission, Principal, Proof, Subject};
use windrose_identity::Record;
use windrose_policy::{AccessRules, Explanation, Question};
use windrose_protocol::http::Query;

const PERMISSIONS: [Permission; 6] = [
    Permission::Publish,
    Permission::Subscribe,
    Permission::Read,
    Permission::Request,
    Permission::Enrol,
    Permission::Administer,
];

/// Somebody who could ask for something.
#[derive(Clone, Debug)]
pub struct Asker {
    identity: Identity,
}

impl Asker {
    /// Reads it as access rules write it: `device:ID`, `owner:ID`, `service:NAME`, `anonymous`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let principal = match text.split_once(':') {
            None if text == "anonymous" => Principal::Anonymous,
            Some(("device", id)) if !id.is_empty() => Principal::Device { id: id.into(), owner: None },
            Some(("owner", id)) if !id.is_empty() => Principal::Owner { id: id.into() },
            Some(("service", name)) if !name.is_empty() => Principal::Service { name: name.into() },
            _ => {
                return Err(format!(
                    "`{text}` is nobody: write `device:ID`, `owner:ID`, `service:NAME` or `anonymous`"
                ));
            }
        };
        Ok(Self { identity: Identity { principal, ..Identity::anonymous() } })
    }

    /// What the registry may know more of.
    pub fn subject(&self) -> Option<Subject> {
        windrose_identity::subject_of(&self.identity.principal)
    }

    /// The asker as the registry knows it.
    pub fn known(record: &Record) -> Self {
        let Record { principal, groups, owned, .. } = record;
        let (principal, groups, owned) = (principal.clone(), Arc::clone(groups), Arc::clone(owned));
        Self { identity: Identity { principal, groups, owned, proof: None } }
    }

    /// The asker, a member of these groups besides: names with commas between them.
    pub fn in_groups(mut self, groups: &str) -> Self {
        let more = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(Arc::from);
        self.identity.groups = self.identity.groups.iter().cloned().chain(more).collect();
        self
    }

    /// The asker with this claim, `NAME=VALUE`, besides.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn claiming(mut self, claim: &str) -> Result<Self, String> {
        let Some((name, value)) = claim.split_once('=') else {
            return Err(format!("`{claim}` is no claim: write `NAME=VALUE`"));
        };
        let mut proof = self.identity.proof.as_deref().cloned().unwrap_or_default();
        let mut claims = proof.claims.to_vec();
        claims.push((name.into(), value.into()));
        claims.sort();
        proof = Proof { claims: claims.into(), ..proof };
        self.identity.proof = Some(Arc::new(proof));
        Ok(self)
    }

    /// Which rule decides whether it may do that, and why.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the question.
    pub fn explain<'r>(
        &self,
        rules: &'r AccessRules,
        permission: Permission,
        path: Option<&str>,
    ) -> Result<Explanation<'r>, String> {
        let path = match (permission, path) {
            (Permission::Enrol | Permission::Administer, _) => "",
            (_, None | Some("")) => {
                return Err(format!("say what to {} on: an address or a filter", permission.name()));
            }
            (_, Some(path)) => {
                Filter::new(path)
                    .map_err(|error| format!("`{path}` is neither address nor filter: {error}"))?;
                path
            }
        };
        Ok(rules.explain(&self.identity, Question { permission, path }))
    }
}

/// Reads the name of a permission.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn permission(text: &str) -> Result<Permission, String> {
    PERMISSIONS.into_iter().find(|permission| permission.name() == text).ok_or_else(|| {
        let names = PERMISSIONS.map(Permission::name).join(", ");
        format!("`{text}` is no permission: there is {names}")
    })
}

/// `GET /v1/explain?as=owner:7&permission=publish&on=devices/1/x&groups=a,b&claim=NAME=VALUE`
pub(super) async fn explain(State(managed): State<Managed>, RawQuery(query): RawQuery) -> Answered {
    let query = Query::new(query.as_deref());
    let wanted =
        |name: &'static str| query.get(name).ok_or_else(|| Fault::bad(format!("the query has no {name}")));
    let mut asker = Asker::parse(&wanted("as")?).map_err(Fault::bad)?;
    let permission = permission(&wanted("permission")?).map_err(Fault::bad)?;
    let known = match asker.subject() {
        Some(subject) => managed.record(subject).await?,
        None => None,
    };
    if let Some(record) = &known {
        asker = Asker::known(record);
    }
    if let Some(groups) = query.get("groups") {
        asker = asker.in_groups(&groups);
    }
    if let Some(claim) = query.get("claim") {
        asker = asker.claiming(&claim).map_err(Fault::bad)?;
    }
    let snapshot = managed.snapshot();
    let explained =
        asker.explain(&snapshot.access, permission, query.get("on").as_deref()).map_err(Fault::bad)?;
    let mut answer = explained.json();
    answer["status"] = known.map_or("unknown", |record| record.status.name()).into();
    Ok(json(StatusCode::OK, &answer))
}
