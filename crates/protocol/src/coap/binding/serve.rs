//! What each method does (`docs/coap-binding.md`, "Methods").

use super::assembly::{Bounds, go_on};
use super::est::Operation;
use super::lanes::{SESSION_WINDOW, WINDOW};
use super::pending::{Pending, Telling, Then};
use super::reply::Reply;
use super::request::{self, Asked, Key};
use super::value::{Conditions, etags};
use super::{Binding, Output, body, outcome};
use crate::coap::codec::{Block, Code, option};
use crate::coap::{Lane, Remote, Request, Response};
use bytes::Bytes;
use std::time::Duration;
use windrose_event::{Claim, Intent, Now, Open, Tag};

/// The resource that lists the others (RFC 6690 §4).
const CORE: &[u8] = b".well-known/core";

impl Binding {
    /// Does what a request asks for; its answer is given now or later.
    ///
    /// # Errors
    /// The response that says why it is not done.
    pub(super) fn serve(
        &mut self,
        now: Now,
        remote: Remote,
        reply: &mut Reply,
        request: &Request<'_>,
        asked: &Asked,
        path: &[u8],
    ) -> Result<(), Response> {
        let mut blocks = asked.block1.iter().chain(&asked.block2);
        if !self.bert && blocks.any(|block| block.exponent == 7) {
            // RFC 7959 §2.2.
            return Err(Response::diagnostic(Code::BAD_REQUEST, "the block size 7 is reserved"));
        }
        if self.config.enrolment
            && let Remote::Session(_) = remote
            && let Some(operation) = Operation::of(path)
        {
            return self.enrol(now, remote, reply, request, asked, operation);
        }
        match request.code {
            Code::GET if path == CORE => self.discover(now, remote, *reply, request, asked),
            Code::GET => self.get(now, remote, *reply, request, asked, path),
            Code::POST | Code::PUT | Code::DELETE | Code::FETCH | Code::PATCH | Code::IPATCH
                if !path.is_empty() && path != CORE =>
            {
                let Some(body) = self.body(now, remote, reply, request, asked)? else { return Ok(()) };
                self.write(now, remote, *reply, request, asked, path, body)
            }
            // RFC 7252 §5.8: a method that is not known here, or not for this resource.
            _ => Err(Response::new(Code::METHOD_NOT_ALLOWED)),
        }
    }

    /// GET: the last value (RFC 7252 §5.8.1), and perhaps those that follow (RFC 7641 §3.1).
    fn get(
        &mut self,
        now: Now,
        remote: Remote,
        reply: Reply,
        request: &Request<'_>,
        asked: &Asked,
        path: &[u8],
    ) -> Result<(), Response> {
        if path.is_empty() {
            return Err(Response::new(Code::NOT_FOUND));
        }
        let telling = Telling {
            accept: asked.accept,
            block2: asked.block2,
            etags: etags(request.options, option::ETAG),
            conditions: Conditions::read(request.options),
        };
        if asked.block2.is_some_and(|block| block.number > 0) {
            // The rest of a notification that was too large, if it is one.
            let key = request::key(request.code, request.options);
            if let Some(response) = self.bodies.get(remote, &key) {
                return self.rest(reply, asked, response);
            }
        } else if asked.observe == Some(0) {
            return self.observe(now, remote, reply, request, path, telling);
        } else if asked.observe == Some(1) && self.forget_token(now, remote, request.token) {
            let is_wild = request::filter(path).is_ok_and(|filter| filter.is_wild());
            if is_wild {
                self.respond(reply, Response::new(Code::CONTENT));
                return Ok(());
            }
        }
        let address = request::address(path)?;
        let lane = self.lane(now, remote)?;
        let then = Box::new(Then::Tell(telling));
        self.ask(now, lane, Pending::Read { reply, then }, |tag| Intent::Read { tag, address })
    }

    /// More of a body that is kept.
    pub(super) fn rest(
        &mut self,
        reply: Reply,
        asked: &Asked,
        mut response: Response,
    ) -> Result<(), Response> {
        body::cut(&mut response, asked.block2, reply.room)?;
        self.respond(reply, response);
        Ok(())
    }

    /// Answers with a body that cannot be made again: what does not fit is kept.
    pub(super) fn give(
        &mut self,
        now: Now,
        remote: Remote,
        key: &Key,
        reply: Reply,
        block2: Option<Block>,
        mut response: Response,
    ) {
        let whole = response.clone();
        match body::cut(&mut response, block2, reply.room) {
            Ok(true) => self.bodies.keep(now.moment, remote, key, &whole, self.config.blocks_bytes),
            Ok(false) => self.bodies.forget(remote, key),
            Err(refused) => response = refused,
        }
        self.respond(reply, response);
    }

