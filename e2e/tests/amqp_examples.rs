//! What users of AMQP learn from runs as it is: the tutorials of RabbitMQ for pika, those of amqplib, and qpid-proton's
//! examples, each program unchanged.

use std::net::SocketAddr;
use windrose_e2e::Node;
use windrose_e2e::clients::{amqp_example, amqp_node};
use windrose_e2e::documents::open_amqp;
use windrose_e2e::process::Process;
use windrose_e2e::wait::eventually;

/// A language's programs: how one is started by its name.
type Start = fn(SocketAddr, &str, &[&str]) -> Process;

/// The node, and where it speaks AMQP. With `AMQP_BROKER=HOST:PORT` in the environment it is that broker instead, so that
/// what is expected here can be compared with what others do.
fn node() -> (Option<Node>, SocketAddr) {
    if let Some(address) = std::env::var("AMQP_BROKER").ok().and_then(|address| address.parse().ok()) {
        return (None, address);
    }
    let node = Node::start(&open_amqp(""));
    let address = node.amqp();
    (Some(node), address)
}

fn pika(node: SocketAddr, name: &str, arguments: &[&str]) -> Process {
    amqp_example(&format!("rabbitmq-tutorials/python/{name}.py"), node, arguments)
}

fn amqplib(node: SocketAddr, name: &str, arguments: &[&str]) -> Process {
    amqp_node(&format!("node_modules/amqplib/examples/tutorials/{name}.js"), node, arguments)
}

fn amqplib_callbacks(node: SocketAddr, name: &str, arguments: &[&str]) -> Process {
    amqp_node(&format!("node_modules/amqplib/examples/tutorials/callback_api/{name}.js"), node, arguments)
}

fn proton(node: SocketAddr, name: &str, arguments: &[&str]) -> Process {
    let address = format!("{}/examples", node);
    let arguments: Vec<&str> = ["-a", &address].iter().chain(arguments).copied().collect();
    amqp_example(&format!("qpid-proton/{name}.py"), node, &arguments)
}

/// A program that ends by itself; it must end well.
fn ends(mut program: Process) -> String {
    let status = program.wait();
    assert!(status.success(), "{status}: {}", program.said());
    program.said()
}

fn says(program: &Process, words: &str) {
    program.line(words, |line| line.contains(words));
}

fn tutorials(start: Start, request: &[&str], number: &str, answer: &str) {
    let (_running, node) = node();
    // 1: a message waits for its receiver.
    ends(start(node, "send", &[]));
    says(&start(node, "receive", &[]), "Hello World!");
    // 2: workers share the work.
    let workers = [start(node, "worker", &[]), start(node, "worker", &[])];
    workers.iter().for_each(|worker| says(worker, "Waiting for messages"));
    for number in 0..4 {
        ends(start(node, "new_task", &[&format!("task-{number}.")]));
    }
    let all = |worker: &Process| worker.out.count(|line| line.contains("Done"));
    eventually("four tasks are done", || (workers.iter().map(all).sum::<usize>() == 4).then_some(()));
    assert!(workers.iter().all(|worker| all(worker) > 0), "one worker did all the work");
    // 3: publish and subscribe.
    let logs = [start(node, "receive_logs", &[]), start(node, "receive_logs", &[])];
    logs.iter().for_each(|log| says(log, "Waiting for logs"));
    ends(start(node, "emit_log", &["news", "for", "all"]));
    logs.iter().for_each(|log| says(log, "news"));
    // 4: routing.
    let log = start(node, "receive_logs_direct", &["warning", "error"]);
    says(&log, "Waiting for logs");
    ends(start(node, "emit_log_direct", &["info", "not", "this"]));
    ends(start(node, "emit_log_direct", &["error", "run", "away"]));
    says(&log, "run");
    assert!(log.out.find(|line| line.contains("not this")).is_none());
    // 5: topics.
    let log = start(node, "receive_logs_topic", &["kern.*", "*.critical"]);
    says(&log, "Waiting for logs");
    ends(start(node, "emit_log_topic", &["app.info", "not", "this"]));
    ends(start(node, "emit_log_topic", &["kern.critical", "a", "critical", "error"]));
    says(&log, "kern.critical");
    assert!(log.out.find(|line| line.contains("app.info")).is_none());
    // 6: requests.
    let server = start(node, "rpc_server", &[]);
    says(&server, "Awaiting RPC requests");
    let client = start(node, "rpc_client", request);
    says(&client, answer);
    says(&server, number);
}

#[test]
fn rabbitmqs_tutorials_run_with_pika() {
    tutorials(pika, &[], "fib(30)", "Got 832040");
}

#[test]
fn amqplibs_tutorials_run() {
    tutorials(amqplib, &["20"], "fib(20)", "Got 6765");
}

#[test]
fn amqplibs_tutorials_run_with_callbacks() {
    tutorials(amqplib_callbacks, &["20"], "fib(20)", "Got 6765");
}

/// Tutorial 7 of amqplib, and its other examples.
#[test]
fn amqplibs_examples_run() {
    let (_running, node) = node();
    let example = |name: &str| {
        let path = format!("node_modules/amqplib/examples/{name}.js");
        amqp_node(&path, node, &[])
    };
    assert!(ends(example("waitForConfirms")).contains("All messages done"));
    let headers = example("headers");
    says(&headers, "hello");
    eventually("both that match", || (headers.out.count(|line| line == "hello") == 2).then_some(()));
    assert!(headers.out.find(|line| line == "lost").is_none());
    let server = example("direct_reply_to_server");
    says(&server, "To exit press CTRL+C");
    says(&example("direct_reply_to_client"), "pong");
}

#[test]
fn protons_examples_run() {
    let (_running, node) = node();
    assert!(ends(amqp_example("qpid-proton/helloworld.py", node, &[])).contains("Hello World!"));
    assert!(ends(amqp_example("qpid-proton/helloworld_blocking.py", node, &[])).contains("Hello World!"));
    // Sent before anybody receives, and the other way round.
    assert!(ends(proton(node, "simple_send", &["-m", "200"])).contains("all messages confirmed"));
    assert!(ends(proton(node, "simple_recv", &["-m", "200"])).contains("{'sequence': 200}"));
    let receiver = proton(node, "simple_recv", &["-m", "100"]);
    assert!(ends(proton(node, "simple_send", &["-m", "100"])).contains("all messages confirmed"));
    assert!(ends(receiver).contains("{'sequence': 100}"));
    let server = proton(node, "server", &[]);
    says(&server, "Listening on");
    assert!(ends(proton(node, "client", &[])).contains("Twas brillig, and the slithy toves => TWAS BRILLIG"));
    assert!(ends(proton(node, "sync_client", &[])).contains("outgrabe. => AND THE MOME RATHS OUTGRABE."));
    says(&server, "Received");
}
