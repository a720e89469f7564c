//! What one protocol tells, asks or answers, all others hear, answer and are told: MQTT, CoAP, REST, AMQP 1.0 (rhea) and
//! 0-9-1 (pika), each against each.

use serde_json::{Value, json};
use std::process::Command;
use std::thread::{self, JoinHandle};
use windrose_e2e::binary::windrose;
use windrose_e2e::clients::{
    amqp_node, amqp_python, curl, mosquitto_pub, request, result, stream, subscribe,
};
use windrose_e2e::coap::{Client, Kind, Message, code, option};
use windrose_e2e::documents::open_amqp;
use windrose_e2e::process::Process;
use windrose_e2e::{Node, wait_until};

fn start() -> Node {
    let coap = "  - {name: coap, protocol: coap, bind: \"127.0.0.1:${COAP}\"}\nidentity:";
    Node::start(&open_amqp("").replacen("identity:", coap, 1))
}

fn pika(node: &Node, role: &str, address: &str, body: &[&str]) -> Process {
    let (at, key) = (node.amqp().to_string(), address.replace('/', ".").replace('+', "*"));
    let arguments: Vec<&str> = [&*at, role, &*key].iter().chain(body).copied().collect();
    amqp_python("crossing.py", &arguments)
}

fn rhea(node: &Node, role: &str, address: &str, body: &[&str]) -> Process {
    let arguments: Vec<&str> = [role, address].iter().chain(body).copied().collect();
    amqp_node("crossing.js", node.amqp(), &arguments)
}

fn ready(process: Process) -> Process {
    process.line("that it is ready", |line| line == "ready");
    process
}

/// Everybody hears what any protocol tells, with what it says of itself.
#[test]
fn what_one_tells_all_hear() {
    let node = start();
    let mut observer = Client::new(node.coap());
    let observe = observer.start(Message::get("crossing/+").uint(option::OBSERVE, 0));
    assert_eq!(observer.response(&observe).code, code::CONTENT);
    let mqtt = subscribe(node.mqtt(), &["-t", "crossing/#", "-q", "1", "-V", "5", "-F", "%t %p %C %P"]);
    let rest = stream(&node.url("/v1/events/crossing/+"), &[]);
    let by_pika = ready(pika(&node, "hear", "crossing/+", &[]));
    let by_rhea = ready(rhea(&node, "hear", "crossing/+", &[]));
    let tell = |from: &str| -> String {
        let address = format!("crossing/{from}");
        let said = |process| assert_eq!(result(process), json!({"told": true}));
        match from {
            "mqtt" => {
                let properties = ["-D", "publish", "content-type", "text/plain", "-D", "publish"];
                let more =
                    ["user-property", "colour", "red", "-q", "1", "-V", "5", "-m", from, "-t", &address];
                let arguments: Vec<&str> = properties.iter().chain(&more).copied().collect();
                drop(mosquitto_pub(node.mqtt(), &arguments).fine());
            }
            "rest" => {
                let url = node.url(&format!("/v1/events/{address}"));
                let headers = ["-H", "Content-Type: text/plain", "-H", "ce-colour: red"];
                let arguments: Vec<&str> =
                    ["-f", "-X", "POST", &url, "-d", from].iter().chain(&headers).copied().collect();
                drop(curl(&arguments).fine());
            }
            "coap" => {
                let mut thing = Client::new(node.coap());
                let told = Message::post(&address, from).format(0).with(option::URI_QUERY, "colour=red");
                assert_eq!(thing.ask(told).code, code::CHANGED);
            }
            "pika" => said(pika(&node, "tell", &address, &[from])),
            _ => said(rhea(&node, "tell", &address, &[from])),
        }
        address
    };
    for from in ["mqtt", "rest", "coap", "pika", "rhea"] {
        let address = tell(from);
        let notification = observer.expect();
        assert_eq!(
            (notification.texts(option::LOCATION_PATH).join("/"), notification.text()),
            (address.clone(), from.into())
        );
        if notification.kind == Kind::Con {
            observer.acknowledge(&notification);
        }
        let line = mqtt.line(from, |line| line.starts_with(&format!("{address} {from} ")));
        assert!(line.contains("text/plain"), "MQTT hears the content type: {line}");
        rest.line(from, |line| line.starts_with("data:") && line.contains(&address));
        for (who, process, key) in
            [("pika", &by_pika, address.replace('/', ".")), ("rhea", &by_rhea, address.clone())]
        {
            let told = process.line(from, |line| line.contains(&format!("\"{key}\"")));
            let told: Value = serde_json::from_str(&told).expect("JSON");
            assert_eq!((&told["body"], &told["key"]), (&json!(from), &json!(key)), "{who} hears {from}");
            let kind = told["type"].as_str().unwrap_or_default();
            assert!(kind.starts_with("text/plain"), "{who} hears {from}: {told}");
            let red = [&told["headers"]["colour"], &told["headers"]["ce-colour"]];
            assert!(from == "rest" || red.contains(&&json!("red")), "{who} hears {from}: {told}");
        }
    }
}

