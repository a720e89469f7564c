//! Class queue (AMQP 0-9-1 §1.7).

use super::Server;
use super::arguments::queue_options;
use super::ask::Done;
use super::exchange::binding;
use super::failure::Failure;
use crate::amqp::v091::codec::{
    QueueBind, QueueDeclare, QueueDeclareOk, QueueDelete, QueuePurge, QueueUnbind, ReplyCode,
};
use windrose_event::{Arrangement, Destination, QueueDeclaration, QueueOptions, Text};

/// The name under which consumers get replies straight away (RabbitMQ: direct reply-to).
pub(super) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

impl Server {
    pub(super) fn declare_queue(&mut self, number: u16, declare: QueueDeclare<'_>) -> Result<(), Failure> {
        let done = (!declare.no_wait).then_some(Done::QueueDeclare);
        if declare.queue == REPLY_TO {
            // It is there for everybody, and holds nothing.
            if declare.passive && !declare.no_wait {
                self.say(number, QueueDeclareOk { queue: REPLY_TO, message_count: 0, consumer_count: 1 });
                return Ok(());
            }
            let text = format!("queue name '{REPLY_TO}' contains reserved prefix 'amq.*'");
            return Err(Failure::new(ReplyCode::ACCESS_REFUSED, text));
        }
        let options = if declare.passive {
            QueueOptions::default()
        } else {
            queue_options(declare.queue, declare.arguments, declare.durable, declare.exclusive)?
        };
        let name = match declare.queue {
            "" if declare.passive => Some(self.queue_named(number, "")?),
            "" => None,
            name => Some(Text::from(name)),
        };
        let declaration = QueueDeclaration {
            name,
            passive: declare.passive,
            // What goes with its connection outlives nothing, whatever is said (as RabbitMQ has it).
            durable: declare.durable && !declare.exclusive,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            options,
        };
        self.arrange(number, done, Arrangement::DeclareQueue(declaration));
        Ok(())
    }

    pub(super) fn bind_queue(&mut self, number: u16, bind: QueueBind<'_>) -> Result<(), Failure> {
        let queue = self.queue_named(number, bind.queue)?;
        // With neither name nor key, the key is the queue's name (AMQP 0-9-1 §1.7.2.3).
        let own = queue.clone();
        let both = bind.queue.is_empty() && bind.routing_key.is_empty();
        let key = if both { own.as_str() } else { bind.routing_key };
        let binding = binding(bind.exchange, Destination::Queue(queue), key, bind.arguments)?;
        let done = (!bind.no_wait).then_some(Done::QueueBind);
        self.arrange(number, done, Arrangement::Bind(binding));
        Ok(())
    }

    pub(super) fn unbind_queue(&mut self, number: u16, unbind: QueueUnbind<'_>) -> Result<(), Failure> {
        let queue = self.queue_named(number, unbind.queue)?;
        let own = queue.clone();
        let both = unbind.queue.is_empty() && unbind.routing_key.is_empty();
        let key = if both { own.as_str() } else { unbind.routing_key };
        let binding = binding(unbind.exchange, Destination::Queue(queue), key, unbind.arguments)?;
        self.arrange(number, Some(Done::QueueUnbind), Arrangement::Unbind(binding));
        Ok(())
    }

    pub(super) fn purge_queue(&mut self, number: u16, purge: QueuePurge<'_>) -> Result<(), Failure> {
        let name = self.queue_named(number, purge.queue)?;
        let done = (!purge.no_wait).then_some(Done::QueuePurge);
        self.arrange(number, done, Arrangement::PurgeQueue { name });
        Ok(())
    }

    pub(super) fn delete_queue(&mut self, number: u16, delete: QueueDelete<'_>) -> Result<(), Failure> {
        let name = self.queue_named(number, delete.queue)?;
        let (if_unused, if_empty) = (delete.if_unused, delete.if_empty);
        let done = (!delete.no_wait).then_some(Done::QueueDelete);
        self.arrange(number, done, Arrangement::DeleteQueue { name, if_unused, if_empty });
        Ok(())
    }

    /// The queue of that name; an empty one means the queue that the channel declared last.
    pub(super) fn queue_named(&mut self, number: u16, name: &str) -> Result<Text, Failure> {
        if !name.is_empty() {
            return Ok(Text::from(name));
        }
        let last = self.channel(number).and_then(|channel| channel.last_queue.clone());
        last.ok_or_else(|| Failure::new(ReplyCode::NOT_FOUND, "no previously declared queue"))
    }
}
