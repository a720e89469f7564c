//! Class exchange (AMQP 0-9-1 §1.6, with RabbitMQ's bindings of exchanges to exchanges).

use super::Server;
use super::arguments::{alternate, headers_test};
use super::ask::Done;
use super::failure::Failure;
use crate::amqp::v091::codec::{
    ExchangeBind, ExchangeDeclare, ExchangeDelete, ExchangeUnbind, ReplyCode, Table,
};
use windrose_event::{Arrangement, Binding, Destination, ExchangeDeclaration, ExchangeKind, Text};

impl Server {
    pub(super) fn declare_exchange(
        &mut self,
        number: u16,
        declare: ExchangeDeclare<'_>,
    ) -> Result<(), Failure> {
        not_default(declare.exchange)?;
        let kind = match ExchangeKind::named(declare.kind) {
            Some(kind) => kind,
            None if declare.passive => ExchangeKind::Direct,
            None => {
                let text = format!("invalid exchange type '{}'", declare.kind);
                return Err(Failure::new(ReplyCode::COMMAND_INVALID, text));
            }
        };
        let alternate = if declare.passive { None } else { alternate(declare.exchange, declare.arguments)? };
        let declaration = ExchangeDeclaration {
            name: Text::from(declare.exchange),
            passive: declare.passive,
            kind,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            alternate,
        };
        let done = (!declare.no_wait).then_some(Done::ExchangeDeclare);
        self.arrange(number, done, Arrangement::DeclareExchange(declaration));
        Ok(())
    }

    pub(super) fn delete_exchange(&mut self, number: u16, delete: ExchangeDelete<'_>) -> Result<(), Failure> {
        not_default(delete.exchange)?;
        let (name, if_unused) = (Text::from(delete.exchange), delete.if_unused);
        let done = (!delete.no_wait).then_some(Done::ExchangeDelete);
        self.arrange(number, done, Arrangement::DeleteExchange { name, if_unused });
        Ok(())
    }

    pub(super) fn bind_exchange(&mut self, number: u16, bind: ExchangeBind<'_>) -> Result<(), Failure> {
        not_default(bind.destination)?;
        let destination = Destination::Exchange(Text::from(bind.destination));
        let binding = binding(bind.source, destination, bind.routing_key, bind.arguments)?;
        let done = (!bind.no_wait).then_some(Done::ExchangeBind);
        self.arrange(number, done, Arrangement::Bind(binding));
        Ok(())
    }

    pub(super) fn unbind_exchange(&mut self, number: u16, unbind: ExchangeUnbind<'_>) -> Result<(), Failure> {
        not_default(unbind.destination)?;
        let destination = Destination::Exchange(Text::from(unbind.destination));
        let binding = binding(unbind.source, destination, unbind.routing_key, unbind.arguments)?;
        let done = (!unbind.no_wait).then_some(Done::ExchangeUnbind);
        self.arrange(number, done, Arrangement::Unbind(binding));
        Ok(())
    }
}

/// The default exchange is as it is: nobody makes, removes or binds it (AMQP 0-9-1 §3.1.3.1).
fn not_default(exchange: &str) -> Result<(), Failure> {
    if exchange.is_empty() {
        return Err(Failure::new(
            ReplyCode::ACCESS_REFUSED,
            "operation not permitted on the default exchange",
        ));
    }
    Ok(())
}

/// A binding as a client asks for it.
pub(super) fn binding(
    source: &str,
    destination: Destination,
    key: &str,
    arguments: Table<'_>,
) -> Result<Binding, Failure> {
    not_default(source)?;
    Ok(Binding {
        source: Text::from(source),
        destination,
        key: Text::from(key),
        headers: headers_test(arguments)?,
    })
}
