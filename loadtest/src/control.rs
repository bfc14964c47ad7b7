//! The requests around the load: the server's settings, and the bucket that the load uses.
//!
//! A few blocking exchanges, each over a connection of its own, before and after the run.
//! The bucket's name is drawn anew each time, and its key is removed in the end, so that
//! nobody's bucket is touched. Every failure says what to do about it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Deserialize;

use crate::args::Url;
use crate::rng::Rng;
use crate::wire::{Answer, Head};

/// How long connecting, and each read and write, may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a run could not take place.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address could not be looked up.
    #[error("cannot look up {url}: {source}; name the server with --url")]
    Resolve {
        /// The server.
        url: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No exchange with the server was possible.
    #[error(
        "cannot talk to {url}: {source}; start the server first (cargo run --release) or name another with --url"
    )]
    Connect {
        /// The server.
        url: String,
        /// What the socket said.
        source: io::Error,
    },
    /// What answers there is no Seshun.
    #[error("{url} does not answer as Seshun does: {reason}; is another program listening there?")]
    Foreign {
        /// The server.
        url: String,
        /// What was odd.
        reason: String,
    },
    /// The master key does not open `/api-key/`.
    #[error("{url} refuses the master key (401); give one of its auth.master_keys with --master-key")]
    MasterKey {
        /// The server.
        url: String,
    },
    /// The blobs are larger than the server takes.
    #[error("the server takes at most {max_payload} bytes of data; ask for no more with --size")]
    Size {
        /// The server's limit in bytes.
        max_payload: u64,
    },
    /// The server's own TTL limit is below the short-lived sessions'.
    #[error("the server's TTL of {ttl_s} s cannot be tested; set session.ttl to 2s or more")]
    Ttl {
        /// The server's TTL in seconds.
        ttl_s: u64,
    },
    /// A generator thread could not start.
    #[error("generator thread {thread}: {what}: {source}")]
    Thread {
        /// Its index.
        thread: usize,
        /// What it was about to do.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What the load has to know of the server's configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub struct Settings {
    /// Seconds that a session without a TTL of its own lives.
    pub session_ttl: u64,
    /// Most bytes of a session's data.
    pub max_payload: u64,
}

/// A bucket made for one run.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its name, drawn anew for each run.
    pub name: String,
    /// Its key.
    pub key: String,
}

/// A whole answer of a control request.
struct Reply {
    status: u16,
    body: Vec<u8>,
}

/// Exchanges with one server.
#[derive(Clone, Debug)]
pub struct Control {
    url: Url,
    remote_addr: SocketAddr,
    master_key: String,
}

impl Control {
    /// Looks the server's address up.
    pub fn new(url: &Url, master_key: &str) -> Result<Self, RunError> {
        let failed = |source| RunError::Resolve { url: url.to_string(), source };
        let none = || failed(io::Error::other("it has no address"));
        let remote_addr = url.authority().to_socket_addrs().map_err(failed)?.next().ok_or_else(none)?;
        Ok(Self { url: url.clone(), remote_addr, master_key: master_key.to_owned() })
    }

    /// The server's address.
    pub fn remote_addr(&self) -> SocketAddr {
        self.remote_addr
    }

    /// Makes a bucket whose name nobody else has.
    pub fn make_bucket(&self, rng: &mut Rng) -> Result<Bucket, RunError> {
        let name = format!("loadtest-{:016x}", rng.bits());
        let reply = self.call("PUT", &format!("/api-key/{name}"), &self.master_key)?;
        let key = String::from_utf8(reply.body).unwrap_or_default();
        let visible = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        match reply.status {
            201 if visible => Ok(Bucket { name, key }),
            201 => Err(self.foreign("the bucket's key has characters that no header takes")),
            401 => Err(RunError::MasterKey { url: self.url.to_string() }),
            status => Err(self.foreign(&format!("{status} for PUT /api-key/{name}"))),
        }
    }

    /// Asks for the settings with the bucket's key.
    pub fn settings(&self, bucket: &Bucket) -> Result<Settings, RunError> {
        let reply = self.call("GET", "/session/settings", &bucket.key)?;
        if reply.status != 200 {
            return Err(self.foreign(&format!("{} for GET /session/settings", reply.status)));
        }
        serde_json::from_slice(&reply.body)
            .map_err(|error| self.foreign(&format!("the settings cannot be read: {error}")))
    }

    /// Removes the bucket's key; true if the server says so and then refuses the key.
    pub fn remove_bucket(&self, bucket: &Bucket) -> Result<bool, RunError> {
        let removed = self.call("DELETE", &format!("/api-key/{}", bucket.name), &self.master_key)?;
        let after = self.call("GET", "/session/settings", &bucket.key)?;
        Ok(removed.status == 200 && after.status == 401)
    }

    fn call(&self, method: &str, target: &str, key: &str) -> Result<Reply, RunError> {
        let failed = |source| RunError::Connect { url: self.url.to_string(), source };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nX-SESSION-KEY: {key}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            self.url.host(),
        );
        let mut stream = TcpStream::connect_timeout(&self.remote_addr, TIMEOUT).map_err(failed)?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
        stream.write_all(request.as_bytes()).map_err(failed)?;
        self.read_reply(&mut stream)
    }

    fn read_reply(&self, stream: &mut TcpStream) -> Result<Reply, RunError> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = match stream.read(&mut chunk) {
                Ok(0) => return Err(self.foreign("it closed the connection within an answer")),
                Ok(count) => count,
                Err(source) => return Err(RunError::Connect { url: self.url.to_string(), source }),
            };
            bytes.extend_from_slice(&chunk[..count]);
            let head = Head::parse(&bytes).map_err(|malformed| self.foreign(malformed.0))?;
            if let Some(head) = head.filter(|head| bytes.len() >= head.answer_len()) {
                let answer = Answer::new(&head, &bytes[..head.answer_len()]);
                return Ok(Reply { status: head.status, body: answer.body().to_vec() });
            }
        }
    }

    fn foreign(&self, reason: &str) -> RunError {
        RunError::Foreign { url: self.url.to_string(), reason: reason.to_owned() }
    }
}
