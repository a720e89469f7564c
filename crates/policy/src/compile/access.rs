//! `access`: rules of who may do what.

use super::entries;
use crate::access::{AccessRule, AccessRules, Pattern, PatternError, Placeholder, Who};
use crate::document::{Located, Optional, Reading, suggestion};
use crate::keys::AccessKeys;
use windrose_event::Permission;

const FORMS: &str = "write `anyone`, `anonymous`, `device:ID`, `owner:ID`, `group:NAME`, `service:NAME` or `claim:NAME=VALUE`; `*` is all of a kind";

const OF_WHOM: &str = "`{device}` and its `{owner}` are of devices, `{owner}` and `{owned}` of owners, `{group}` and `{claim.NAME}` of all that are not anonymous";

pub(super) fn rules(section: Optional<Vec<Located<AccessKeys>>>, reading: &mut Reading<'_>) -> AccessRules {
    AccessRules::new(entries(section).into_iter().filter_map(|keys| rule(keys, reading)).collect())
}

fn rule(keys: Located<AccessKeys>, reading: &mut Reading<'_>) -> Option<AccessRule> {
    let Located { value: keys, at } = keys;
    let who = keys.who.0.and_then(|text| who(&text, reading));
    let denies = keys.deny.0.is_some();
    let permissions = match (keys.may.0, keys.deny.0) {
        (Some(_), Some(deny)) => {
            let help = "make two rules of it: what is denied stays denied, whatever the order";
            reading.mistake(&deny.at, "a rule either allows or denies").help(help);
            None
        }
        (None, None) if reading.has_mistake_in(&at) => None,
        (None, None) => {
            reading.mistake(&at, "the key `may` is missing").help("add `may: [...]`, or `deny: [...]`");
            None
        }
        (Some(list), None) | (None, Some(list)) => Some(list),
    };
    let permissions: Option<Vec<Permission>> =
        permissions.map(|list| list.value.0.into_iter().map(|permission| permission.value).collect());
    let needs_addresses = permissions.as_ref().is_some_and(|list| {
        list.iter().any(|one| !matches!(one, Permission::Administer | Permission::Enrol))
    });
    let on = match keys.on.0 {
        Some(list) => list.value.0.iter().filter_map(|text| pattern(text, who.as_ref(), reading)).collect(),
        None => {
            if needs_addresses {
                let help = "add `on:` with the filters of the addresses that it is about";
                reading.mistake(&at, "the rule does not say on which addresses").help(help);
            }
            Vec::new()
        }
    };
    let (who, permissions) = (who?, permissions?);
    let rule = match denies {
        true => AccessRule::deny(who, &permissions, on),
        false => AccessRule::new(who, &permissions, on),
    };
    Some(rule.at_line(at.line))
}

fn who(text: &Located<String>, reading: &mut Reading<'_>) -> Option<Who> {
    let who = Who::parse(&text.value);
    if who.is_none() {
        let near = match text.value.split_once(':') {
            Some((kind, name)) => suggestion(kind, ["device", "owner", "group", "service", "claim"])
                .filter(|kind| !name.is_empty() && !text.value.starts_with(&format!("{kind}:")))
                .map(|kind| format!("{kind}:{name}")),
            None => suggestion(&text.value, ["anyone", "anonymous"]).map(str::to_owned),
        };
        let mistake = reading.mistake(&text.at, format!("`{}` is nobody", text.value));
        mistake.help(near.map_or(FORMS.to_owned(), |near| format!("did you mean `{near}`?")));
    }
    who
}

fn pattern(text: &Located<String>, who: Option<&Who>, reading: &mut Reading<'_>) -> Option<Pattern> {
    match Pattern::new(&text.value) {
        Ok(pattern) => {
            let empty =
                pattern.placeholders().find(|placeholder| who.is_some_and(|who| !fills(who, placeholder)));
            if let Some(placeholder) = empty {
                let name = placeholder.to_string();
                let at = match text.value.find(&name) {
                    Some(found) => reading.within(&text.at, &text.value, found..found + name.len()),
                    None => text.at.clone(),
                };
                reading
                    .mistake(&at, format!("those of this rule have no `{name}`: it would never apply"))
                    .help(OF_WHOM);
            }
            Some(pattern)
        }
        Err(error) => {
            let mistake = reading.mistake(&text.at, error.to_string());
            if let PatternError::UnknownPlaceholder(_) = error {
                mistake.help(
                    "the placeholders are `{device}`, `{owner}`, `{owned}`, `{group}` and `{claim.NAME}`",
                );
            }
            None
        }
    }
}

/// Whether those that a rule speaks of can have what the placeholder stands for.
fn fills(who: &Who, placeholder: &Placeholder) -> bool {
    match (who, placeholder) {
        (Who::Anyone | Who::Group(_) | Who::Claim { .. }, _) => true,
        (Who::Anonymous, _) => false,
        (Who::Device(_) | Who::Owner(_) | Who::Service(_), Placeholder::Group | Placeholder::Claim(_)) => {
            true
        }
        (Who::Device(_), placeholder) => *placeholder != Placeholder::Owned,
        (Who::Owner(_), placeholder) => *placeholder != Placeholder::Device,
        (Who::Service(_), _) => false,
    }
}
