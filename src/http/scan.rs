//! Finds the end of a request's head as its bytes arrive.
//!
//! Only heads that do not come whole and sound at once get here. The scanner goes on where it
//! stopped, so that a head which trickles in costs its length and not the square of it. On the way it judges what needs no more than the lines
//! themselves: line ends, folding, the version, and every limit as soon as it is passed.
//! What it finds does not depend on how the bytes were split.

use memchr::{memchr, memchr2};

use super::{Limits, Refused, is_token_byte};

/// Where in the head the scanner is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Method,
    Target,
    Version,
    Fields,
}

/// The state between two scans of the same head.
#[derive(Debug)]
pub(super) struct HeadScanner {
    stage: Stage,
    /// The first byte that no scan has seen. `line_start <= position`
    position: usize,
    /// The first byte of the target, the version or the field line that `position` is in.
    line_start: usize,
    /// Field lines seen whole, at most `fields_max`.
    field_count: usize,
}

impl HeadScanner {
    /// A scanner before a head's first byte.
    pub(super) fn new() -> Self {
        Self { stage: Stage::Method, position: 0, line_start: 0, field_count: 0 }
    }

    /// Whether no byte of a head was seen.
    pub(super) fn is_at_start(&self) -> bool {
        self.position == 0
    }

    /// Looks at the bytes that are new since the last call. `bytes` starts with the head and
    /// may go on behind it. Returns the head's length with its blank line, or `None` for
    /// "more bytes, please".
    ///
    /// A minor version above 1 is written over with 1, because that is what it stands for
    /// here (RFC 9110, section 2.5) and all that the parser behind takes.
    pub(super) fn scan(&mut self, bytes: &mut [u8], limits: &Limits) -> Result<Option<usize>, Refused> {
        // Nothing past the limit is looked at: so the same head is refused for the same
        // reason whether it came at once or byte by byte.
        let is_over = bytes.len() > limits.head_bytes_max;
        let window_len = bytes.len().min(limits.head_bytes_max);
        let window = &mut bytes[..window_len];
        debug_assert!(self.line_start <= self.position && self.position <= window.len());
        // The stages follow one another in one call where the bytes are there.
        if self.stage == Stage::Method && !self.scan_method(window)? {
            return overrun_or_starved(is_over);
        }
        if self.stage == Stage::Target && !self.scan_target(window, limits.target_bytes_max)? {
            return overrun_or_starved(is_over);
        }
        if self.stage == Stage::Version && !self.scan_version(window)? {
            return overrun_or_starved(is_over);
        }
        match self.scan_fields(window, limits.fields_max)? {
            Some(head_len) => Ok(Some(head_len)),
            None => overrun_or_starved(is_over),
        }
    }

    /// Methods are short, so they are judged byte by byte: a TLS handshake that lost its
    /// way is refused at its first byte, not at a timeout.
    fn scan_method(&mut self, bytes: &[u8]) -> Result<bool, Refused> {
        while let Some(&byte) = bytes.get(self.position) {
            match byte {
                b' ' if self.position > 0 => {
                    self.position += 1;
                    self.line_start = self.position;
                    self.stage = Stage::Target;
                    return Ok(true);
                }
                b'\n' => return Err(Refused::BareLineFeed),
                byte if is_token_byte(byte) => self.position += 1,
                _ => return Err(Refused::MalformedRequestLine),
            }
        }
        Ok(false)
    }

    fn scan_target(&mut self, bytes: &[u8], target_bytes_max: usize) -> Result<bool, Refused> {
        let found = memchr2(b' ', b'\n', &bytes[self.position..]).map(|at| self.position + at);
        let target_len = found.unwrap_or(bytes.len()) - self.line_start;
        // Before the line end is judged, because a split before it would have shown this first.
        if target_len > target_bytes_max {
            return Err(Refused::TargetTooLong);
        }
        let Some(end) = found else {
            self.position = bytes.len();
            return Ok(false);
        };
        if bytes[end] == b'\n' {
            let is_bare = bytes[end - 1] != b'\r';
            return Err(if is_bare { Refused::BareLineFeed } else { Refused::MalformedRequestLine });
        }
        if target_len == 0 {
            return Err(Refused::MalformedRequestLine);
        }
        self.position = end + 1;
        self.line_start = self.position;
        self.stage = Stage::Version;
        Ok(true)
    }

