//! Requests of one kind to one session after the other, in an order that no cache foresees.
//!
//! For the bench of the whole path and for the count of its instructions.

use crate::bed::{Bed, ID_LEN};

/// Where ids stand in a request's path.
pub const ID_PLACE: &str = "/session/cart/";

/// The same request, so many at a time, each to another session.
pub struct Requests {
    text: Vec<u8>,
    /// Where each request's id stands in `text`: one place for each of those sent at a time.
    pub places: Vec<usize>,
    /// In the order in which they are asked for, again and again.
    ids: std::iter::Cycle<std::vec::IntoIter<[u8; ID_LEN]>>,
}

impl Requests {
    /// So many of `request` at a time, whose path names a session, to any of `ids`.
    pub fn new(request: &[u8], count: usize, mut ids: Vec<[u8; ID_LEN]>) -> Self {
        let start = request.windows(ID_PLACE.len()).position(|part| part == ID_PLACE.as_bytes());
        let start = start.expect("the path names a session") + ID_PLACE.len();
        let places = (0..count).map(|number| start + number * request.len()).collect();
        // In order of the ids, which have nothing to do with where the sessions lie: so only the
        // server's own memory is read at random.
        ids.sort_unstable();
        Self { text: request.repeat(count), places, ids: ids.into_iter().cycle() }
    }

    /// The next requests.
    pub fn next(&mut self) -> &[u8] {
        for (place, id) in self.places.iter().zip(&mut self.ids) {
            self.text[*place..place + ID_LEN].copy_from_slice(&id);
        }
        &self.text
    }
}

/// A request to a session whose id is yet to be written.
pub fn template(bed: &Bed, method: &str, data_bytes: usize) -> Vec<u8> {
    bed.request(method, &format!("{ID_PLACE}{}", "0".repeat(ID_LEN)), data_bytes)
}
