//! Methods (AMQP 0-9-1 §1, with RabbitMQ's extensions): what peers say to one another.
//!
//! Fields are named as the specification names them. Those that are reserved are skipped, and written as zero.

use super::read::{Field, Reader, Writer};
use super::{CodecError, ReplyCode, Table};

/// For each method its class and number, the fields that are reserved before the others, the others, and the reserved
/// ones after them.
macro_rules! methods {
    ($a:lifetime; $(
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)? = $class:literal $number:literal
            [$($before:ty),*] { $($field:ident: $kind:ty),* } [$($after:ty),*]
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq)]
            #[allow(missing_docs, reason = "the specification says what its fields are")]
            pub struct $name $(<$life>)? {
                $(pub $field: $kind,)*
            }

            impl<$a> From<$name $(<$life>)?> for Method<$a> {
                fn from(method: $name $(<$life>)?) -> Self {
                    Self::$name(method)
                }
            }
        )*

        /// A method (AMQP 0-9-1 §1).
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Method<$a> {
            $($(#[$doc])* $name($name $(<$life>)?),)*
        }

        impl<$a> Method<$a> {
            /// Reads a method frame's payload. What follows the last field is ignored.
            ///
            /// # Errors
            /// There is no such method, or a field is malformed.
            pub fn read(payload: &$a [u8]) -> Result<Self, CodecError> {
                let reader = &mut Reader::new(payload);
                let class = u16::from_be_bytes(reader.array()?);
                let number = u16::from_be_bytes(reader.array()?);
                Ok(match (class, number) {
                    $(($class, $number) => {
                        $(<$before as Field>::read(reader)?;)*
                        let method = $name { $($field: Field::read(reader)?,)* };
                        $(<$after as Field>::read(reader)?;)*
                        Self::$name(method)
                    })*
                    _ => return Err(UNKNOWN),
                })
            }

            /// Appends a method frame's payload.
            pub fn write(&self, out: &mut Vec<u8>) {
                let writer = &mut Writer::new(out);
                match self {
                    $(Self::$name(_method) => {
                        Field::write(&($class as u16), writer);
                        Field::write(&($number as u16), writer);
                        $(Field::write(&<$before>::default(), writer);)*
                        $(Field::write(&_method.$field, writer);)*
                        $(Field::write(&<$after>::default(), writer);)*
                    })*
                }
            }

            /// Its class and number.
            pub const fn id(&self) -> (u16, u16) {
                match self {
                    $(Self::$name(_) => ($class, $number),)*
                }
            }
        }
    };
}

const UNKNOWN: CodecError =
    CodecError { code: ReplyCode::NOT_IMPLEMENTED, problem: "there is no method of that class and number" };