    /// A request's whole body. `None`: more of it must come, and that was said.
    pub(super) fn body(
        &mut self,
        now: Now,
        remote: Remote,
        reply: &mut Reply,
        request: &Request<'_>,
        asked: &Asked,
    ) -> Result<Option<Bytes>, Response> {
        let bounds = Bounds { body: self.config.payload_bytes, bytes: self.config.blocks_bytes };
        let Some(block) = asked.block1 else {
            if request.payload.len() > bounds.body as usize {
                return Err(outcome::too_large(bounds.body));
            }
            return Ok(Some(Bytes::copy_from_slice(request.payload)));
        };
        reply.block1 = Some(block);
        let name = (remote, request::key(request.code, request.options));
        let body = self.assemblies.take(now.moment, name, block, request.payload, asked.size1, bounds)?;
        if body.is_none() {
            self.respond(*reply, go_on(block));
        }
        Ok(body)
    }

    /// The lane by which somebody's requests go.
    ///
    /// # Errors
    /// There is none, and none can be opened.
    pub(super) fn lane(&mut self, now: Now, remote: Remote) -> Result<usize, Response> {
        if let Remote::Session(_) = remote {
            return self.own_lane(now, remote);
        }
        if let Some(lane) = self.lanes.shared_with_room() {
            return Ok(lane);
        }
        match &self.refused {
            Some((until, response)) if *until > now.moment => return Err(response.clone()),
            _ => {}
        }
        if self.lanes.shared() >= usize::from(self.config.lanes) {
            return Err(outcome::busy("too much is in flight; send it again later", None));
        }
        let claim = Claim { listener: self.config.listener.clone(), ..Claim::default() };
        Ok(self.open_lane(now, None, claim))
    }

    /// The lane that belongs to somebody alone.
    ///
    /// # Errors
    /// It is of a session that has ended.
    pub(super) fn own_lane(&mut self, now: Now, remote: Remote) -> Result<usize, Response> {
        let owner = match remote {
            Remote::Udp { .. } => self.owners.enter(remote),
            Remote::Session(_) => {
                self.owners.get_mut(remote).ok_or_else(|| Response::new(Code::UNAUTHORIZED))?
            }
        };
        if let Some(lane) = owner.lane.filter(|lane| self.lanes.get(*lane).is_some()) {
            return Ok(lane);
        }
        let claim = self.claim(remote);
        let lane = self.open_lane(now, Some(remote), claim);
        if let Some(owner) = self.owners.get_mut(remote) {
            owner.lane = Some(lane);
        }
        if let (Remote::Udp { .. }, Some(lane)) = (remote, self.lanes.get(lane)) {
            self.probes.begin(now.moment, lane.serial, remote);
        }
        Ok(lane)
    }

    /// What somebody is known by: a session by what it claims, an address by nothing.
    pub(in crate::coap) fn claim(&self, remote: Remote) -> Claim {
        match self.owners.get(remote).and_then(|owner| owner.claim.as_deref()) {
            Some(claim) => claim.clone(),
            None => Claim { listener: self.config.listener.clone(), peer: remote.peer(), ..Claim::default() },
        }
    }

    fn open_lane(&mut self, now: Now, owner: Option<Remote>, claim: Claim) -> usize {
        let window = if owner.is_some() && !self.is_stream { SESSION_WINDOW } else { WINDOW };
        let key = self.lanes.open(now.moment, owner, window);
        let lane = Lane(key as u32);
        self.outputs.push_back(Output::Connect { lane, remote: owner });
        let open = Open {
            protocol: "coap",
            version: "1",
            session: None,
            claim,
            resume: false,
            keep: Duration::ZERO,
            window: self.config.window.max(1),
            will: None,
        };
        self.outputs.push_back(Output::Intent { lane, intent: Intent::Open(Box::new(open)) });
        key
    }

    /// Asks the engine by a lane.
    ///
    /// # Errors
    /// The lane has no room.
    #[inline]
    pub(super) fn ask(
        &mut self,
        now: Now,
        key: usize,
        pending: Pending,
        intent: impl FnOnce(Tag) -> Intent,
    ) -> Result<(), Response> {
        let lane = self.lanes.get_mut(key);
        let asked = lane.and_then(|lane| {
            let tag = lane.ask(now.moment, pending)?;
            Some(lane.pass(intent(tag)))
        });
        match asked {
            Some(Some(intent)) => self.outputs.push_back(Output::Intent { lane: Lane(key as u32), intent }),
            Some(None) => {}
            None => return Err(outcome::busy("too much is in flight; send it again later", None)),
        }
        Ok(())
    }
}
