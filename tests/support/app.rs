//! A client app as most tests need it: a bucket of its own, its key, one connection.
//!
//! Shorthands over `Client::request` that add the key and the path; they judge no status
//! unless their name says what is expected.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::{Client, build_request};
use super::response::Response;
use super::server::Server;

/// An id that no session has: the chance is 1 in 2^122.
pub const MISSING_ID: &str = "6d1f0c52-93a4-4e0b-8c57-2f1f4a7be901";

/// A name that no other test of this suite uses.
pub fn unique_name(label: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{label}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A client app: one bucket, one connection.
pub struct App {
    pub client: Client,
    pub bucket: String,
    pub key: String,
}

impl App {
    /// An app with a bucket of its own.
    #[track_caller]
    pub fn new(server: &Server) -> Self {
        let mut client = server.connect();
        let bucket = unique_name("app");
        let key = client.make_bucket(&bucket);
        Self { client, bucket, key }
    }

    /// The same app over another connection.
    #[track_caller]
    pub fn over_another_connection(&self, server: &Server) -> Self {
        Self { client: server.connect(), bucket: self.bucket.clone(), key: self.key.clone() }
    }

    /// The path of the app's bucket.
    pub fn bucket_path(&self) -> String {
        format!("/session/{}", self.bucket)
    }

    /// The path of one of its sessions.
    pub fn path(&self, id: &str) -> String {
        format!("/session/{}/{id}", self.bucket)
    }

    /// Any request, with the app's key.
    #[track_caller]
    pub fn call(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        let key = self.key.clone();
        let fields = [&[("X-SESSION-KEY", key.as_str())], fields].concat();
        self.client.request(method, path, &fields, body)
    }

    /// The bytes of such a request, for tests that send them in ways of their own.
    pub fn bytes(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let fields = [&[("X-SESSION-KEY", self.key.as_str())], fields].concat();
        build_request(method, path, &fields, body)
    }

    /// Asks for a new session.
    #[track_caller]
    pub fn put(&mut self, fields: &[(&str, &str)], body: &[u8]) -> Response {
        let path = self.bucket_path();
        self.call("PUT", &path, fields, body)
    }

    /// The id of a new session with this data.
    #[track_caller]
    pub fn create(&mut self, data: &[u8]) -> String {
        self.create_with(&[], data)
    }

    /// The id of a new session with this data, asked for with these fields.
    #[track_caller]
    pub fn create_with(&mut self, fields: &[(&str, &str)], data: &[u8]) -> String {
        self.put(fields, data).expect(201).text().to_owned()
    }

    /// Reads a session, and extends it.
    #[track_caller]
    pub fn get(&mut self, id: &str, fields: &[(&str, &str)]) -> Response {
        let path = self.path(id);
        self.call("GET", &path, fields, b"")
    }

    /// Looks at a session, without extending it.
    #[track_caller]
    pub fn head(&mut self, id: &str, fields: &[(&str, &str)]) -> Response {
        let path = self.path(id);
        self.call("HEAD", &path, fields, b"")
    }

    /// Replaces a session's data.
    #[track_caller]
    pub fn post(&mut self, id: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        let path = self.path(id);
        self.call("POST", &path, fields, body)
    }

    /// Deletes a session.
    #[track_caller]
    pub fn delete(&mut self, id: &str, fields: &[(&str, &str)]) -> Response {
        let path = self.path(id);
        self.call("DELETE", &path, fields, b"")
    }
}
