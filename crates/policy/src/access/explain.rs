//! Which rule decides, and why: the same question as a decision's, answered with reasons.
//!
//! It looks at every rule, one after another, so it is nothing for the way of events.

use super::pattern::{Level, Part, Pattern, Placeholder};
use super::rule::{AccessRule, is_general};
use super::who::claims;
use super::{AccessRules, enrols_only};
use serde_json::{Value, json};
use std::fmt;
use windrose_event::{Identity, Permission};

/// At most how many rules are told of that came near.
const MOST: usize = 10;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// To do what.
    pub permission: Permission,
    /// Where: an address or a filter. What is about no address needs none.
    pub path: &'q str,
}

/// A rule that decides.
#[derive(Clone, Debug)]
pub struct Ruling<'r> {
    /// Which one of the rules, from 1.
    pub number: usize,
    /// The rule.
    pub rule: &'r AccessRule,
    /// The pattern that covers what is asked, if it is about addresses.
    pub pattern: Option<&'r Pattern>,
    /// What the pattern's placeholders stand for, in words.
    pub filled: Vec<(String, String)>,
}

/// A rule that does not decide, though nearly so.
#[derive(Clone, Debug)]
pub struct Near<'r> {
    /// Which one of the rules, from 1.
    pub number: usize,
    /// The rule.
    pub rule: &'r AccessRule,
    /// What keeps it from deciding.
    pub why: String,
}

/// Why something is allowed, or denied.
#[derive(Clone, Debug)]
pub struct Explanation<'r> {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that decides. `None`: no rule allows it, or what proves the identity is good for enrolling only.
    pub by: Option<Ruling<'r>>,
    /// Why, in a sentence.
    pub why: String,
    /// Rules that came near.
    pub near: Vec<Near<'r>>,
    /// Rules that keep back some of what a filter matches, though it is allowed.
    pub withholding: Vec<Near<'r>>,
    identity: Identity,
    permission: Permission,
    path: String,
}

