//! Conversations with the registry: what each connection has said so far, and each step off the shard's thread.

use super::Shard;
use super::identify::{WAITING, unavailable};
use std::rc::Rc;
use windrose_engine::Input;
use windrose_event::{
    Claim, ConnectionId, Conversation, MOST_CHALLENGES, Now, Refusal, RefusalCause, Secret, Step,
};

/// A conversation between two of its steps.
pub(super) struct Talk {
    conversation: Box<dyn Conversation>,
    /// How many challenges the peer was sent.
    challenges: usize,
}

impl Shard {
    pub(super) fn converse(self: &Rc<Self>, now: Now, connection: ConnectionId, claim: &Claim) {
        match self.registry.converse(claim) {
            Some(conversation) => {
                let talk = Talk { conversation, challenges: 0 };
                self.step(now, connection, talk, claim.response.clone());
            }
            None => {
                let method = claim.method.as_ref().map(|method| method.chars().take(100).collect::<String>());
                let detail = format!("the registry knows no method {:?}", method.unwrap_or_default());
                self.conversed(now, connection, refused(RefusalCause::UnknownMethod, detail));
            }
        }
    }

    pub(super) fn respond(self: &Rc<Self>, now: Now, connection: ConnectionId, response: Option<Secret>) {
        let talk = self.talks.borrow_mut().remove(&connection);
        if let Some(talk) = talk {
            self.step(now, connection, talk, response);
        }
    }

    fn step(self: &Rc<Self>, now: Now, connection: ConnectionId, mut talk: Talk, response: Option<Secret>) {
        if self.identifying.get() >= WAITING {
            let refusal = unavailable(format!("{WAITING} claims wait for the registry already"));
            return self.conversed(now, connection, Step::Refused(refusal));
        }
        self.identifying.set(self.identifying.get() + 1);
        let shard = Rc::clone(self);
        let asked = tokio::task::spawn_blocking(move || {
            let step = talk.conversation.step(response.as_ref());
            (talk, step)
        });
        tokio::task::spawn_local(async move {
            let stepped = asked.await;
            shard.identifying.set(shard.identifying.get() - 1);
            let step = match stepped {
                Ok((talk, Step::Challenge(_))) if talk.challenges >= MOST_CHALLENGES => refused(
                    RefusalCause::BadCredentials,
                    format!("the conversation came to no end with {MOST_CHALLENGES} challenges"),
                ),
                Ok((talk, Step::Challenge(data))) => {
                    shard.keep(connection, Talk { challenges: talk.challenges + 1, ..talk });
                    Step::Challenge(data)
                }
                Ok((_, step)) => step,
                Err(_) => Step::Refused(unavailable("the registry failed while it answered".to_owned())),
            };
            shard.input(Input::Conversed { connection, step });
        });
    }

    /// Keeps a conversation until the peer has answered, if the peer is still here.
    fn keep(&self, connection: ConnectionId, talk: Talk) {
        if self.core.borrow().pump.is_connected(connection) {
            self.talks.borrow_mut().insert(connection, talk);
        }
    }

    fn conversed(&self, now: Now, connection: ConnectionId, step: Step) {
        self.core.borrow_mut().pump.input(now, Input::Conversed { connection, step });
    }
}

fn refused(cause: RefusalCause, detail: String) -> Step {
    Step::Refused(Refusal { cause, detail })
}
