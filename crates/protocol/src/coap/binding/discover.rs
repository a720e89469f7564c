//! `/.well-known/core`: the addresses that have a last value which the client may read (RFC 6690 §4).

use super::Binding;
use super::pending::Pending;
use super::reply::Reply;
use super::request::{self, Asked, Key};
use super::value::not_acceptable;
use crate::coap::codec::{Block, Code, option};
use crate::coap::link::LinkQuery;
use crate::coap::{Remote, Request, Response, format};
use bytes::Bytes;
use std::sync::Arc;
use windrose_event::{Address, Event, Filter, Intent, Now};

/// Where listing ends, in bytes: who wants more asks for a part by `href`.
const MOST: usize = 256 * 1024;

/// Last values that are looked at for one question to the engine.
const AT_ONCE: u16 = 256;

/// How many questions one request may cost.
const MOST_QUESTIONS: u8 = 64;

/// A document of links that is being written.
#[derive(Debug)]
pub(super) struct Listing {
    query: LinkQuery,
    filter: Filter,
    links: String,
    questions: u8,
    block2: Option<Block>,
    remote: Remote,
    key: Key,
}

impl Binding {
    /// GET of `/.well-known/core`.
    pub(super) fn discover(
        &mut self,
        now: Now,
        remote: Remote,
        reply: Reply,
        request: &Request<'_>,
        asked: &Asked,
    ) -> Result<(), Response> {
        if asked.accept.is_some_and(|accept| accept != format::LINK_FORMAT) {
            return Err(not_acceptable());
        }
        let key = request::key(request.code, request.options);
        if asked.block2.is_some_and(|block| block.number > 0)
            && let Some(response) = self.bodies.get(remote, &key)
        {
            return self.rest(reply, asked, response);
        }
        let queries = request.options.values(option::URI_QUERY);
        let query = LinkQuery::parse(queries.filter_map(|query| std::str::from_utf8(query).ok()));
        let filter = query.filter().ok_or_else(|| Response::new(Code::INTERNAL_SERVER_ERROR))?;
        let mut links = String::new();
        query.write_directory(&mut links);
        if self.config.enrolment
            && let Remote::Session(_) = remote
        {
            query.write_enrolment(&mut links);
        }
        let listing = Listing { query, filter, links, questions: 0, block2: asked.block2, remote, key };
        let lane = self.lane(now, remote)?;
        self.list(now, lane, reply, Box::new(listing), None)
    }

    fn list(
        &mut self,
        now: Now,
        lane: usize,
        reply: Reply,
        mut listing: Box<Listing>,
        after: Option<Address>,
    ) -> Result<(), Response> {
        listing.questions += 1;
        let filter = listing.filter.clone();
        self.ask(now, lane, Pending::List { reply, listing }, |tag| Intent::List {
            tag,
            filter,
            after,
            limit: AT_ONCE,
        })
    }

    /// Some last values were listed.
    pub(super) fn listed(
        &mut self,
        now: Now,
        lane: usize,
        reply: Reply,
        mut listing: Box<Listing>,
        events: &[Arc<Event>],
        after: Option<Address>,
    ) -> Result<(), Response> {
        for event in events {
            let before = listing.links.len();
            listing.query.write(event, &mut listing.links);
            if listing.links.len() > MOST {
                listing.links.truncate(before);
                return self.tell_links(now, reply, *listing);
            }
        }
        if after.is_some() && listing.questions < MOST_QUESTIONS {
            return self.list(now, lane, reply, listing, after);
        }
        self.tell_links(now, reply, *listing)
    }

    fn tell_links(&mut self, now: Now, reply: Reply, listing: Listing) -> Result<(), Response> {
        let Listing { links, block2, remote, key, .. } = listing;
        let mut response = Response::new(Code::CONTENT);
        response.options.insert_uint(option::CONTENT_FORMAT, format::LINK_FORMAT.into());
        response.options.insert(option::ETAG, &fingerprint(links.as_bytes()));
        response.payload = Bytes::from(links);
        self.give(now, remote, &key, reply, block2, response);
        Ok(())
    }
}

/// What tells two documents apart: FNV-1a, which need not stand against anybody, for a client's cache is its own.
fn fingerprint(bytes: &[u8]) -> [u8; 8] {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.to_be_bytes()
}
