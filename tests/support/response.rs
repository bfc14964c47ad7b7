//! An answer, read as strictly as HTTP allows.
//!
//! It takes nothing on trust: the shape of each line, one field of a name, a Content-Length
//! where a body may come and none where it may not, a Date that is one, and the caching
//! rule that every answer carries. Whatever is wrong fails the test that reads it.

use std::time::UNIX_EPOCH;

use serde_json::Value;

/// One answer of the server, or an interim one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    /// In the order in which they came.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The answer to a `method` that `bytes` begin with, and its length; none where more must come.
    #[track_caller]
    pub fn parse(bytes: &[u8], method: &str) -> Option<(Self, usize)> {
        let head_len = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = str::from_utf8(&bytes[..head_len - 4]).expect("an answer's head is text");
        let mut lines = head.split("\r\n");
        let (status, reason) = parse_status_line(lines.next().expect("a first line"));
        let fields = lines.map(parse_field).collect();
        let mut response = Self { status, reason, fields, body: Vec::new() };
        response.check_fields();
        let body_len = response.body_len(method);
        let body = bytes.get(head_len..head_len + body_len)?;
        response.body.extend_from_slice(body);
        Some((response, head_len + body_len))
    }

    /// The value of this field, in any case of its name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The value of this field, which must be there.
    #[track_caller]
    pub fn must(&self, name: &str) -> &str {
        self.field(name).unwrap_or_else(|| panic!("no {name} in {self}"))
    }

    /// This very answer, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body that is text")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("no JSON ({why}): {self}"))
    }

    /// The entity tag: strong, a number in quotes.
    #[track_caller]
    pub fn etag(&self) -> &str {
        let etag = self.must("ETag");
        let number = etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let is_number =
            number.is_some_and(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
        assert!(is_number, "ETag {etag}");
        etag
    }

    /// The seconds that the session has left, rounded up.
    #[track_caller]
    pub fn seconds_left(&self) -> u64 {
        let seconds = self.must("X-Session-TTL").parse().expect("X-Session-TTL is a whole number");
        assert!(seconds >= 1, "a session that is there has time left: {self}");
        seconds
    }

    /// When the session expires, in milliseconds since 1970.
    #[track_caller]
    pub fn expires_unix_millis(&self) -> i64 {
        let text = self.must("X-Session-Expires");
        unix_millis(text).unwrap_or_else(|| panic!("X-Session-Expires {text} is not RFC 3339"))
    }

    /// When it was written, in seconds since 1970.
    #[track_caller]
    pub fn date_unix_secs(&self) -> i64 {
        let date = httpdate::parse_http_date(self.must("Date")).expect("a Date that is one");
        date.duration_since(UNIX_EPOCH).expect("a Date after 1970").as_secs() as i64
    }

    /// Whether it says that the connection ends with it.
    pub fn closes(&self) -> bool {
        self.field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The methods of `Allow`, sorted.
    #[track_caller]
    pub fn allow(&self) -> Vec<&str> {
        let mut methods: Vec<_> =
            self.must("Allow").split(',').map(str::trim).filter(|m| !m.is_empty()).collect();
        methods.sort_unstable();
        methods
    }

    /// What two answers to the same request have in common: all but time, version and connection.
    pub fn lasting(&self) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let passing = ["date", "x-session-ttl", "x-session-expires", "etag", "connection"];
        let lower = self.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        (
            self.status,
            lower.filter(|(name, _)| !passing.contains(&name.as_str())).collect(),
            self.body.clone(),
        )
    }

    fn check_fields(&self) {
        for (at, (name, _)) in self.fields.iter().enumerate() {
            let again = self.fields[at + 1..].iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            assert!(!again, "{name} twice in {self}");
        }
        if self.status < 200 {
            return;
        }
        assert_eq!(self.must("Date"), httpdate::fmt_http_date(self.date()), "a Date is an IMF-fixdate");
        assert_eq!(self.must("Cache-Control"), "no-store, no-transform", "{self}");
        let connection = self.field("Connection").unwrap_or("close");
        assert!(["close", "keep-alive"].contains(&connection), "{self}");
        assert_eq!(self.field("Transfer-Encoding"), None, "{self}");
    }

    fn date(&self) -> std::time::SystemTime {
        httpdate::parse_http_date(self.must("Date")).unwrap_or_else(|why| panic!("{why}: {self}"))
    }

    fn body_len(&self, method: &str) -> usize {
        let declared = self.field("Content-Length").map(|text| {
            assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()), "{self}");
            text.parse().expect("a Content-Length that fits")
        });
        match self.status {
            100..=199 | 204 => {
                assert_eq!(declared, None, "no Content-Length in {self}");
                0
            }
            304 => 0,
            _ if method == "HEAD" => 0,
            _ => declared.unwrap_or_else(|| panic!("no Content-Length in {self}")),
        }
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} {}", self.status, self.reason)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {value}")?;
        }
        let shown = &self.body[..self.body.len().min(500)];
        write!(f, "\n{}", String::from_utf8_lossy(shown))
    }
}

fn parse_status_line(line: &str) -> (u16, String) {
    let parts: Vec<_> = line.splitn(3, ' ').collect();
    let &[version, status, reason] = parts.as_slice() else { panic!("status line {line:?}") };
    assert_eq!(version, "HTTP/1.1", "status line {line:?}");
    assert!(status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()), "status line {line:?}");
    assert!(
        !reason.is_empty() && reason.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "status line {line:?}"
    );
    (status.parse().expect("three digits"), reason.to_owned())
}

fn parse_field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("field line {line:?}"));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(is_token), "field line {line:?}");
    assert!(!value.contains(['\r', '\n', '\0']), "field line {line:?}");
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

/// `2026-01-31T12:00:00.250Z` in milliseconds since 1970; none for anything else.
pub fn unix_millis(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let whole = |text: &str, len| (text.len() == len).then(|| text.parse::<i64>().ok())?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>().try_into().ok()?;
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>().try_into().ok()?;
    let (second, millis) = second.split_once('.').unwrap_or((second, "000"));
    let (year, month, day) = (whole(year, 4)?, whole(month, 2)?, whole(day, 2)?);
    // Days from the civil date: years that begin in March put the leap day last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + whole(hour, 2)? * 3_600 + whole(minute, 2)? * 60 + whole(second, 2)?;
    Some(seconds * 1_000 + whole(millis, 3)?)
}
