//! Detach: links end (part 2 §2.6.4 to §2.6.6).

use super::answer::{Step, condition_of};
use super::attach::New;
use super::link::{Consumer, Link};
use super::{Failure, Server};
use crate::amqp::v1::codec::{Detach, ErrorInfo, Performative, condition};
use std::time::Duration;
use windrose_event::{
    Arrangement, Assurance, Consume, ConsumerId, Declined, Filter, Intent, RetainedDelivery, Source,
    SubscriptionRequest, Text,
};

impl Server {
    /// Detach came.
    pub(super) fn detach(&mut self, channel: u16, detach: &Detach<'_>) -> Result<(), Failure> {
        let Some(session) = self.session(channel)? else { return Ok(()) };
        let link = session.links.get(&detach.handle).ok_or(Failure::unattached())?;
        let (local, was_ours) = (link.local(), matches!(link, Link::Detaching(_)));
        if !was_ours {
            self.flush_session(channel);
        }
        let Some(session) = self.sessions.get_mut(&channel) else { return Ok(()) };
        let Some(link) = session.links.remove(&detach.handle) else { return Ok(()) };
        let session_channel = session.local;
        self.links = self.links.saturating_sub(1);
        if was_ours {
            return Ok(());
        }
        if !detach.closed {
            self.suspend(&link);
        }
        self.drop_link(channel, detach.handle, link, detach.closed);
        let answer = Detach { handle: local, closed: detach.closed, error: None };
        Performative::Detach(answer).write(session_channel, self.transmit.buffer());
        self.frames.sent += 1;
        Ok(())
    }

    /// Ends a link of ours; what the peer still sends on it is passed by until its own detach comes.
    pub(super) fn detach_link(&mut self, channel: u16, handle: u32, error: Option<ErrorInfo<'_>>) {
        self.flush_session(channel);
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let local = match session.links.get(&handle) {
            None | Some(Link::Detaching(_)) => return,
            Some(link) => link.local(),
        };
        let Some(link) = session.links.insert(handle, Link::Detaching(local)) else { return };
        let asked = match &link {
            Link::Asked(asked) => asked.attach().ok().map(|attach| (attach, asked)),
            _ => None,
        };
        if let Some((attach, asked)) = asked {
            // It has no answer yet: it is answered, and detached with the reason.
            let new = New { channel, handle, key: asked.key, local };
            if let Some(error) = error {
                self.refuse_link(new, &attach, error);
            }
            self.drop_link(channel, handle, link, true);
            return;
        }
        let detach = Detach { handle: local, closed: true, error };
        Performative::Detach(detach).write(session.local, self.transmit.buffer());
        self.frames.sent += 1;
        self.drop_link(channel, handle, link, true);
    }

    /// What a link had is given back.
    pub(super) fn drop_link(&mut self, channel: u16, handle: u32, link: Link, closed: bool) {
        match link {
            Link::Detaching(_) => {}
            Link::Asked(asked) => {
                if let Some(consumer) = asked.consumer {
                    self.cancel(consumer);
                }
            }
            Link::In(link) => {
                if let Some(partial) = &link.partial {
                    self.partial_bytes = self.partial_bytes.saturating_sub(partial.len());
                }
                if let Some(session) = self.sessions.get_mut(&channel) {
                    session.seconds.retain(|_, (_, key)| *key != link.key);
                }
                if let Some(name) = link.dynamic.filter(|_| closed) {
                    let new = New { channel, handle, key: link.key, local: link.local };
                    let delete = Arrangement::DeleteQueue { name, if_unused: false, if_empty: false };
                    self.arrange(new, Step::Remove, delete);
                }
            }
            Link::Out(link) => {
                if let Some(session) = self.sessions.get_mut(&channel) {
                    session.deliveries.forget(link.consumer);
                    // What has begun goes on: the peer is amid it, and passes it by.
                    session.held.retain(|held| held.consumer != link.consumer || held.has_begun());
                }
                self.cancel(link.consumer);
                if let Some(kept) = link.kept.filter(|_| closed) {
                    self.give_up(*kept);
                }
            }
        }
    }

    /// A consumer is wanted no more; what it has not disposed of goes back.
    fn cancel(&mut self, consumer: u32) {
        if let Some(entry) = self.consumers.get_mut(consumer as usize) {
            entry.canceled = true;
            entry.unsettled = 0;
            self.intend(Intent::Cancel { consumer: ConsumerId(consumer), release: true });
        }
    }

    /// A subscription that was kept is not wanted any more: it is taken up once more, to be kept for no time.
    fn give_up(&mut self, (name, filter): (Text, Filter)) {
        let nobody = Consumer { channel: 0, handle: 0, key: u32::MAX, canceled: false, unsettled: 0 };
        let number = self.consumers.insert(nobody) as u32;
        let request = SubscriptionRequest {
            filter,
            group: None,
            assurance: Assurance::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            own_copy: true,
            retained: RetainedDelivery::Never,
            identifier: None,
        };
        self.intend(Intent::Consume(Box::new(Consume {
            consumer: ConsumerId(number),
            from: Source::Address { request, headers: None, kept: Some((name, Duration::ZERO)) },
            exclusive: false,
            presettled: false,
            limit: 0,
        })));
        self.cancel(number);
    }

    /// A consumer gets no more: as was asked, or what it consumed from is gone.
    pub(super) fn canceled(&mut self, id: ConsumerId, because: Option<Declined>) {
        let link = self.link_of(id);
        let Some(consumer) = self.consumers.get(id.0 as usize) else { return };
        if consumer.canceled {
            if because.is_none() {
                self.consumers.remove(id.0 as usize);
            }
            return;
        }
        let Some((channel, handle)) = link else { return };
        let error = because.as_ref().map(|declined| {
            let condition = match declined.cause {
                windrose_event::DeclineCause::NotFound => condition::RESOURCE_DELETED,
                cause => condition_of(cause),
            };
            ErrorInfo::new(condition, &declined.detail)
        });
        // With its link it is canceled once more: what the peer had of it goes back, if there is a place.
        self.detach_link(channel, handle, error);
    }

    /// All links of a session are given back.
    pub(super) fn abandon(&mut self, channel: u16) {
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let links = std::mem::take(&mut session.links);
        session.held = Default::default();
        self.links = self.links.saturating_sub(links.len() as u32);
        for (handle, link) in links {
            self.drop_link(channel, handle, link, true);
        }
    }
}
