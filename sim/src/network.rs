//! The network between clients and node: links are opened, carry bytes, and are cut.

use crate::client::Client;
use crate::link::{Notice, Pipe};
use crate::trace::{ClientId, LinkId, Note};
use crate::world::{Link, Step, World};
use std::io::IoSlice;
use std::time::Duration;
use windrose_event::{CloseCause, Moment};

impl World {
    pub(crate) fn link(&mut self, id: LinkId) -> &mut Link {
        &mut self.links[id.0 as usize]
    }

    /// A client connects to whichever shard the kernel picks.
    pub(crate) fn open(&mut self, client: ClientId) {
        let any = self.rng.below(self.shards.len());
        let shard = self.clients[usize::from(client.0)].profile.shard.unwrap_or(any);
        let id = LinkId(self.links.len() as u32);
        let ordinal = self.connections.entry(client).or_default();
        let number = *ordinal;
        *ordinal += 1;
        let breaks = |up: bool| {
            let here = |known: &&crate::world::Break| known.client == client && known.connection == number;
            self.conditions.breaks.iter().filter(here).find(|known| known.up == up).map(|known| known.after)
        };
        let weather = self.conditions.weather;
        let (up, down) = (Pipe::new(weather, breaks(true)), Pipe::new(weather, breaks(false)));
        self.note(Note::Opened { client, link: id, shard: shard as u16 });
        let connection = self.accept(shard, id);
        let opened = self.now();
        self.links.push(Link {
            client,
            shard,
            connection,
            up,
            down,
            client_here: true,
            node_here: true,
            paused: false,
            closing: false,
            end_waits: false,
            cut: false,
            opened,
            reads_at: opened,
        });
        self.client(client, |client, cx| client.connect(cx, id));
        self.act(shard);
    }

    /// Does what a client wants after it was called: writes, hangs up, sets its timer.
    pub(crate) fn serve(&mut self, id: ClientId) {
        if let Some(link) = self.clients[usize::from(id.0)].link() {
            self.write_up(link);
        }
        if let Some(link) = self.client(id, Client::take_close) {
            let now = self.now();
            let state = self.link(link);
            state.client_here = false;
            // Nobody reads what is on its way: it is lost, and the node's next writes with it.
            state.down.cut(now, 0);
            let last = state.up.last_arrival();
            if !state.cut {
                self.agenda.at(last, Step::UpEnd(link));
            }
            self.flush(link);
        }
        self.rearm(id);
    }

    fn write_up(&mut self, id: LinkId) {
        let now = self.now();
        let link = &mut self.links[id.0 as usize];
        let Some(out) = self.clients[usize::from(link.client.0)].output() else { return };
        let length = out.len().min(link.up.room());
        let arrivals = link.up.write(now, &mut self.rng, &out[..length]);
        out.drain(..length);
        for at in arrivals {
            self.agenda.at(at, Step::Up(id));
        }
    }

    /// The node reads what has arrived.
    pub(crate) fn arrive_up(&mut self, id: LinkId) {
        let now = self.agenda.now();
        let link = self.link(id);
        if !link.node_here || link.paused || link.closing {
            return;
        }
        let (bytes, breaks) = link.up.read(now.moment);
        let (client, shard, connection) = (link.client, link.shard, link.connection);
        if !bytes.is_empty() {
            self.note(Note::Read { client, link: id, bytes: bytes.len() });
            self.shards[shard].pump.bytes(now, connection, &bytes);
            self.act(shard);
            // There is room again for what the client could not write.
            if self.clients[usize::from(client.0)].link() == Some(id) {
                self.serve(client);
            }
        }
        if breaks {
            self.cut(id, Notice { client: Duration::ZERO, node: Some(Duration::ZERO) });
        }
    }

    /// The client reads what has arrived.
    pub(crate) fn arrive_down(&mut self, id: LinkId) {
        let now = self.now();
        let link = &mut self.links[id.0 as usize];
        if !link.client_here {
            return;
        }
        let client = link.client;
        if now < link.reads_at {
            let at = link.reads_at;
            return self.agenda.at(at, Step::Down(id));
        }
        let pause = self.clients[usize::from(client.0)].profile.reads_every;
        link.reads_at = now + Duration::from_micros(pause);
        let (bytes, breaks) = link.down.read(now);
        if !bytes.is_empty() {
            self.client(client, |client, cx| client.bytes(cx, &bytes));
            self.serve(client);
            self.flush(id);
        }
        if breaks {
            self.cut(id, Notice { client: Duration::ZERO, node: Some(Duration::ZERO) });
        }
    }