    fn scan_version(&mut self, bytes: &mut [u8]) -> Result<bool, Refused> {
        let Some(line_end) = self.next_line_end(bytes)? else { return Ok(false) };
        judge_version(&mut bytes[self.line_start..line_end])?;
        self.line_start = self.position;
        self.stage = Stage::Fields;
        Ok(true)
    }

    fn scan_fields(&mut self, bytes: &[u8], fields_max: usize) -> Result<Option<usize>, Refused> {
        while let Some(line_end) = self.next_line_end(bytes)? {
            if line_end == self.line_start {
                return Ok(Some(self.position));
            }
            if matches!(bytes[self.line_start], b' ' | b'\t') {
                return Err(Refused::FoldedField);
            }
            // Counted here and not by the parser, which would wait for the head's end.
            if self.field_count == fields_max {
                return Err(Refused::TooManyFields);
            }
            self.field_count += 1;
            self.line_start = self.position;
        }
        Ok(None)
    }

    /// Moves behind the next line end and returns where its CR is, which is at `line_start`
    /// or behind it; moves to the end of `bytes` where there is none.
    fn next_line_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refused> {
        let Some(at) = memchr(b'\n', &bytes[self.position..]) else {
            self.position = bytes.len();
            return Ok(None);
        };
        let line_feed = self.position + at;
        self.position = line_feed + 1;
        if line_feed == self.line_start || bytes[line_feed - 1] != b'\r' {
            return Err(Refused::BareLineFeed);
        }
        Ok(Some(line_feed - 1))
    }
}

/// "More bytes, please", unless the limit leaves no room for more.
fn overrun_or_starved(is_over: bool) -> Result<Option<usize>, Refused> {
    if is_over { Err(Refused::HeadTooLong) } else { Ok(None) }
}

/// `HTTP/` digit `.` digit (RFC 9112, section 2.3), the minor digit brought down to 1.
fn judge_version(text: &mut [u8]) -> Result<(), Refused> {
    match text {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1'] => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9'] => {
            *minor = b'1';
            Ok(())
        }
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refused::VersionNotSupported),
        text if text.contains(&b'\r') => Err(Refused::BareCarriageReturn),
        _ => Err(Refused::MalformedRequestLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /session/b HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r\n";

    #[test]
    fn no_byte_is_looked_at_twice() {
        let mut bytes = HEAD.to_vec();
        let mut scanner = HeadScanner::new();
        for len in 1..HEAD.len() {
            assert_eq!(scanner.scan(&mut bytes[..len], &Limits::default()), Ok(None), "{len}");
            // Spoiling what was seen changes nothing, save a byte that may be a line end's CR,
            // the version, and a line's first byte, which tells a fold.
            let is_early = matches!(scanner.stage, Stage::Method | Stage::Target);
            let seen_for_good = if is_early { len - 1 } else { scanner.line_start };
            bytes[..seen_for_good].fill(b'\n');
        }
        assert_eq!(scanner.scan(&mut bytes, &Limits::default()), Ok(Some(HEAD.len())));
    }

    #[test]
    fn a_head_ends_at_its_blank_line_whatever_follows() {
        let mut bytes = [HEAD, b"body\n\n\r\n\r\n"].concat();
        assert_eq!(HeadScanner::new().scan(&mut bytes, &Limits::default()), Ok(Some(HEAD.len())));
    }

    #[test]
    fn a_higher_minor_version_is_written_over() {
        for minor in b'1'..=b'9' {
            let mut head = format!("GET / HTTP/1.{}\r\n\r\n", char::from(minor)).into_bytes();
            assert_eq!(HeadScanner::new().scan(&mut head, &Limits::default()), Ok(Some(18)));
            assert_eq!(head, b"GET / HTTP/1.1\r\n\r\n");
        }
    }
}
