//! A small client of AMQP 0-9-1 that waits for each answer: what services at a broker do.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection with one channel.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    deliveries: VecDeque<Delivery>,
}

/// A message that came.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// What it is acknowledged by.
    pub tag: u64,
    /// Whether it may have come before.
    pub redelivered: bool,
    /// The exchange that it was published to.
    pub exchange: String,
    /// Its routing key.
    pub key: String,
    /// Property flags and list.
    pub properties: Vec<u8>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Delivery {
    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A property that is a short string, by its flag's place from the highest bit (0: content-type, 5: correlation-id,
    /// 6: reply-to, 8: message-id).
    pub fn property(&self, place: u32) -> Option<String> {
        let flags = u16::from_be_bytes([self.properties[0], self.properties[1]]);
        let mut rest = &self.properties[2..];
        for at in 0..14 {
            if flags & (1 << (15 - at)) == 0 {
                continue;
            }
            let length = match at {
                2 => 4 + u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize,
                3 | 4 => 1,
                9 => 8,
                _ => 1 + usize::from(rest[0]),
            };
            if at == place {
                return Some(String::from_utf8_lossy(&rest[1..length]).into_owned());
            }
            rest = &rest[length..];
        }
        None
    }
}

fn short(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len()).expect("short strings are short")];
    bytes.extend(text.bytes());
    bytes
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn method(class: u16, number: u16, fields: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = [class.to_be_bytes(), number.to_be_bytes()].concat();
    fields.iter().for_each(|field| bytes.extend(field));
    bytes
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend(long(payload));
    bytes.push(0xce);
    bytes
}

fn take_short(bytes: &[u8], at: &mut usize) -> String {
    let length = usize::from(bytes[*at]);
    let text = String::from_utf8_lossy(&bytes[*at + 1..*at + 1 + length]).into_owned();
    *at += 1 + length;
    text
}

