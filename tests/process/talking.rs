//! What the process says: one line on stdout, a log on stderr, and no secret in either.
//!
//! Secrets are used in good and bad requests at every log level, then looked for.

use crate::support::{App, Launch, MASTER_KEY, MISSING_ID, SHAPES, Server};

/// Reaches sessions and keys in good and bad ways; every secret that was used.
fn use_secrets(server: &Server) -> Vec<String> {
    let mut app = App::new(server);
    let id = app.create(b"secret data");
    app.get(&id, &[]).expect(200);
    app.get(&id, &[("Authorization", "Bearer another-secret-0123456789")]).expect(401);
    app.call("GET", &format!("{}?api_key={}", app.path(&id), app.key), &[], b"").expect(200);
    app.get(MISSING_ID, &[]).expect(404);
    app.post(&id, &[("X-Session-TTL", "0")], b"x").expect(400);
    app.call("PATCH", &app.path(&id), &[], b"").expect(405);
    let mut client = server.connect();
    client.send(format!("GET {}?api_key={} HTTP/1.1\r\nbad\r\n\r\n", app.path(&id), app.key).as_bytes());
    client.read_response().expect(400);
    app.delete(&id, &[]).expect(200);
    let master = [("X-SESSION-KEY", MASTER_KEY)];
    app.client.request("DELETE", &format!("/api-key/{}", app.bucket), &master, b"").expect(200);
    let simple = id.replace('-', "");
    let given = [MASTER_KEY, MISSING_ID, "another-secret", "secret data"].map(str::to_owned);
    given.into_iter().chain([id, simple, app.key]).collect()
}

#[track_caller]
fn check_discretion(server: &Server, secrets: &[String]) {
    let said = server.stdout() + &server.stderr();
    for secret in secrets {
        assert!(!said.to_lowercase().contains(&secret.to_lowercase()), "{secret} in\n{said}");
    }
}

#[test]
fn stdout_has_one_line() {
    for shape in SHAPES {
        let mut server = Launch::shape(shape).with_admin().start();
        use_secrets(&server);
        server.terminate();
        assert_eq!(server.wait_exit(), Some(0));
        assert_eq!(server.stdout(), format!("seshun listening on http://{}\n", server.addr()));
    }
}

#[test]
fn debug_turns_debug_lines_on_and_tells_no_secret() {
    for (name, value) in
        [("DEBUG", "*"), ("DEBUG", "seshun"), ("DEBUG", "express:*,seshun"), ("RUST_LOG", "debug")]
    {
        let mut server = Launch::cores(4).env(name, value).start();
        let secrets = use_secrets(&server);
        server.terminate();
        assert_eq!(server.wait_exit(), Some(0));
        assert!(server.stderr().contains("DEBUG"), "{name}={value}: {}", server.stderr());
        check_discretion(&server, &secrets);
    }
}

#[test]
fn without_debug_there_is_none() {
    for (name, value) in
        [("LANG", "C"), ("DEBUG", ""), ("DEBUG", "1"), ("DEBUG", "express:*"), ("DEBUG", "-seshun")]
    {
        let mut server = Launch::cores(1).env(name, value).start();
        let secrets = use_secrets(&server);
        server.terminate();
        assert_eq!(server.wait_exit(), Some(0));
        assert!(!server.stderr().contains("DEBUG "), "{name}={value}: {}", server.stderr());
        check_discretion(&server, &secrets);
    }
}

#[test]
fn rust_log_wins_over_debug() {
    let server = Launch::cores(1).env("DEBUG", "*").env("RUST_LOG", "error").start();
    use_secrets(&server);
    assert_eq!(server.stderr(), "");
}

#[test]
fn trace_logging_tells_no_secret_either() {
    let mut server = Launch::cores(2).env("RUST_LOG", "trace").start();
    let secrets = use_secrets(&server);
    server.terminate();
    assert_eq!(server.wait_exit(), Some(0));
    check_discretion(&server, &secrets);
}
