//! The server's own account of the load: its metrics page, before, during and after.
//!
//! One blocking GET a second on the admin listener, from the thread that draws the live
//! view. Whose page it is follows from its counts: a server that was not asked as often as
//! we asked is another one, and is left out unless it was named.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Serialize;

use crate::args::Url;
use crate::clock::Moment;

/// How long connecting, and each read and write, may take.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A page longer than this is not read on.
const PAGE_LEN_MAX: u64 = 4 * 1024 * 1024;

/// Fewer sessions than this say nothing about what one of them takes.
const SESSIONS_MIN: f64 = 1000.0;

/// What a metrics page says, all cores together. Gauges are sums, but for the lag.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Sample {
    /// When it was read.
    pub at: Moment,
    /// Seconds of the load that were over then.
    load_s: f64,
    requests: f64,
    cpu_s: f64,
    resident_bytes: f64,
    sessions: f64,
    memory_bytes: f64,
    forwards: f64,
    /// The fullest core's.
    inbox_frames: f64,
    /// The latest core's.
    expiry_lag_s: f64,
    expired: f64,
}

/// What the server says of itself, over the load.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ServerSide {
    /// Requests that it answered, ours and others'.
    pub requests: f64,
    /// CPU time of its process a request, in microseconds.
    pub cpu_us_per_request: f64,
    /// CPUs that it kept busy.
    pub cpus_busy: f64,
    /// The most resident memory seen, in bytes.
    pub resident_bytes: f64,
    /// The most sessions seen.
    pub sessions: f64,
    /// What a session takes from its budget, in bytes; none for too few sessions.
    pub memory_bytes_per_session: Option<f64>,
    /// How much resident memory has grown by a session, in bytes; none for too few new sessions,
    /// or where they took memory that was there from earlier.
    pub resident_bytes_per_session: Option<f64>,
    /// Frames sent to other cores, a request.
    pub forwarded_share: f64,
    /// The most frames seen in a core's inbox.
    pub inbox_frames_max: f64,
    /// The most that a core's expiry was seen behind, in seconds.
    pub expiry_lag_s_max: f64,
    /// Sessions that expired.
    pub expired: f64,
    /// The same second by second, from the second one on.
    pub series: Vec<ServerRow>,
}

/// What the server says of a second of the load: of the time since its page was read before.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ServerRow {
    /// Seconds from the start of measuring to when the page was read.
    pub at_s: f64,
    /// Requests that it answered, a second.
    pub requests_per_s: f64,
    /// CPU time of its process a request, in microseconds; 0 where there was none.
    pub cpu_us_per_request: f64,
    /// CPUs that it kept busy.
    pub cpus_busy: f64,
    /// Frames sent to other cores, a request.
    pub forwarded_share: f64,
    /// Resident memory, in bytes.
    pub resident_bytes: f64,
    /// Sessions.
    pub sessions: f64,
    /// Frames in the fullest core's inbox.
    pub inbox_frames: f64,
    /// How far the latest core's expiry was behind, in seconds.
    pub expiry_lag_s: f64,
}

impl Sample {
    /// What the page says; nothing where it is not a Seshun's.
    pub fn parse(page: &str, at: Moment) -> Option<Self> {
        let mut sample = Self { at, ..Self::default() };
        let mut known = 0;
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ')?;
            let Ok(value) = value.parse::<f64>() else { continue };
            let name = series.split('{').next().unwrap_or(series);
            let (place, largest) = match name {
                "seshun_requests_total" => (&mut sample.requests, false),
                "process_cpu_seconds_total" => (&mut sample.cpu_s, false),
                "process_resident_memory_bytes" => (&mut sample.resident_bytes, false),
                "seshun_sessions" => (&mut sample.sessions, false),
                "seshun_memory_bytes" => (&mut sample.memory_bytes, false),
                "seshun_forwards_sent_total" => (&mut sample.forwards, false),
                "seshun_sessions_expired_total" => (&mut sample.expired, false),
                "seshun_inbox_frames" => (&mut sample.inbox_frames, true),
                "seshun_expiry_lag_seconds" => (&mut sample.expiry_lag_s, true),
                _ => continue,
            };
            known += usize::from(name == "seshun_requests_total");
            *place = if largest { place.max(value) } else { *place + value };
        }
        (known > 0).then_some(sample)
    }

    /// What came between an earlier sample and this one.
    fn since(&self, earlier: &Self) -> ServerRow {
        debug_assert!(earlier.at <= self.at, "samples are in the order of time");
        let elapsed_s = self.at.since(earlier.at).as_secs_f64();
        let (requests, cpu_s) = (self.requests - earlier.requests, self.cpu_s - earlier.cpu_s);
        ServerRow {
            at_s: self.load_s,
            requests_per_s: per(requests, elapsed_s),
            cpu_us_per_request: per(cpu_s * 1e6, requests),
            cpus_busy: per(cpu_s, elapsed_s),
            forwarded_share: per(self.forwards - earlier.forwards, requests),
            resident_bytes: self.resident_bytes,
            sessions: self.sessions,
            inbox_frames: self.inbox_frames,
            expiry_lag_s: self.expiry_lag_s,
        }
    }
}

