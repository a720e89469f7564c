//! What the engine is asked and must answer before the client's next words are taken.

use super::Server;
use super::failure::Failure;
use crate::amqp::v091::codec::{
    ExchangeBindOk, ExchangeDeclareOk, ExchangeDeleteOk, ExchangeUnbindOk, QueueBindOk, QueueDeclareOk,
    QueueDeleteOk, QueuePurgeOk, QueueUnbindOk,
};
use windrose_event::{Arranged, Arrangement, Declined, Intent, Tag};

/// The tag of the one question that is asked at a time.
pub(super) const QUESTION: Tag = Tag(1);

/// What is awaited. `method` is what the client said, for its exception.
pub(super) struct Pending {
    pub(super) channel: u16,
    pub(super) epoch: u32,
    pub(super) method: (u16, u16),
    pub(super) question: Question,
}

pub(super) enum Question {
    /// An arrangement, and how the client is told that it is made, if it wants to be.
    Arrange(Option<Done>),
    /// Whether a consumer begins, and whether the client is told.
    Consume { consumer: u32, told: bool },
    /// The end of a consumer, and whether the client is told.
    Cancel { consumer: u32, told: bool },
    /// One event of a queue.
    Pull,
    /// So many publications of a transaction are still to be settled; whether one was refused.
    Commit { left: u32, refused: bool },
}

/// The method that says that an arrangement is made.
#[derive(Clone, Copy)]
pub(super) enum Done {
    ExchangeDeclare,
    ExchangeDelete,
    ExchangeBind,
    ExchangeUnbind,
    QueueDeclare,
    QueueBind,
    QueueUnbind,
    QueuePurge,
    QueueDelete,
}

impl Server {
    /// Holds what comes next until the engine has answered.
    pub(super) fn await_answer(&mut self, channel: u16, question: Question) {
        let epoch = self.channel(channel).map_or(0, |channel| channel.epoch);
        self.pending = Some(Box::new(Pending { channel, epoch, method: self.method, question }));
    }

    pub(super) fn arrange(&mut self, channel: u16, done: Option<Done>, arrangement: Arrangement) {
        self.intend(Intent::Arrange { tag: QUESTION, arrangement: Box::new(arrangement) });
        self.await_answer(channel, Question::Arrange(done));
    }

    /// Takes the pending question if it is of that kind.
    pub(super) fn answer(&mut self, is_it: impl FnOnce(&Question) -> bool) -> Option<Pending> {
        let pending = self.pending.take_if(|pending| is_it(&pending.question))?;
        self.method = pending.method;
        Some(*pending)
    }

    pub(super) fn arranged(&mut self, result: Result<Arranged, Declined>) {
        let Some(pending) = self.answer(|question| matches!(question, Question::Arrange(_))) else { return };
        let Pending { channel: number, epoch, question: Question::Arrange(done), .. } = pending else {
            return;
        };
        let declared = pending.method == (50, 10);
        let Some(channel) = self.channel_of(number, epoch) else { return };
        let arranged = match result {
            Ok(arranged) => arranged,
            Err(declined) => return self.raise(number, &Failure::from(declined)),
        };
        if declared {
            channel.last_queue = Some(arranged.queue.clone());
        }
        match done {
            None => {}
            Some(Done::ExchangeDeclare) => self.say(number, ExchangeDeclareOk {}),
            Some(Done::ExchangeDelete) => self.say(number, ExchangeDeleteOk {}),
            Some(Done::ExchangeBind) => self.say(number, ExchangeBindOk {}),
            Some(Done::ExchangeUnbind) => self.say(number, ExchangeUnbindOk {}),
            Some(Done::QueueBind) => self.say(number, QueueBindOk {}),
            Some(Done::QueueUnbind) => self.say(number, QueueUnbindOk {}),
            Some(Done::QueuePurge) => self.say(number, QueuePurgeOk { message_count: arranged.messages }),
            Some(Done::QueueDelete) => self.say(number, QueueDeleteOk { message_count: arranged.messages }),
            Some(Done::QueueDeclare) => {
                let queue = arranged.queue.as_str();
                let (message_count, consumer_count) = (arranged.messages, arranged.consumers);
                self.say(number, QueueDeclareOk { queue, message_count, consumer_count });
            }
        }
    }
}
