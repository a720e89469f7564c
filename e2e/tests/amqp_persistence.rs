//! `node.persistence: on` with durable queues: the node is killed, and what was confirmed is there when it starts again.

use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use windrose_e2e::clients::{amqp_python, result};
use windrose_e2e::documents::open_amqp;
use windrose_e2e::process::Process;
use windrose_e2e::{Node, wait_until};

fn document() -> String {
    open_amqp("").replace("node: {", "node: {persistence: on, data_dir: ./data, ")
}

fn numbers(told: &Value) -> BTreeSet<u64> {
    let numbers = told["numbers"].as_array().expect("a list of numbers");
    numbers.iter().filter_map(Value::as_u64).collect()
}

fn client(node: &Node, role: &str, queue: &str) -> Process {
    amqp_python("steadfast.py", &[&node.amqp().to_string(), role, queue])
}

fn finish(mut client: Process) -> BTreeSet<u64> {
    client.close_input();
    numbers(&result(client))
}

#[test]
fn nothing_confirmed_is_lost_when_the_node_is_killed() {
    let mut node = Node::start(&document());
    let publishers: Vec<Process> =
        (0..2).map(|number| client(&node, "publish", &format!("kept-{number}"))).collect();
    // One queue is read meanwhile, the other only at the end.
    let consumer = client(&node, "consume", "kept-0");
    for round in 0..4u64 {
        for publisher in &publishers {
            let seen = publisher.out.all().len();
            wait_until("traffic", || publisher.out.all().len() > seen);
        }
        std::thread::sleep(Duration::from_millis(31 * round));
        node.kill();
        node.start_again();
    }
    let confirmed: Vec<BTreeSet<u64>> = publishers.into_iter().map(finish).collect();
    let got = [finish(consumer), finish(client(&node, "consume", "kept-1"))];
    for (number, (confirmed, got)) in confirmed.iter().zip(&got).enumerate() {
        let missing: Vec<_> = confirmed.difference(got).collect();
        assert!(
            missing.is_empty(),
            "kept-{number}: {} of {} are missing: {missing:?}",
            missing.len(),
            confirmed.len()
        );
        assert!(confirmed.len() > 100, "only {} were confirmed", confirmed.len());
    }
}

/// What is declared durable is there after a restart, bindings and dead-letter exchange included; what is not is gone.
#[test]
fn durable_exchanges_queues_and_bindings_outlive_the_process() {
    let mut node = Node::start(&document());
    let declared = result(amqp_python("durable.py", &[&node.amqp().to_string(), "declare"]));
    assert_eq!(declared["declared"], true);
    node.signal("TERM");
    node.wait_end(windrose_e2e::wait::SOON);
    node.start_again();
    let found = result(amqp_python("durable.py", &[&node.amqp().to_string(), "look"]));
    let expected = serde_json::json!({
        "kept": ["one", "two", "three"],
        "redelivered": [true, false, false],
        "transient": "gone",
        "bound": "routed",
        "dead": "routed",
    });
    assert_eq!(found, expected);
}