impl Client {
    /// Connects as `guest`, without heartbeats.
    ///
    /// # Panics
    /// If that does not work.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// The same, of a broker that may not be ready.
    ///
    /// # Errors
    /// The connection ended.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: Vec::new(), deliveries: VecDeque::new() };
        client.stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        client.expect(10, 10)?;
        let response = long(b"\0guest\0guest");
        client.send(0, &method(10, 11, &[long(b""), short("PLAIN"), response, short("en_US")]))?;
        client.expect(10, 30)?;
        client.send(0, &method(10, 31, &[vec![0, 1], vec![0, 2, 0, 0], vec![0, 0]]))?;
        client.send(0, &method(10, 40, &[short("/"), short(""), vec![0]]))?;
        client.expect(10, 41)?;
        client.send(1, &method(20, 10, &[short("")]))?;
        client.expect(20, 11)?;
        Ok(client)
    }

    /// Makes a queue; an empty name asks for one. Returns its name and how many messages wait in it.
    pub fn declare(&mut self, name: &str, durable: bool) -> (String, u32) {
        let exclusive = u8::from(name.is_empty());
        let bits = u8::from(durable) << 1 | exclusive << 2;
        let answer = self.call(&method(50, 10, &[vec![0, 0], short(name), vec![bits], long(b"")]), 50, 11);
        let mut at = 4;
        let name = take_short(&answer, &mut at);
        (name, u32::from_be_bytes(answer[at..at + 4].try_into().expect("four bytes")))
    }

    /// Binds a queue.
    pub fn bind(&mut self, queue: &str, exchange: &str, key: &str) {
        let fields = [vec![0, 0], short(queue), short(exchange), short(key), vec![0], long(b"")];
        self.call(&method(50, 20, &fields), 50, 21);
    }

    /// Removes a queue.
    pub fn delete(&mut self, queue: &str) {
        self.call(&method(50, 40, &[vec![0, 0], short(queue), vec![0]]), 50, 41);
    }

    /// Takes messages from a queue, at most `prefetch` unacknowledged; zero is no bound.
    pub fn consume(&mut self, queue: &str, prefetch: u16) {
        let qos = [vec![0; 4], prefetch.to_be_bytes().to_vec(), vec![0]];
        self.call(&method(60, 10, &qos), 60, 11);
        let fields = [vec![0, 0], short(queue), short("c"), vec![0], long(b"")];
        self.call(&method(60, 20, &fields), 60, 21);
    }

    /// Publishes a message with a reply address and a correlation identifier, where they are not empty; it is persistent.
    pub fn publish(&mut self, exchange: &str, key: &str, body: &[u8], correlation: &str, reply_to: &str) {
        let mut flags = 1_u16 << 12;
        let mut list = vec![2];
        for (bit, text) in [(10, correlation), (9, reply_to)] {
            if !text.is_empty() {
                flags |= 1 << bit;
                list.extend(short(text));
            }
        }
        let publish = method(60, 40, &[vec![0, 0], short(exchange), short(key), vec![0]]);
        let mut header = vec![0, 60, 0, 0];
        header.extend((body.len() as u64).to_be_bytes());
        header.extend(flags.to_be_bytes());
        header.extend(list);
        let mut bytes = [frame(1, 1, &publish), frame(2, 1, &header)].concat();
        for part in body.chunks(131_064) {
            bytes.extend(frame(3, 1, part));
        }
        self.stream.write_all(&bytes).expect("the broker reads");
    }

    /// The next message, if one comes in time.
    pub fn delivery(&mut self, wait: Duration) -> Option<Delivery> {
        let end = Instant::now() + wait;
        while self.deliveries.is_empty() {
            let left = end.checked_duration_since(Instant::now())?;
            self.read(left).ok()?;
        }
        self.deliveries.pop_front()
    }

    /// Acknowledges a message, and with `multiple` those before it.
    pub fn ack(&mut self, tag: u64, multiple: bool) {
        self.send(1, &method(60, 80, &[tag.to_be_bytes().to_vec(), vec![u8::from(multiple)]]))
            .expect("the broker reads");
    }

    /// All that waits in a durable queue, by text, acknowledged.
    pub fn drain(&mut self, queue: &str) -> Vec<String> {
        let mut came = Vec::new();
        let (_, mut waiting) = self.declare(queue, true);
        self.consume(queue, 0);
        while let Some(delivery) =
            self.delivery(if waiting > 0 { PATIENCE } else { Duration::from_millis(500) })
        {
            waiting = waiting.saturating_sub(1);
            self.ack(delivery.tag, false);
            came.push(delivery.text());
        }
        came
    }

    fn call(&mut self, request: &[u8], class: u16, number: u16) -> Vec<u8> {
        self.send(1, request).expect("the broker reads");
        self.expect(class, number).unwrap_or_else(|error| panic!("no answer to {request:?}: {error}"))
    }

    fn send(&mut self, channel: u16, payload: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(&frame(1, channel, payload))
    }

    /// Waits for a method; deliveries before it are kept.
    fn expect(&mut self, class: u16, number: u16) -> std::io::Result<Vec<u8>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.checked_duration_since(Instant::now()).ok_or(ErrorKind::TimedOut)?;
            let Some(payload) = self.read(left)? else { continue };
            if payload[..4] == [class.to_be_bytes(), number.to_be_bytes()].concat() {
                return Ok(payload);
            }
            if payload[..4] == [0, 10, 0, 50] || payload[..4] == [0, 20, 0, 40] {
                return Err(std::io::Error::other(String::from_utf8_lossy(&payload[6..]).into_owned()));
            }
        }
    }

    /// Reads one method; a delivery's content is read with it, and kept.
    fn read(&mut self, wait: Duration) -> std::io::Result<Option<Vec<u8>>> {
        let (kind, payload) = self.frame(wait)?;
        if kind != 1 || payload[..4] != [0, 60, 0, 60] {
            return Ok((kind == 1).then_some(payload));
        }
        let mut at = 4;
        take_short(&payload, &mut at);
        let tag = u64::from_be_bytes(payload[at..at + 8].try_into().expect("eight bytes"));
        let redelivered = payload[at + 8] & 1 == 1;
        at += 9;
        let exchange = take_short(&payload, &mut at);
        let key = take_short(&payload, &mut at);
        let (_, header) = self.frame(PATIENCE)?;
        let size = u64::from_be_bytes(header[4..12].try_into().expect("eight bytes")) as usize;
        let mut body = Vec::new();
        while body.len() < size {
            body.extend(self.frame(PATIENCE)?.1);
        }
        let properties = header[12..].to_vec();
        self.deliveries.push_back(Delivery { tag, redelivered, exchange, key, properties, body });
        Ok(None)
    }

    fn frame(&mut self, wait: Duration) -> std::io::Result<(u8, Vec<u8>)> {
        let end = Instant::now() + wait;
        loop {
            if let Some(head) = self.buffer.get(..7) {
                let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
                if self.buffer.len() >= length + 8 {
                    let frame: Vec<u8> = self.buffer.drain(..length + 8).collect();
                    return Ok((frame[0], frame[7..7 + length].to_vec()));
                }
            }
            let left = end.checked_duration_since(Instant::now()).ok_or(ErrorKind::TimedOut)?;
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut part = [0; 65_536];
            match self.stream.read(&mut part) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.buffer.extend(&part[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