impl AccessRules {
    /// Says which rule decides whether `identity` may do what is asked, and why.
    pub fn explain(&self, identity: &Identity, question: Question<'_>) -> Explanation<'_> {
        let Question { permission, path } = question;
        let mut explanation = Explanation {
            allowed: false,
            by: None,
            why: String::new(),
            near: Vec::new(),
            withholding: Vec::new(),
            identity: identity.clone(),
            permission,
            path: if is_general(permission) { String::new() } else { path.to_owned() },
        };
        if enrols_only(identity) && permission != Permission::Enrol {
            explanation.why = "what proves this identity is good for enrolling only".to_owned();
            return explanation;
        }
        let ruling = |denies: bool| {
            self.numbered().filter(|(_, rule)| rule.denies() == denies).find_map(|(number, rule)| {
                let speaks = rule.who().includes(identity) && rule.permissions().contains(&permission);
                let covers = is_general(permission) || rule.covering(identity, path).is_some();
                (speaks && covers).then(|| Ruling::new(number, rule, identity, question))
            })
        };
        let (allows, denies) = (ruling(false), ruling(true));
        match (allows, denies) {
            (allows, Some(denies)) => {
                explanation.why = "a rule denies it, whatever others allow".to_owned();
                explanation.by = Some(denies);
                explanation.near.extend(allows.map(|Ruling { number, rule, .. }| Near {
                    number,
                    rule,
                    why: "it would allow this, but a rule that denies wins".to_owned(),
                }));
            }
            (Some(allows), None) => {
                explanation.allowed = true;
                explanation.why = "a rule allows it, and none denies it".to_owned();
                explanation.by = Some(allows);
                explanation.withholding = self.withholding(identity, question);
            }
            (None, None) => {
                explanation.why = "no rule allows it".to_owned();
                explanation.near = self.near(identity, question);
            }
        }
        explanation
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &AccessRule)> {
        self.rules.iter().enumerate().map(|(index, rule)| (index + 1, rule))
    }

    /// Rules that allow nearly what is asked, the nearest first.
    fn near(&self, identity: &Identity, question: Question<'_>) -> Vec<Near<'_>> {
        let mut near: Vec<(u8, Near<'_>)> = self
            .numbered()
            .filter(|(_, rule)| !rule.denies())
            .filter_map(|(number, rule)| {
                let (rank, why) = miss(rule, identity, question)?;
                Some((rank, Near { number, rule, why }))
            })
            .collect();
        near.sort_by_key(|(rank, _)| *rank);
        near.into_iter().map(|(_, near)| near).take(MOST).collect()
    }

    /// Rules that deny singly what a filter matches that is allowed.
    fn withholding(&self, identity: &Identity, question: Question<'_>) -> Vec<Near<'_>> {
        let is_wild = question.path.bytes().any(|byte| matches!(byte, b'+' | b'#'));
        if question.permission != Permission::Subscribe || !is_wild {
            return Vec::new();
        }
        self.numbered()
            .filter(|(_, rule)| rule.denies() && rule.permissions().contains(&Permission::Subscribe))
            .filter(|(_, rule)| rule.who().includes(identity))
            .filter_map(|(number, rule)| {
                let pattern = rule.on().iter().find(|pattern| pattern.overlaps(identity, question.path))?;
                let why = format!("events at `{}` are kept back", shown(pattern, identity));
                Some(Near { number, rule, why })
            })
            .take(MOST)
            .collect()
    }
}

/// Why a rule does not allow what is asked, if it does so nearly; the nearest have the lowest rank.
fn miss(rule: &AccessRule, identity: &Identity, question: Question<'_>) -> Option<(u8, String)> {
    let speaks = rule.who().includes(identity);
    let may = rule.permissions().contains(&question.permission);
    let covers = is_general(question.permission) || rule.covering(identity, question.path).is_some();
    match (speaks, may, covers) {
        (true, true, false) => {
            let on: Vec<_> =
                rule.on().iter().map(|pattern| format!("`{}`", shown(pattern, identity))).collect();
            Some((0, format!("other addresses: {}", on.join(", "))))
        }
        (true, false, true) if !is_general(question.permission) => {
            let may: Vec<_> = rule.permissions().iter().map(|permission| permission.name()).collect();
            Some((1, format!("something else: {}", may.join(", "))))
        }
        (false, true, true) => Some((2, format!("somebody else: `{}`", rule.who()))),
        _ => None,
    }
}

impl<'r> Ruling<'r> {
    fn new(number: usize, rule: &'r AccessRule, identity: &Identity, question: Question<'_>) -> Self {
        let pattern = match is_general(question.permission) {
            true => None,
            false => rule.covering(identity, question.path),
        };
        let filled = pattern.map_or_else(Vec::new, |pattern| filled(pattern, identity, question.path));
        Self { number, rule, pattern, filled }
    }
}

/// What the placeholders of a pattern stand for where it covers a path.
fn filled(pattern: &Pattern, identity: &Identity, path: &str) -> Vec<(String, String)> {
    let mut filled: Vec<(String, String)> = Vec::new();
    for (level, theirs) in pattern.levels().iter().zip(path.split('/')) {
        let Level::Parts(parts) = level else { continue };
        for part in parts {
            let Part::Placeholder(placeholder) = part else { continue };
            let value = if parts.len() == 1 { theirs.to_owned() } else { words(placeholder, identity) };
            if !filled.iter().any(|(name, _)| *name == placeholder.to_string()) {
                filled.push((placeholder.to_string(), value));
            }
        }
    }
    filled
}

/// What a placeholder stands for, in words.
fn words(placeholder: &Placeholder, identity: &Identity) -> String {
    let values: Vec<&str> = match placeholder {
        Placeholder::Claim(name) => {
            claims(identity).iter().filter(|(its, _)| its == name).map(|(_, value)| &**value).collect()
        }
        _ => placeholder.values(identity).iter().map(|value| &**value).collect(),
    };
    match values.as_slice() {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first, second, third, more @ ..] if !more.is_empty() => {
            format!("one of {}: {first}, {second}, {third}, ...", values.len())
        }
        few => format!("one of {}", few.join(", ")),
    }
}

/// A pattern with what its placeholders stand for.
fn shown(pattern: &Pattern, identity: &Identity) -> String {
    let mut shown = pattern.as_str().to_owned();
    let mut names = Vec::new();
    for placeholder in pattern.placeholders() {
        let name = placeholder.to_string();
        let words = words(placeholder, identity);
        match words.contains(' ') || words == "nothing" {
            true => names.push(format!("{name}: {words}")),
            false => shown = shown.replace(&name, &words),
        }
    }
    match names.is_empty() {
        true => shown,
        false => format!("{shown} ({})", names.join("; ")),
    }
}

impl Explanation<'_> {
    /// As JSON, for programs.
    pub fn json(&self) -> Value {
        let near = |list: &[Near<'_>]| -> Vec<Value> {
            list.iter()
                .map(|near| {
                    let Near { number, rule, why } = near;
                    json!({"rule": number, "line": rule.line(), "text": rule.to_string(), "why": why})
                })
                .collect()
        };
        let by = self.by.as_ref().map(|ruling| {
            let filled: serde_json::Map<String, Value> =
                ruling.filled.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
            json!({
                "rule": ruling.number,
                "line": ruling.rule.line(),
                "text": ruling.rule.to_string(),
                "pattern": ruling.pattern.map(Pattern::as_str),
                "filled": filled,
            })
        });
        let groups: Vec<&str> = self.identity.groups.iter().map(|group| &**group).collect();
        json!({
            "allowed": self.allowed,
            "identity": self.identity.to_string(),
            "owner": self.identity.owner().map(|owner| &**owner),
            "groups": groups,
            "owned": self.identity.owned.len(),
            "permission": self.permission.name(),
            "path": self.path,
            "why": self.why,
            "by": by,
            "near": near(&self.near),
            "withholding": near(&self.withholding),
        })
    }
}

impl fmt::Display for Explanation<'_> {
    /// For people, in lines; the first begins with `allowed` or `denied`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        write!(f, "{verdict}: {} {}", self.identity, self.permission.name())?;
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        write!(f, "\n  {}", self.why)?;
        if let Some(Ruling { number, rule, filled, .. }) = &self.by {
            write!(f, ":\n  {}", Place { number: *number, rule })?;
            for (name, value) in filled {
                write!(f, "\n    `{name}` is {value}")?;
            }
        }
        for (title, list) in [("came near", &self.near), ("but not all of it", &self.withholding)] {
            if !list.is_empty() {
                write!(f, "\n  {title}:")?;
            }
            for Near { number, rule, why } in list {
                write!(f, "\n  {}\n    {why}", Place { number: *number, rule })?;
            }
        }
        Ok(())
    }
}

/// Where a rule stands, and what it says.
struct Place<'p> {
    number: usize,
    rule: &'p AccessRule,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule.line() {
            0 => write!(f, "rule {}: {}", self.number, self.rule),
            line => write!(f, "rule {} (line {line}): {}", self.number, self.rule),
        }
    }
}