    /// The node writes as much as the pipe takes, and closes if it was about to and everything is written.
    pub(crate) fn flush(&mut self, id: LinkId) {
        let now = self.agenda.now();
        let Link { shard, connection, node_here, .. } = *self.link(id);
        if !node_here {
            return;
        }
        let mut written_all = true;
        if let Some(transmit) = self.shards[shard].pump.transmit(connection) {
            let link = &mut self.links[id.0 as usize];
            while !transmit.is_empty() && link.down.room() > 0 {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = transmit.io_slices(&mut slices);
                let mut bytes = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
                bytes.truncate(link.down.room());
                for at in link.down.write(now.moment, &mut self.rng, &bytes) {
                    self.agenda.at(at, Step::Down(id));
                }
                transmit.advance(bytes.len());
            }
            written_all = transmit.is_empty();
        }
        self.shards[shard].pump.written(now, connection);
        let link = self.link(id);
        if link.closing && written_all {
            link.node_here = false;
            let last = link.down.last_arrival();
            if !link.cut {
                self.agenda.at(last, Step::DownEnd(id));
            }
            self.shards[shard].forget(now, connection, CloseCause::Ours);
        }
        self.act(shard);
    }

    /// Cuts a connection: of what is on its way some arrives, and each side notices when it does.
    pub(crate) fn cut(&mut self, id: LinkId, notice: Notice) {
        let now = self.now();
        if self.link(id).cut {
            return;
        }
        let survive = [self.rng.pick(&[0, 50, 100]), self.rng.pick(&[0, 50, 100])];
        let link = self.link(id);
        link.cut = true;
        let client = link.client;
        let (up, down) = (link.up.cut(now, survive[0]), link.down.cut(now, survive[1]));
        self.note(Note::Cut { client, link: id });
        self.agenda.at(down.max(now + notice.client), Step::DownEnd(id));
        if let Some(node) = notice.node {
            self.agenda.at(up.max(now + node), Step::UpEnd(id));
        }
        // What waited for room is written now, to nobody.
        self.flush(id);
    }

    /// The node notices that a connection is gone, unless it does not read.
    pub(crate) fn end_up(&mut self, id: LinkId) {
        let now = self.agenda.now();
        self.arrive_up(id);
        let link = self.link(id);
        if !link.node_here {
            return;
        }
        if link.paused && !link.closing {
            link.end_waits = true;
            return;
        }
        link.node_here = false;
        let (client, shard, connection) = (link.client, link.shard, link.connection);
        self.note(Note::Gone { client, link: id, node: true });
        self.shards[shard].forget(now, connection, CloseCause::Lost);
        self.act(shard);
    }

    /// The client notices.
    pub(crate) fn end_down(&mut self, id: LinkId) {
        self.link(id).reads_at = Moment::from_micros(0);
        self.arrive_down(id);
        let link = self.link(id);
        if !link.client_here {
            return;
        }
        link.client_here = false;
        let (client, cut) = (link.client, link.cut);
        let last = link.up.last_arrival();
        self.note(Note::Gone { client, link: id, node: false });
        if self.clients[usize::from(client.0)].link() == Some(id) {
            self.client(client, |client, cx| client.gone(cx));
        }
        if !cut {
            self.agenda.at(last, Step::UpEnd(id));
        }
        self.serve(client);
    }

    /// The node stops or resumes reading.
    pub(crate) fn brake(&mut self, id: LinkId, paused: bool) {
        let link = self.link(id);
        link.paused = paused;
        let (client, ended) = (link.client, !paused && std::mem::take(&mut link.end_waits));
        self.note(Note::Braked { client, link: id, paused });
        if !paused {
            let now = self.now();
            self.agenda.at(now, Step::Up(id));
            if ended {
                self.agenda.at(now, Step::UpEnd(id));
            }
        }
    }

    /// Bytes that each client's first connection carried, to the node and from it.
    pub fn first_bytes(&self) -> Vec<(usize, usize)> {
        let first = |index| self.links.iter().find(|link| usize::from(link.client.0) == index);
        (0..self.clients.len())
            .map(|index| first(index).map_or((0, 0), |link| (link.up.carried(), link.down.carried())))
            .collect()
    }
}
