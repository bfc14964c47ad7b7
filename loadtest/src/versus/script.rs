//! What the raw loop answers by rote: for each kind of request its length and one answer.
//!
//! Where Seshun takes part, the answers are its own, recorded once before the rounds, so that
//! the loop receives and sends exactly as many bytes; otherwise they are modelled on the
//! contract. The loop tells requests apart by two bytes and knows when one is whole by its
//! length: it is the floor under any server, which would have to look closer. A bot's session is
//! made by the same request as any other here, without a TTL of its own.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::versus::dialect::{Action, Dialect, Http};
use crate::wire::IdText;

/// How long connecting, and each read and write, may take while answers are recorded.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The id that modelled answers name.
const MODEL_ID: &[u8] = b"00000000-0000-4000-8000-000000000000";

/// What there are lines for, in the order of the discriminants.
const ACTIONS: [Action; 4] = [Action::Create, Action::Read, Action::Update, Action::Delete];

/// Bytes that tell requests apart.
pub const OPENING_LEN: usize = 2;

/// One kind of request and its answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What the request begins with; unique in a script.
    pub opening: [u8; OPENING_LEN],
    /// Bytes of the whole request. At least those of the opening.
    pub request_len: usize,
    /// What is sent back.
    pub answer: Vec<u8>,
}

/// One line a kind of request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Script {
    lines: Vec<Line>,
}

impl Script {
    /// The script whose answers `answer_to` gives, which is asked once an action, with the request.
    pub fn new<E>(
        http: &Http,
        mut answer_to: impl FnMut(Action, &[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let id = model_id();
        let mut lines = Vec::with_capacity(ACTIONS.len());
        for action in ACTIONS {
            let mut request = Vec::new();
            http.write(action, &id, &mut request);
            let opening = [request[0], request[1]];
            lines.push(Line { opening, request_len: request.len(), answer: answer_to(action, &request)? });
        }
        debug_assert!(lines.iter().all(|line| line.request_len >= OPENING_LEN), "a request has an opening");
        Ok(Self { lines })
    }

    /// The script of answers in the contract's form, for where no Seshun is there to be asked.
    pub fn modelled(http: &Http) -> Self {
        match Self::new(http, |action, _| Ok::<_, Infallible>(model_answer(action, http))) {
            Ok(script) => script,
        }
    }

    /// The script of the answers that the Seshun at this address gives.
    pub fn recorded(remote_addr: SocketAddr, http: &Http) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&remote_addr, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut id = model_id();
        Self::new(http, |action, _| {
            let mut request = Vec::new();
            http.write(action, &id, &mut request);
            stream.write_all(&request)?;
            let (answer, made) = read_answer(&mut stream, http, action)?;
            id = made.unwrap_or(id);
            Ok(answer)
        })
    }

    /// The same answers for the requests of another address.
    pub fn for_requests_of(&self, http: &Http) -> Self {
        let answer = |action: Action| self.lines[action as usize].answer.clone();
        match Self::new(http, |action, _| Ok::<_, Infallible>(answer(action))) {
            Ok(script) => script,
        }
    }

    /// The line of the requests with this opening, by its index.
    pub fn index_of(&self, opening: [u8; OPENING_LEN]) -> Option<usize> {
        self.lines.iter().position(|line| line.opening == opening)
    }

    /// The line with this index.
    pub fn line(&self, index: usize) -> &Line {
        &self.lines[index]
    }
}

fn model_id() -> IdText {
    IdText::parse(MODEL_ID).expect("the model's id is a canonical UUID of version 4")
}

fn read_answer(stream: &mut TcpStream, http: &Http, action: Action) -> io::Result<(Vec<u8>, Option<IdText>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(reply) = http.read(action, &bytes).map_err(io::Error::other)? {
            bytes.truncate(reply.len);
            return Ok((bytes, reply.id));
        }
    }
}

/// An answer with all that the contract promises.
fn model_answer(action: Action, http: &Http) -> Vec<u8> {
    let (status, extra, body) = match action {
        Action::Create | Action::Bot => {
            ("201 Created", "Location: /session/b/id\r\nContent-Type: text/plain\r\n", MODEL_ID)
        }
        Action::Read => ("200 OK", "Content-Type: application/json\r\n", http.data().as_bytes()),
        Action::Update | Action::Delete => ("200 OK", "", &b""[..]),
    };
    let session = match action {
        Action::Delete => "",
        _ => "ETag: \"1\"\r\nX-Session-TTL: 2592000\r\nX-Session-Expires: 2026-01-31T12:00:00Z\r\n",
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\n{extra}{session}Date: Sat, 31 Jan 2026 12:00:00 GMT\r\n\
         X-Content-Type-Options: nosniff\r\nCache-Control: no-store, no-transform\r\nContent-Length: {}\r\n\r\n",
        body.len(),
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

#[cfg(test)]
mod tests;
