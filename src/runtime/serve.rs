//! One connection: bytes from its socket to its conversation, and back.
//!
//! A task a connection, on the core that holds it. It reads when the conversation wants
//! bytes, writes when there is something to write, and waits for another core when a
//! request went there; it decides nothing itself. It is never dropped while a frame of its
//! is away, and never cancels a read.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;

use super::connections::{Awaiting, Watch};
use super::core::Core;
use super::fd::StreamHandle;
use super::share::Share;
use crate::api::Caller;
use crate::mesh::{Conversation, Next, Parcel, Reply};
use crate::types::{ByteCount, ShardId};

/// What a client may still send after its last answer before the connection is cut, in bytes.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// What is read of it at once, in bytes.
const LINGER_READ_BYTES: usize = 16 * 1024;

/// How often a conversation goes on in one turn: each time a read, or a write of some answers.
const ROUNDS_PER_TURN_MAX: u32 = 8;

/// Whether the connection was let in, or is only told that there are too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// A place was reserved for it.
    Admitted,
    /// There was none.
    TurnedAway,
}

/// The socket is of no more use: the client is gone, which is nothing to report.
#[derive(Debug)]
struct Gone;

/// One connection's task.
struct Connection {
    core: Rc<Core>,
    watch: Rc<Watch>,
    reader: OwnedReadHalf<TcpStream>,
    writer: OwnedWriteHalf<TcpStream>,
    conversation: Conversation,
}

/// Serves a connection until it ends.
pub async fn serve(core: Rc<Core>, stream: TcpStream, caller: Caller, admission: Admission) {
    let (reader, writer) = stream.into_split();
    let (conversation, now) = core.with_node(|node| {
        node.metrics().connection_opened();
        let mut conversation = Conversation::new(node, core.shared.http_limits, caller);
        if admission == Admission::TurnedAway {
            conversation.turn_away(node);
        }
        (conversation, node.now().moment)
    });
    let watch = core.connections.borrow_mut().enter(StreamHandle::of(&reader), now);
    let mut connection = Connection { core, watch, reader, writer, conversation };
    log::debug!("a connection is open, {admission:?}");
    let ended = connection.run().await;
    log::debug!("a connection is over: {ended:?}");
    let Connection { core, watch, .. } = &connection;
    core.connections.borrow_mut().leave(watch);
    core.with_node(|node| {
        node.metrics().connection_closed();
        match admission {
            Admission::Admitted => core.shared.counts.release(node.here()),
            Admission::TurnedAway => core.forget_turned_away(),
        }
    });
}

impl Connection {
    async fn run(&mut self) -> Result<(), Gone> {
        let mut share = Share::new(ROUNDS_PER_TURN_MAX);
        loop {
            share.take(&self.core).await;
            match self.core.advance(&mut self.conversation) {
                Next::Read => self.read().await?,
                Next::Write => self.write().await?,
                Next::Ask(owner, parcel) => self.ask(owner, parcel).await,
                Next::Close { linger } => {
                    self.write().await?;
                    if linger {
                        self.linger().await?;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Reads what there is behind what is there already.
    async fn read(&mut self) -> Result<(), Gone> {
        let phase = self.conversation.phase();
        self.wait_for(Awaiting::Bytes(phase, self.conversation.requests()));
        let input = self.conversation.input().take_input();
        let filled = input.len();
        let (read, input) = self.reader.read(input.slice_mut(filled..)).await;
        self.conversation.input().restore_input(input.into_inner());
        let count = read.map_err(|_| Gone)?;
        if count > 0 {
            self.core.with_node(|node| node.metrics().bytes_received(ByteCount::of_len(count)));
        } else if self.watch.is_over() {
            let _told = self.core.tell(&mut self.conversation, |it, node| it.time_out(node));
        } else {
            self.conversation.input().end_input();
        }
        Ok(())
    }

    /// Waits until the journal has all that the output tells of. Where it never will, the client
    /// learns nothing: whatever it was told might be untrue after a restart.
    async fn keep(&mut self) -> Result<(), Gone> {
        if self.conversation.waits().is_empty() {
            return Ok(());
        }
        self.wait_for(Awaiting::Answer);
        let (core, waits) = (&self.core, self.conversation.waits());
        poll_fn(|cx| core.poll_kept(waits, cx.waker())).await.map_err(|_never_kept| Gone)
    }

    /// Writes all that there is to write, once it may be told.
    async fn write(&mut self) -> Result<(), Gone> {
        self.keep().await?;
        let mut output = std::mem::take(self.conversation.output());
        let mut written = 0;
        self.wait_for(Awaiting::Room);
        while written < output.len() {
            let (count, rest) = self.writer.write(output.slice(written..)).await;
            output = rest.into_inner();
            written += count.ok().filter(|count| *count > 0).ok_or(Gone)?;
            let now = self.core.with_node(|node| node.now().moment);
            self.watch.make_progress(now);
        }
        self.core.with_node(|node| node.metrics().bytes_sent(ByteCount::of_len(written)));
        output.clear();
        *self.conversation.output() = output;
        Ok(())
    }

    /// Asks another core and waits for its answer, however that turns out.
    async fn ask(&mut self, owner: ShardId, parcel: Parcel) {
        self.wait_for(Awaiting::Answer);
        let ticket = match self.core.ask(owner, parcel) {
            Ok(ticket) => ticket,
            Err(parcel) => {
                let _told = self.core.tell(&mut self.conversation, |it, node| it.take_refusal(node, parcel));
                return;
            }
        };
        let reply = poll_fn(|cx| match self.core.poll_reply(ticket, cx.waker()) {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        })
        .await;
        let _told = self.core.tell(&mut self.conversation, |it, node| match reply {
            Reply::Answered(parcel) => it.take_answer(node, parcel),
            Reply::TimedOut => it.give_up(node),
        });
    }

    /// Lets the client read its last answer before the socket is closed: closing on unread
    /// bytes would reset the connection and take the answer with it (RFC 9112, section 9.6).
    async fn linger(&mut self) -> Result<(), Gone> {
        self.watch.shut_write();
        self.wait_for(Awaiting::Farewell);
        let mut buffer = Vec::with_capacity(LINGER_READ_BYTES);
        let mut drained = 0;
        while drained < LINGER_BYTES_MAX {
            let (read, used) = self.reader.read(buffer).await;
            buffer = used;
            match read {
                Ok(count) if count > 0 => drained += count,
                _ => return Err(Gone),
            }
        }
        Ok(())
    }

    fn wait_for(&self, awaiting: Awaiting) {
        let now = self.core.with_node(|node| node.now().moment);
        self.watch.wait_for(awaiting, now);
    }
}
