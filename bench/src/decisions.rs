//! `bench access-decision`: what a decision of the access rules costs, however many there are and whatever they look like.
//!
//! In this process, on one core, without a server. Each decision is by another identity, about another address, in an order
//! that no cache foresees. The figure is the median of the rounds; the slowest round stands beside it.

use crate::{Arguments, Result};
use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use windrose_event::{Address, Identity, Permission, Principal, Proof};
use windrose_policy::{AccessRule, AccessRules, Pattern, Who};

/// Numbers of rules.
const SIZES: [usize; 3] = [10, 1_000, 10_000];

/// Different questions that are asked in turn.
const QUESTIONS: usize = 512;

/// What rules and questions look like.
struct Shape {
    name: &'static str,
    about: &'static str,
    /// Rule number N.
    rule: fn(usize) -> Result<AccessRule>,
    /// Who asks about the Nth rule, and about which address.
    question: fn(usize) -> (Identity, String),
}

const SHAPES: [Shape; 8] = [
    Shape {
        name: "by device",
        about: "device:car-N may publish on devices/car-N/#",
        rule: |n| allow(&format!("device:car-{n}"), &format!("devices/car-{n}/#")),
        question: |n| (device(&format!("car-{n}"), &[]), format!("devices/car-{n}/telemetry/speed")),
    },
    Shape {
        name: "by group",
        about: "group:site-N may publish on sites/N/+/value; everybody is in five groups",
        rule: |n| allow(&format!("group:site-{n}"), &format!("sites/{n}/+/value")),
        question: |n| {
            let groups: Vec<String> = (0..5).map(|more| format!("site-{}", n.saturating_sub(more))).collect();
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            (device("car-7", &groups), format!("sites/{n}/meter/value"))
        },
    },
    Shape {
        name: "by claim",
        about: "claim:site=N may publish on sites/{claim.site}/#; everybody has six claims",
        rule: |n| allow(&format!("claim:site={n}"), "sites/{claim.site}/#"),
        question: |n| (claiming(n), format!("sites/{n}/a/b")),
    },
    Shape {
        name: "by address",
        about: "device:* may publish on plant/line-N/+/{device}",
        rule: |n| allow("device:*", &format!("plant/line-{n}/+/{{device}}")),
        question: |n| (device("car-7", &["a"]), format!("plant/line-{n}/meter/car-7")),
    },
    Shape {
        name: "text beside placeholder",
        about: "device:* may publish on unit-N-{device}-x/#",
        rule: |n| allow("device:*", &format!("unit-{n}-{{device}}-x/#")),
        question: |n| (device("car-7", &[]), format!("unit-{n}-car-7-x/a/b")),
    },
    Shape {
        name: "denied by address",
        about: "anyone may publish on #; anyone may not publish on plant/line-N/secret/#",
        rule: |n| match n {
            0 => allow("anyone", "#"),
            _ => Ok(AccessRule::deny(
                who("anyone")?,
                &[Permission::Publish],
                vec![Pattern::new(&format!("plant/line-{n}/secret/#"))?],
            )),
        },
        question: |n| (device("car-7", &["a"]), format!("plant/line-{n}/public/1")),
    },
    Shape {
        name: "owned devices",
        about: "owner:* may publish on devices/{owned}/kind-N/#; everybody owns a thousand",
        rule: |n| allow("owner:*", &format!("devices/{{owned}}/kind-{n}/#")),
        question: |n| {
            // Made once: a thousand names for each question would measure the memory that they are in.
            static OWNER: LazyLock<Identity> = LazyLock::new(|| owner(1_000));
            (OWNER.clone(), format!("devices/car-{:04}/kind-{n}/x", n % 1_000))
        },
    },
    Shape {
        name: "every mix of a and +",
        about: "anyone may publish on 13 levels, each `a` or `+`, then a text that is not asked for",
        rule: |n| {
            let levels = (0..13).map(|bit| if n >> bit & 1 == 0 { "a/" } else { "+/" });
            allow("anyone", &levels.chain([format!("end-{n}").as_str()]).collect::<String>())
        },
        question: |n| (device("car-7", &[]), format!("{}none-{n}", "a/".repeat(13))),
    },
];

/// Measures all shapes and prints a table.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    println!("| rules | {} |", SIZES.map(|size| format!("{size} rules: ns (slowest round)")).join(" | "));
    println!("|---|{}", "---|".repeat(SIZES.len()));
    for shape in SHAPES {
        let mut cells = Vec::new();
        for size in SIZES {
            let rules = AccessRules::new((0..size).map(shape.rule).collect::<Result<_>>()?);
            let questions = questions(&shape, size)?;
            let mut rounds: Vec<f64> = (0..arguments.rounds.max(1))
                .map(|_| nanoseconds(&rules, &questions, Duration::from_millis(50 * arguments.seconds)))
                .collect();
            rounds.sort_by(f64::total_cmp);
            let median = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
            let slowest = rounds.last().copied().unwrap_or_default();
            cells.push(format!("{median:.0} ({slowest:.0})"));
        }
        println!("| {}: {} | {} |", shape.name, shape.about, cells.join(" | "));
    }
    Ok(())
}

fn questions(shape: &Shape, size: usize) -> Result<Vec<(Identity, Address)>> {
    let mut state = 1_usize;
    (0..QUESTIONS)
        .map(|_| {
            // A congruential generator: what counts is that it jumps about.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (identity, address) = (shape.question)((state >> 33) % size);
            Ok((identity, Address::new(address).map_err(|error| error.to_string())?))
        })
        .collect()
}

/// What a decision takes.
fn nanoseconds(rules: &AccessRules, questions: &[(Identity, Address)], least: Duration) -> f64 {
    let begin = Instant::now();
    let mut decisions = 0_u64;
    while begin.elapsed() < least {
        for (identity, address) in questions {
            black_box(rules.permits(black_box(identity), Permission::Publish, black_box(address)));
        }
        decisions += questions.len() as u64;
    }
    begin.elapsed().as_nanos() as f64 / decisions as f64
}

fn who(text: &str) -> Result<Who> {
    Who::parse(text).ok_or_else(|| format!("`{text}` is nobody").into())
}

fn allow(whom: &str, on: &str) -> Result<AccessRule> {
    Ok(AccessRule::new(who(whom)?, &[Permission::Publish], vec![Pattern::new(on)?]))
}

fn device(id: &str, groups: &[&str]) -> Identity {
    Identity {
        principal: Principal::Device { id: id.into(), owner: Some("household-7".into()) },
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        ..Identity::anonymous()
    }
}

fn owner(devices: usize) -> Identity {
    let owned = (0..devices).map(|number| format!("car-{number:04}").into()).collect();
    Identity { principal: Principal::Owner { id: "household-7".into() }, owned, ..Identity::anonymous() }
}

fn claiming(site: usize) -> Identity {
    let names = ["aud", "azp", "locale", "role", "site", "zone"];
    let claims = names.map(|name| (Arc::from(name), Arc::from(format!("{site}").as_str()))).into();
    let proof = Proof { claims, ..Proof::default() };
    Identity { proof: Some(Arc::new(proof)), ..device("car-7", &[]) }
}
