//! pika, qpid-proton and rhea, which nobody here wrote, tell what they see of the node: case by case, over AMQP 0-9-1 and 1.0.

use windrose_e2e::Node;
use windrose_e2e::clients::{amqp_node, amqp_python, result};
use windrose_e2e::documents::open_amqp;

/// Plays all cases of a program; fails with what went wrong in which.
fn play(program: &str, shards: u32, least: usize) {
    let document = open_amqp("limits: {payload_bytes: 300KiB}\n");
    let node = Node::start(&document.replacen("shards: 2", &format!("shards: {shards}"), 1));
    let told = result(amqp_python(program, &[&node.amqp().to_string()]));
    let told = told.as_object().expect("an object of cases");
    let failed: Vec<_> = told.iter().filter(|(_, said)| *said != "ok").collect();
    assert!(failed.is_empty(), "{program}: {failed:#?}");
    assert!(told.len() >= least, "only {} cases were played", told.len());
}

#[test]
fn pika_sees_a_broker() {
    play("pika_cases.py", 2, 35);
}

#[test]
fn pika_sees_a_broker_of_one_shard() {
    play("pika_cases.py", 1, 35);
}

#[test]
fn proton_sees_a_broker() {
    play("proton_cases.py", 2, 22);
}

#[test]
fn proton_sees_a_broker_of_one_shard() {
    play("proton_cases.py", 1, 22);
}

#[test]
fn rhea_sees_a_broker() {
    let node = Node::start(&open_amqp(""));
    let told = result(amqp_node("rhea_cases.js", node.amqp(), &[&node.amqp().to_string()]));
    let told = told.as_object().expect("an object of cases");
    let failed: Vec<_> = told.iter().filter(|(_, said)| *said != "ok").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(told.len() >= 15, "only {} cases were played", told.len());
}