methods! { 'a;
    /// The server names its mechanisms (connection.start).
    ConnectionStart<'a> = 10 10 [] {
        version_major: u8, version_minor: u8, server_properties: Table<'a>, mechanisms: &'a [u8], locales: &'a [u8]
    } []
    /// The client picks a mechanism (connection.start-ok).
    ConnectionStartOk<'a> = 10 11 [] {
        client_properties: Table<'a>, mechanism: &'a str, response: &'a [u8], locale: &'a str
    } []
    /// The server asks the client to prove itself (connection.secure).
    ConnectionSecure<'a> = 10 20 [] { challenge: &'a [u8] } []
    /// The client's answer (connection.secure-ok).
    ConnectionSecureOk<'a> = 10 21 [] { response: &'a [u8] } []
    /// The server proposes limits (connection.tune).
    ConnectionTune = 10 30 [] { channel_max: u16, frame_max: u32, heartbeat: u16 } []
    /// The client decides on limits (connection.tune-ok).
    ConnectionTuneOk = 10 31 [] { channel_max: u16, frame_max: u32, heartbeat: u16 } []
    /// The client picks a virtual host (connection.open).
    ConnectionOpen<'a> = 10 40 [] { virtual_host: &'a str } [&'a str, bool]
    /// The connection is ready (connection.open-ok).
    ConnectionOpenOk = 10 41 [&'a str] {} []
    /// The connection ends (connection.close).
    ConnectionClose<'a> = 10 50 [] { reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16 } []
    /// The connection has ended (connection.close-ok).
    ConnectionCloseOk = 10 51 [] {} []
    /// The server takes no publications for now (RabbitMQ: connection.blocked).
    ConnectionBlocked<'a> = 10 60 [] { reason: &'a str } []
    /// The server takes publications again (RabbitMQ: connection.unblocked).
    ConnectionUnblocked = 10 61 [] {} []
    /// The client has a new secret (RabbitMQ: connection.update-secret).
    ConnectionUpdateSecret<'a> = 10 70 [] { new_secret: &'a [u8], reason: &'a str } []
    /// The new secret is taken (RabbitMQ: connection.update-secret-ok).
    ConnectionUpdateSecretOk = 10 71 [] {} []
    /// A channel begins (channel.open).
    ChannelOpen = 20 10 [&'a str] {} []
    /// The channel is ready (channel.open-ok).
    ChannelOpenOk = 20 11 [&'a [u8]] {} []
    /// The peer is to stop, or go on, sending content (channel.flow).
    ChannelFlow = 20 20 [] { active: bool } []
    /// It has (channel.flow-ok).
    ChannelFlowOk = 20 21 [] { active: bool } []
    /// The channel ends (channel.close).
    ChannelClose<'a> = 20 40 [] { reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16 } []
    /// The channel has ended (channel.close-ok).
    ChannelCloseOk = 20 41 [] {} []
    /// Asks for access as AMQP 0-8 did (access.request): some clients still do.
    AccessRequest<'a> = 30 10 [] {
        realm: &'a str, exclusive: bool, passive: bool, active: bool, write: bool, read: bool
    } []
    /// The answer of old (access.request-ok).
    AccessRequestOk = 30 11 [] { ticket: u16 } []
    /// Make an exchange (exchange.declare).
    ExchangeDeclare<'a> = 40 10 [u16] {
        exchange: &'a str, kind: &'a str, passive: bool, durable: bool, auto_delete: bool, internal: bool,
        no_wait: bool, arguments: Table<'a>
    } []
    /// It is there (exchange.declare-ok).
    ExchangeDeclareOk = 40 11 [] {} []
    /// Remove an exchange (exchange.delete).
    ExchangeDelete<'a> = 40 20 [u16] { exchange: &'a str, if_unused: bool, no_wait: bool } []
    /// It is gone (exchange.delete-ok).
    ExchangeDeleteOk = 40 21 [] {} []
    /// Bind an exchange to an exchange (RabbitMQ: exchange.bind).
    ExchangeBind<'a> = 40 30 [u16] {
        destination: &'a str, source: &'a str, routing_key: &'a str, no_wait: bool, arguments: Table<'a>
    } []
    /// It is bound (exchange.bind-ok).
    ExchangeBindOk = 40 31 [] {} []
    /// Take the binding back (RabbitMQ: exchange.unbind).
    ExchangeUnbind<'a> = 40 40 [u16] {
        destination: &'a str, source: &'a str, routing_key: &'a str, no_wait: bool, arguments: Table<'a>
    } []
    /// It is taken back (exchange.unbind-ok).
    ExchangeUnbindOk = 40 51 [] {} []
    /// Make a queue (queue.declare).
    QueueDeclare<'a> = 50 10 [u16] {
        queue: &'a str, passive: bool, durable: bool, exclusive: bool, auto_delete: bool, no_wait: bool,
        arguments: Table<'a>
    } []
    /// It is there (queue.declare-ok).
    QueueDeclareOk<'a> = 50 11 [] { queue: &'a str, message_count: u32, consumer_count: u32 } []
    /// Bind a queue to an exchange (queue.bind).
    QueueBind<'a> = 50 20 [u16] {
        queue: &'a str, exchange: &'a str, routing_key: &'a str, no_wait: bool, arguments: Table<'a>
    } []
    /// It is bound (queue.bind-ok).
    QueueBindOk = 50 21 [] {} []
    /// Remove what waits in a queue (queue.purge).
    QueuePurge<'a> = 50 30 [u16] { queue: &'a str, no_wait: bool } []
    /// It is removed (queue.purge-ok).
    QueuePurgeOk = 50 31 [] { message_count: u32 } []
    /// Remove a queue (queue.delete).
    QueueDelete<'a> = 50 40 [u16] { queue: &'a str, if_unused: bool, if_empty: bool, no_wait: bool } []
    /// It is gone (queue.delete-ok).
    QueueDeleteOk = 50 41 [] { message_count: u32 } []
    /// Take a binding back (queue.unbind).
    QueueUnbind<'a> = 50 50 [u16] {
        queue: &'a str, exchange: &'a str, routing_key: &'a str, arguments: Table<'a>
    } []
    /// It is taken back (queue.unbind-ok).
    QueueUnbindOk = 50 51 [] {} []
    /// How much may be unacknowledged (basic.qos).
    BasicQos = 60 10 [] { prefetch_size: u32, prefetch_count: u16, global: bool } []
    /// It is so (basic.qos-ok).
    BasicQosOk = 60 11 [] {} []
    /// Be supplied from a queue (basic.consume).
    BasicConsume<'a> = 60 20 [u16] {
        queue: &'a str, consumer_tag: &'a str, no_local: bool, no_ack: bool, exclusive: bool, no_wait: bool,
        arguments: Table<'a>
    } []
    /// It begins (basic.consume-ok).
    BasicConsumeOk<'a> = 60 21 [] { consumer_tag: &'a str } []
    /// A consumer wants no more; or, from a server, gets no more (basic.cancel).
    BasicCancel<'a> = 60 30 [] { consumer_tag: &'a str, no_wait: bool } []
    /// It ends (basic.cancel-ok).
    BasicCancelOk<'a> = 60 31 [] { consumer_tag: &'a str } []
    /// A message for an exchange; content follows (basic.publish).
    BasicPublish<'a> = 60 40 [u16] { exchange: &'a str, routing_key: &'a str, mandatory: bool, immediate: bool } []
    /// A message that got nowhere; content follows (basic.return).
    BasicReturn<'a> = 60 50 [] { reply_code: u16, reply_text: &'a str, exchange: &'a str, routing_key: &'a str } []
    /// A message for a consumer; content follows (basic.deliver).
    BasicDeliver<'a> = 60 60 [] {
        consumer_tag: &'a str, delivery_tag: u64, redelivered: bool, exchange: &'a str, routing_key: &'a str
    } []
    /// Take one message from a queue (basic.get).
    BasicGet<'a> = 60 70 [u16] { queue: &'a str, no_ack: bool } []
    /// It; content follows (basic.get-ok).
    BasicGetOk<'a> = 60 71 [] {
        delivery_tag: u64, redelivered: bool, exchange: &'a str, routing_key: &'a str, message_count: u32
    } []
    /// There is none (basic.get-empty).
    BasicGetEmpty = 60 72 [&'a str] {} []
    /// A delivery is done with; or, from a server, a publication is taken (basic.ack).
    BasicAck = 60 80 [] { delivery_tag: u64, multiple: bool } []
    /// A delivery is not wanted (basic.reject).
    BasicReject = 60 90 [] { delivery_tag: u64, requeue: bool } []
    /// Deliver again what is unacknowledged, without an answer (basic.recover-async).
    BasicRecoverAsync = 60 100 [] { requeue: bool } []
    /// Deliver again what is unacknowledged (basic.recover).
    BasicRecover = 60 110 [] { requeue: bool } []
    /// It is under way (basic.recover-ok).
    BasicRecoverOk = 60 111 [] {} []
    /// Deliveries are not wanted; or, from a server, a publication is not taken (RabbitMQ: basic.nack).
    BasicNack = 60 120 [] { delivery_tag: u64, multiple: bool, requeue: bool } []
    /// Confirm publications (RabbitMQ: confirm.select).
    ConfirmSelect = 85 10 [] { no_wait: bool } []
    /// They are confirmed from now on (RabbitMQ: confirm.select-ok).
    ConfirmSelectOk = 85 11 [] {} []
    /// Publications and acknowledgements wait for their commit (tx.select).
    TxSelect = 90 10 [] {} []
    /// They do from now on (tx.select-ok).
    TxSelectOk = 90 11 [] {} []
    /// Do what waits (tx.commit).
    TxCommit = 90 20 [] {} []
    /// It is done (tx.commit-ok).
    TxCommitOk = 90 21 [] {} []
    /// Forget what waits (tx.rollback).
    TxRollback = 90 30 [] {} []
    /// It is forgotten (tx.rollback-ok).
    TxRollbackOk = 90 31 [] {} []
}
