//! Sessions that a test has made and must find again as they were.

use crate::content::Content;
use crate::support::{App, Response, Server};

/// Sessions by id, and what they hold.
pub type Known = Vec<(String, Content)>;

/// Asks for a new session with this content.
#[track_caller]
pub fn put(app: &mut App, content: Content) -> Response {
    let fields: Vec<_> = content.content_type().map(|text| ("Content-Type", text)).into_iter().collect();
    app.put(&fields, &content.bytes())
}

/// Each of them is there, as it was made.
#[track_caller]
pub fn check_all(app: &mut App, known: &Known) {
    for (id, content) in known {
        let response = app.get(id, &[]).expect(200);
        content.check(&response, true).unwrap_or_else(|why| panic!("{id}: {why}"));
    }
}

/// None of them is there.
#[track_caller]
pub fn check_none(app: &mut App, gone: &Known) {
    for (id, _) in gone {
        app.get(id, &[]).expect(404);
    }
}

/// The same app on a server that was started again.
#[track_caller]
pub fn again(app: &App, server: &Server) -> App {
    App { client: server.connect(), bucket: app.bucket.clone(), key: app.key.clone() }
}
