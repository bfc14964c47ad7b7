//! A glance at the requests behind the current one, before their turn.
//!
//! A pipelining client sends one request like the other, so the next ones are looked for where
//! they lie if they are as long as this one. What is found is a guess: it may hint at what will
//! be needed, and everything is still parsed and judged when its turn comes.

use super::{BodyLength, Connection, State};

impl Connection {
    /// The paths that requests behind the current one seem to have, while its head waits to be
    /// judged. Each was sent whole, by the same method, at the same length.
    pub fn paths_ahead(&self) -> impl Iterator<Item = &[u8]> {
        let (unread, path) = (self.input.unread(), self.parsed.path());
        let request_len = match (&self.state, self.parsed.framing().body_length) {
            (State::Judging { head_len }, BodyLength::None) => *head_len,
            (State::Judging { head_len }, BodyLength::Known(bytes)) => {
                head_len.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX))
            }
            _ => usize::MAX,
        };
        let start = unread.get(..path.start).unwrap_or_default();
        let requests = unread.chunks_exact(request_len.max(1)).skip(1);
        requests
            .take_while(move |next| next.starts_with(start))
            .filter_map(move |next| next.get(path.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Limits};
    use super::*;

    fn paths(requests: &str) -> Vec<String> {
        let mut connection = Connection::new(Limits::default());
        connection.receive(requests.as_bytes());
        assert_eq!(connection.poll(), Event::Head);
        connection.paths_ahead().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    #[test]
    fn requests_like_the_first_are_seen_and_only_where_they_are_whole() {
        let get = |path: &str| format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let post = |path: &str| format!("POST /{path} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(paths(&[get("a"), get("b"), get("c")].concat()), ["/b", "/c"]);
        assert_eq!(paths(&[post("a"), post("b")].concat()), ["/b"]);
        assert_eq!(paths(&get("a")), [""; 0]);
        assert_eq!(paths(&[get("a"), post("b"), get("c")].concat()), [""; 0]);
        let cut_short = [get("a"), get("b"), get("c")].concat();
        assert_eq!(paths(&cut_short[..cut_short.len() - 1]), ["/b"]);
    }

    #[test]
    fn what_no_length_tells_is_not_looked_at() {
        let chunked = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(paths(&chunked.repeat(3)), [""; 0]);
        let vast = format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", u64::MAX);
        assert_eq!(paths(&vast.repeat(3)), [""; 0]);
    }
}
