//! How often a warm connection allocates: a read never, a write only for the data it stores.
//!
//! Counted over the whole path from bytes in to bytes out, on one core and between two. A
//! request that allocates costs a core more than its parsing does, and fragments a heap
//! that lives for months; so each number here is a promise and not a tolerance. With a journal
//! records lie in memory that comes back once they are synced, and the promises are the same.

use allocation_counter::{AllocationInfo, measure};

#[path = "../benches/path/bed.rs"]
mod bed;
#[path = "../benches/path/kept.rs"]
mod kept;

use bed::{Bed, DATA_BYTES, ID_LEN};
use kept::{kept_bed, settle};
use seshun::journal::{Level, SyncPolicy};

/// Requests before counting: buffers and tables have grown to what they need.
const WARM_UP: usize = 50;
/// Requests that are counted.
const COUNTED: u64 = 100;

/// Rounds of requests with a journal: enough to fill its memory for records more than twice.
const ROUNDS: usize = 8;

/// Sessions that are there where tables grow or shrink: so many in each table of the index that one doubles
/// once in some fifty creations.
const SESSIONS: usize = 20_000;

/// What `COUNTED` of these requests allocate on a warm connection.
fn counted(bed: &mut Bed, request: &[u8]) -> AllocationInfo {
    let (mut link, mut received) = (bed.connect(0), Vec::with_capacity(64 * 1024));
    let mut exchange = || {
        received.clear();
        bed.exchange(&mut link, request, &mut received);
        assert!(received.starts_with(b"HTTP/1.1 "));
    };
    (0..WARM_UP).for_each(|_| exchange());
    measure(|| (0..COUNTED).for_each(|_| exchange()))
}

/// A bed of so many nodes, and the path of a session that the last of them owns.
fn bed_with_session(cores: u16) -> (Bed, String) {
    let mut bed = Bed::new(cores);
    let ids = bed.fill(usize::from(cores) - 1, 10);
    let path = format!("/session/cart/{}", String::from_utf8_lossy(&ids[3]));
    assert_eq!(path.len(), "/session/cart/".len() + ID_LEN);
    (bed, path)
}

/// The request with one more field.
fn with_field(request: &[u8], field: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(request).replacen("\r\n", &format!("\r\n{field}\r\n"), 1);
    text.into_bytes()
}

#[test]
fn a_warm_read_allocates_nothing() {
    for cores in [1, 2] {
        let (mut bed, path) = bed_with_session(cores);
        let get = bed.request("GET", &path, 0);
        let requests = [
            ("GET", get.clone()),
            ("HEAD", bed.request("HEAD", &path, 0)),
            ("peek", with_field(&get, "X-Session-Peek: 1")),
            ("not modified", with_field(&get, "If-None-Match: \"1\"")),
            ("a key in the query, too", bed.request("GET", &format!("{path}?api_key={}", bed.key), 0)),
            ("16 pipelined", get.repeat(16)),
        ];
        for (name, request) in requests {
            let info = counted(&mut bed, &request);
            assert_eq!(info.count_total, 0, "{name} over {cores} cores: {info:?}");
        }
    }
}

#[test]
fn a_warm_update_of_the_same_size_allocates_nothing() {
    for cores in [1, 2] {
        let (mut bed, path) = bed_with_session(cores);
        let post = bed.request("POST", &path, DATA_BYTES);
        for (name, request) in [("POST", post.clone()), ("16 pipelined", post.repeat(16))] {
            let info = counted(&mut bed, &request);
            assert_eq!(info.count_total, 0, "{name} over {cores} cores: {info:?}");
        }
    }
}

#[test]
fn a_warm_update_of_another_size_allocates_its_data_alone() {
    for cores in [1, 2] {
        let (mut bed, path) = bed_with_session(cores);
        let pair = [bed.request("POST", &path, 500), bed.request("POST", &path, 900)].concat();
        let info = counted(&mut bed, &pair);
        assert_eq!(info.count_total, 2 * COUNTED, "over {cores} cores: {info:?}");
        assert_eq!(info.bytes_total, (500 + 900) * COUNTED, "over {cores} cores: {info:?}");
        assert_eq!(info.count_current, 0, "what was replaced is given back");
    }
}

#[test]
fn a_warm_creation_allocates_its_data_and_a_share_of_the_tables() {
    let mut bed = Bed::new(1);
    bed.fill(0, SESSIONS);
    let put = bed.request("PUT", "/session/cart", DATA_BYTES);
    let info = counted(&mut bed, &put);
    // Beside each blob the slab and the index grow, a chunk or a sub-table at a time.
    assert!((COUNTED..COUNTED + COUNTED / 10).contains(&info.count_total), "{info:?}");
}

#[test]
fn a_warm_deletion_allocates_nothing_unless_a_table_shrinks() {
    for cores in [1, 2] {
        let mut bed = Bed::new(cores);
        let ids = bed.fill(usize::from(cores) - 1, SESSIONS);
        let path = |id: &[u8; ID_LEN]| format!("/session/cart/{}", String::from_utf8_lossy(id));
        let requests: Vec<Vec<u8>> = ids
            .iter()
            .take(WARM_UP + COUNTED as usize)
            .map(|id| bed.request("DELETE", &path(id), 0))
            .collect();
        let (mut link, mut received) = (bed.connect(0), Vec::with_capacity(64 * 1024));
        let mut delete = |request: &Vec<u8>| {
            received.clear();
            bed.exchange(&mut link, request, &mut received);
            assert!(received.starts_with(b"HTTP/1.1 200"));
        };
        requests[..WARM_UP].iter().for_each(&mut delete);
        let info = measure(|| requests[WARM_UP..].iter().for_each(&mut delete));
        assert!(info.count_total < COUNTED / 10, "over {cores} cores: {info:?}");
    }
}

#[test]
fn a_refusal_allocates_its_body_alone() {
    for cores in [1, 2] {
        let (mut bed, path) = bed_with_session(cores);
        let delete = bed.request("DELETE", &path, 0);
        assert!(bed.ask(0, &String::from_utf8_lossy(&delete)).starts_with("HTTP/1.1 200"));
        for (name, request) in [
            ("missing", bed.request("GET", &path, 0)),
            ("no route", bed.request("GET", "/nowhere", 0)),
            ("a wrong key", with_field(&bed.request("GET", &path, 0), "Authorization: Bearer another")),
        ] {
            let info = counted(&mut bed, &request);
            assert_eq!(info.count_total, COUNTED, "{name} over {cores} cores: {info:?}");
        }
    }
}

#[test]
fn with_a_journal_a_warm_connection_allocates_as_little() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes another");
    let (mut bed, _journal) = kept_bed(folder.path(), SyncPolicy::Always);
    let ids = bed.fill(0, SESSIONS);
    let path = format!("/session/cart/{}", String::from_utf8_lossy(&ids[3]));
    let (get, post) = (bed.request("GET", &path, 0), bed.request("POST", &path, DATA_BYTES));
    let put = bed.request("PUT", "/session/cart", DATA_BYTES);
    // Several rounds through the memory for records: the first ones make it, the last is counted.
    let mut counted_of = |request: &[u8]| {
        let count = |_| {
            let info = counted(&mut bed, request);
            settle(&bed, Level::Synced);
            info
        };
        (0..ROUNDS).map(count).last().expect("there are rounds")
    };
    assert_eq!(counted_of(&post).count_total, 0);
    assert_eq!(counted_of(&get).count_total, 0);
    let info = counted_of(&put);
    assert!((COUNTED..COUNTED + COUNTED / 10).contains(&info.count_total), "{info:?}");
}