/// The samples of one run.
#[derive(Debug)]
pub struct Probe {
    url: Url,
    remote_addr: SocketAddr,
    /// Whether it was asked for by name.
    named: bool,
    before: Sample,
    /// Those taken while it loaded.
    during: Vec<Sample>,
}

impl Probe {
    /// Reads the page for the first time.
    pub fn start(url: &Url, named: bool, at: Moment) -> io::Result<Self> {
        let none = || io::Error::other("it has no address");
        let remote_addr = url.authority().to_socket_addrs()?.next().ok_or_else(none)?;
        let before = read_sample(url, remote_addr, at)?;
        Ok(Self { url: url.clone(), remote_addr, named, before, during: Vec::new() })
    }

    /// Reads the page again, when so many seconds of the load are over. A page that does not
    /// come is left out.
    pub fn sample(&mut self, at: Moment, load_s: f64) {
        let sample = read_sample(&self.url, self.remote_addr, at);
        self.during.extend(sample.map(|sample| Sample { load_s, ..sample }));
    }

    /// What the samples say, if they are of the server that gave about so many answers.
    pub fn conclude(&self, answers: u64) -> Option<ServerSide> {
        let last = self.during.last()?;
        let seen = last.requests - self.before.requests;
        // It may have had requests that came after the last sample, and some of its own.
        let is_ours = (0.5..=2.0).contains(&(seen / answers.max(1) as f64));
        if !is_ours && !self.named {
            return None;
        }
        // Where there is enough of it, the time in which the population was made is left out.
        let from = if self.during.len() > 2 { &self.during[0] } else { &self.before };
        Some(summary(&self.before, from, &self.during, last))
    }
}

fn summary(before: &Sample, from: &Sample, during: &[Sample], last: &Sample) -> ServerSide {
    debug_assert!(from.at <= last.at, "samples are in the order of time");
    let most = |figure: fn(&Sample) -> f64| during.iter().map(figure).fold(0.0, f64::max);
    let fullest = during.iter().max_by(|a, b| a.sessions.total_cmp(&b.sessions)).unwrap_or(last);
    let made = fullest.sessions - before.sessions;
    let grown = fullest.resident_bytes - before.resident_bytes;
    let (requests, cpu_s) = (last.requests - from.requests, last.cpu_s - from.cpu_s);
    let enough = |count: f64, value: f64| (count >= SESSIONS_MIN).then(|| value / count);
    ServerSide {
        requests,
        cpu_us_per_request: per(cpu_s * 1e6, requests),
        cpus_busy: per(cpu_s, last.at.since(from.at).as_secs_f64()),
        resident_bytes: most(|sample| sample.resident_bytes),
        sessions: fullest.sessions,
        memory_bytes_per_session: enough(fullest.sessions, fullest.memory_bytes),
        resident_bytes_per_session: enough(made, grown).filter(|_| grown > 0.0),
        forwarded_share: per(last.forwards - from.forwards, requests),
        inbox_frames_max: most(|sample| sample.inbox_frames),
        expiry_lag_s_max: most(|sample| sample.expiry_lag_s),
        expired: last.expired - before.expired,
        series: during.array_windows().map(|[from, to]| to.since(from)).collect(),
    }
}