/// Asks by one protocol; the answer, when it comes.
fn ask(node: &Node, from: &str, address: &str) -> JoinHandle<String> {
    let answer = |process: Process| {
        thread::spawn(move || {
            let told = result(process);
            assert_eq!(told["same"], json!(true), "the correlation is the asker's own: {told}");
            told["answer"].as_str().unwrap_or_default().to_owned()
        })
    };
    match from {
        "rest" => {
            let url = node.url(&format!("/v1/requests/{address}?wait=10s"));
            thread::spawn(move || request(&["-X", "POST", "-d", "please", &url]).body)
        }
        "coap" => {
            let (server, address) = (node.coap(), address.to_owned());
            thread::spawn(move || {
                let mut asker = Client::new(server);
                let question = Message::request(code::FETCH, &address).format(0);
                let asked = asker.ask(Message { payload: b"please".to_vec(), ..question });
                assert_eq!(asked.code, code::CONTENT, "{asked:?}");
                asked.text()
            })
        }
        "mqtt" => {
            let port = node.mqtt().port().to_string();
            let mut command = Command::new("mosquitto_rr");
            command.args(["-p", &port, "-V", "5", "-q", "1", "-W", "10", "-t", address, "-m", "please"]);
            command.args(["-e", &format!("answers/{address}")]);
            thread::spawn(move || {
                let said = command.output().expect("mosquitto_rr runs");
                String::from_utf8_lossy(&said.stdout).trim().to_owned()
            })
        }
        "pika" => answer(pika(node, "ask", address, &["please"])),
        _ => answer(rhea(node, "ask", address, &["please"])),
    }
}

const ALL: [&str; 5] = ["rest", "coap", "mqtt", "pika", "rhea"];

#[test]
fn services_by_amqp_answer_whoever_asks() {
    let node = start();
    for (name, start) in [("pika", pika as fn(&_, &str, &str, &[&str]) -> Process), ("rhea", rhea)] {
        let address = format!("services/{name}");
        let _service = ready(start(&node, "answer", &address, &[]));
        for from in ALL {
            assert_eq!(ask(&node, from, &address).join().expect("an answer"), "PLEASE", "{from} asks {name}");
        }
    }
}

#[test]
fn things_by_mqtt_and_coap_answer_who_asks_by_amqp() {
    let node = start();
    let mut sample = Command::new(windrose());
    sample.args(["sample-thing", "--id", "car-7", "--connect", &node.mqtt().to_string()]);
    let _sample = Process::start(&mut sample, "build it");
    wait_until("the sample thing's subscription", || node.metric("windrose_subscriptions", &[]) >= 1.0);
    for from in ["pika", "rhea"] {
        let answer = ask(&node, from, "devices/car-7/commands/locate").join().expect("an answer");
        assert!(answer.starts_with('{'), "the sample thing answers {from}: {answer}");
    }
    let mut thing = Client::new(node.coap());
    let observe = thing.start(Message::get("devices/meter-1/commands/+").uint(option::OBSERVE, 0));
    assert_eq!(thing.response(&observe).code, code::CONTENT);
    for from in ["pika", "rhea"] {
        let asked = ask(&node, from, "devices/meter-1/commands/read");
        let command = thing.expect();
        if command.kind == Kind::Con {
            thing.acknowledge(&command);
        }
        let queries = command.texts(option::LOCATION_QUERY);
        let query = |name: &str| {
            let value = queries.iter().find_map(|query| query.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("{name} of {queries:?}")).to_owned()
        };
        let correlation = format!("windrose-correlation={}", query("windrose-correlation"));
        let answer = Message::post(&query("windrose-reply-to"), "3").with(option::URI_QUERY, correlation);
        assert_eq!(thing.ask(answer).code, code::CHANGED);
        assert_eq!(asked.join().expect("an answer"), "3", "{from} asks a thing of CoAP");
    }
}