fn per(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn read_sample(url: &Url, remote_addr: SocketAddr, at: Moment) -> io::Result<Sample> {
    let mut stream = TcpStream::connect_timeout(&remote_addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", url.host());
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(PAGE_LEN_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let page = answer.strip_prefix("HTTP/1.1 200 ").and_then(|rest| rest.split_once("\r\n\r\n"));
    let sample = page.and_then(|(_, page)| Sample::parse(page, at));
    sample.ok_or_else(|| io::Error::other("it has no metrics of Seshun's"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP seshun_requests_total Requests.\n# TYPE seshun_requests_total counter\n\
        seshun_requests_total{core=\"0\",operation=\"read\",status=\"200\"} 60\n\
        seshun_requests_total{core=\"1\",operation=\"read\",status=\"200\"} 40\n\
        seshun_forwards_sent_total{core=\"0\"} 30\nseshun_inbox_frames{core=\"0\"} 2\n\
        seshun_inbox_frames{core=\"1\"} 7\nseshun_expiry_lag_seconds{core=\"0\"} 0.250\n\
        seshun_expiry_lag_seconds{core=\"1\"} 0.100\nseshun_sessions{core=\"0\"} 1500\n\
        seshun_sessions{core=\"1\"} 500\nseshun_memory_bytes{core=\"0\"} 2000000\n\
        process_cpu_seconds_total 1.500\nprocess_resident_memory_bytes 9000000\nodd{a=\"b c\"} NaN\n";

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn probe(named: bool, during: Vec<Sample>) -> Probe {
        let (url, remote_addr) = ("http://127.0.0.1:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap());
        Probe { url, remote_addr, named, before: Sample::default(), during }
    }

    #[test]
    fn a_page_is_summed_over_its_cores() {
        let sample = Sample::parse(PAGE, at(1)).unwrap();
        assert_eq!((sample.requests, sample.sessions, sample.forwards), (100.0, 2000.0, 30.0));
        assert_eq!((sample.inbox_frames, sample.expiry_lag_s), (7.0, 0.25), "the worst core's");
        assert_eq!((sample.cpu_s, sample.resident_bytes), (1.5, 9e6));
    }

    #[test]
    fn a_page_of_another_program_is_none() {
        for page in ["", "process_cpu_seconds_total 1.5\n", "<html>\n", "seshun_requests_total\n"] {
            assert_eq!(Sample::parse(page, at(1)), None, "{page:?}");
        }
    }

    #[test]
    fn the_summary_is_a_request_and_a_session() {
        let sample = Sample::parse(PAGE, at(1)).unwrap();
        let found = probe(false, vec![sample]).conclude(100).unwrap();
        assert_eq!((found.requests, found.cpu_us_per_request, found.cpus_busy), (100.0, 15_000.0, 1.5));
        assert_eq!((found.forwarded_share, found.inbox_frames_max), (0.3, 7.0));
        assert_eq!(found.memory_bytes_per_session, Some(1000.0));
        assert_eq!(found.resident_bytes_per_session, Some(4500.0));
    }

    #[test]
    fn the_making_of_the_population_is_left_out_of_longer_runs() {
        let sample =
            |seconds, requests, cpu_s| Sample { at: at(seconds), requests, cpu_s, ..Sample::default() };
        let during = vec![sample(1, 1000.0, 9.0), sample(2, 2000.0, 9.5), sample(3, 3000.0, 10.0)];
        let found = probe(false, during).conclude(3000).unwrap();
        assert_eq!((found.requests, found.cpu_us_per_request, found.cpus_busy), (2000.0, 500.0, 0.5));
        let rows: Vec<_> = found.series.iter().map(|row| (row.requests_per_s, row.cpus_busy)).collect();
        assert_eq!(rows, [(1000.0, 0.5), (1000.0, 0.5)], "a row between two pages");
        assert_eq!(found.memory_bytes_per_session, None);
    }

    #[test]
    fn sessions_in_memory_of_earlier_ones_have_no_growth() {
        let sample = Sample::parse(PAGE, at(1)).unwrap();
        let before = Sample { resident_bytes: 9e6, ..Sample::default() };
        let found = Probe { before, ..probe(false, vec![sample]) }.conclude(100).unwrap();
        assert_eq!(found.resident_bytes_per_session, None);
    }

    #[test]
    fn a_server_that_somebody_else_asked_is_left_out_unless_it_was_named() {
        let during = || vec![Sample::parse(PAGE, at(1)).unwrap()];
        assert!(probe(false, during()).conclude(1000).is_none());
        assert!(probe(true, during()).conclude(1000).is_some());
        assert!(probe(true, Vec::new()).conclude(0).is_none());
    }
}
