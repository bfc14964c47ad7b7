//! Loading a configuration as `main` does, in-process: which layer wins, which file is
//! read, and what an operator is told when something is wrong. Environment and working
//! directory are arguments, so no test touches those of the process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use seshun::config::{
    self, Args, Config, ConfigError, Cores, DriverChoice, JournalMode, Loaded, MemoryMax, Source,
};
use seshun::types::{ByteCount, Millis, ShardCount};

/// A folder with a configuration file in it, and what the process was called with.
struct Call {
    folder: tempfile::TempDir,
    args: Args,
    env: Vec<(String, String)>,
}

impl Call {
    /// A call in a folder whose `config.yml` is `file`.
    fn with_file(file: &str) -> Self {
        let call = Self::with_args("--config config.yml");
        std::fs::write(call.path("config.yml"), file).expect("a folder of our own can be written");
        call
    }

    /// A call in an empty folder.
    fn with_args(line: &str) -> Self {
        let args = Args::parse_from(std::iter::once("seshun").chain(line.split_whitespace()));
        Self { folder: tempfile::tempdir().expect("a folder can be made"), args, env: Vec::new() }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        config::load(&self.args, self.env.clone(), self.folder.path())
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{error}")).config
    }

    /// The lines of the error, each without the folder's path.
    fn errors(&self) -> Vec<String> {
        let error = self.load().expect_err("the configuration is refused").to_string();
        let folder = format!("{}/", self.folder.path().display());
        error.lines().map(|line| line.replace(&folder, "")).collect()
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_the_defaults() {
    let file =
        "server: { listen: '127.0.0.1:1' }\nadmin: { listen: '127.0.0.1:11' }\nlimits: { fields: 5 }\n";
    let layered = |flags: &str, env: &[(&str, &str)]| {
        let mut call = Call::with_file(file);
        call.args = Args::parse_from(format!("seshun --config config.yml {flags}").split_whitespace());
        env.iter().fold(call, |call, (name, value)| call.env(name, value)).config()
    };
    let env = [("SESHUN_SERVER_LISTEN", "127.0.0.1:2"), ("SESHUN_LIMITS_FIELDS", "6")];

    let config = layered("", &[]);
    assert_eq!((config.server.listen, config.limits.fields), (address("127.0.0.1:1"), 5));
    assert_eq!(config.limits.connections, 10_000, "a key that nobody set has its default");
    let config = layered("", &env);
    assert_eq!((config.server.listen, config.limits.fields), (address("127.0.0.1:2"), 6));
    let config = layered("--listen 127.0.0.1:3", &env);
    assert_eq!((config.server.listen, config.limits.fields), (address("127.0.0.1:3"), 6));
    assert_eq!(config.admin.listen, Some(address("127.0.0.1:11")));
}

#[test]
fn every_flag_sets_its_key() {
    let config = Call::with_args("--listen [::1]:1 --admin-listen off --cores 3 --driver epoll").config();
    assert_eq!(config.server.listen, address("[::1]:1"));
    assert_eq!(config.admin.listen, None);
    assert_eq!(config.server.cores, Cores::Exactly(ShardCount::new(3).unwrap()));
    assert_eq!(config.server.driver, DriverChoice::Epoll);
}

#[test]
fn every_section_is_reached_through_the_environment() {
    let config = Call::with_args("")
        .env("SESHUN_SERVER_CORES", "2")
        .env("SESHUN_SERVER_DRIVER", "io_uring")
        .env("SESHUN_ADMIN_LISTEN", "off")
        .env("SESHUN_AUTH_MASTER_KEYS", "0123456789abcdef, fedcba9876543210")
        .env("SESHUN_AUTH_QUERY_KEY", "false")
        .env("SESHUN_SESSION_TTL", "12h")
        .env("SESHUN_SESSION_MAX_PAYLOAD", "64kb")
        .env("SESHUN_MEMORY_MAX", "2gb")
        .env("SESHUN_LIMITS_REQUESTS_PER_TURN", "8")
        .env("SESHUN_TIMEOUTS_DRAIN_DELAY", "5s")
        .config();
    assert_eq!(config.server.driver, DriverChoice::IoUring);
    assert_eq!(config.admin.listen, None);
    assert!(config.auth.master_keys.len() == 2 && config.auth.master_keys[1].key.is(b"fedcba9876543210"));
    assert!(!config.auth.query_key && !config.auth.has_example_key());
    assert_eq!(config.session.ttl.as_secs(), 43_200);
    assert_eq!(config.session.max_payload, ByteCount::from_kib(64));
    assert_eq!(config.memory.max, MemoryMax::Bytes(ByteCount::from_mib(2048)));
    assert_eq!(config.limits.requests_per_turn, 8);
    assert_eq!(config.timeouts.drain_delay, Millis::from_secs(5));
}

#[test]
fn a_file_may_leave_out_what_it_does_not_change() {
    for file in ["", "# nothing\n", "---\n", "server:\n", "server: ~\nlimits: {}\n"] {
        assert_eq!(Call::with_file(file).config(), Config::default(), "{file:?}");
    }
    let config = Call::with_file("limits:\n  fields: 7\n").config();
    let mut expected = Config::default();
    expected.limits.fields = 7;
    assert_eq!(config, expected);
}

#[test]
fn a_file_from_another_system_is_read_all_the_same() {
    for file in
        ["\u{feff}limits:\n  fields: 7\n", "limits:\r\n  fields: 7\r\n", "\u{feff}limits: {fields: 7}"]
    {
        assert_eq!(Call::with_file(file).config().limits.fields, 7, "{file:?}");
    }
    let errors = Call::with_file("limits:\r\n\r\n  fields: 0\r\n").errors();
    assert!(errors[0].starts_with("config.yml:3: "), "{errors:?}");
}

#[test]
fn a_relative_file_counts_from_the_working_directory() {
    let call = Call::with_args("--config sub/own.yml");
    std::fs::create_dir(call.path("sub")).unwrap();
    std::fs::write(call.path("sub/own.yml"), "limits: { fields: 9 }").unwrap();
    let loaded = call.load().unwrap();
    assert_eq!((loaded.config.limits.fields, loaded.source), (9, Source::File(call.path("sub/own.yml"))));
}

#[test]
fn the_flag_wins_over_the_variable_over_the_working_directory() {
    let call = Call::with_file("limits: { fields: 1 }").env("SESHUN_CONFIG", "second.yml");
    std::fs::write(call.path("second.yml"), "limits: { fields: 2 }").unwrap();
    assert_eq!(call.config().limits.fields, 1);

    let mut call = call;
    call.args.config = None;
    assert_eq!(call.config().limits.fields, 2);
    call.env.clear();
    assert_eq!(call.config().limits.fields, 1);
    call.args.config = Some("builtin".into());
    let loaded = call.load().unwrap();
    assert_eq!((loaded.config, loaded.source.to_string()), (Config::default(), "builtin".to_owned()));
}

#[test]
fn an_absolute_file_is_taken_as_it_is() {
    let call = Call::with_file("limits: { fields: 4 }");
    let args = Args { config: Some(call.path("config.yml")), ..Args::default() };
    let loaded = config::load(&args, call.env.clone(), Path::new("/")).unwrap();
    assert_eq!(loaded.config.limits.fields, 4);
}

#[test]
fn a_named_file_that_is_not_there_is_no_reason_to_use_another() {
    let errors = Call::with_args("--config missing.yml").errors();
    assert!(errors.len() == 1 && errors[0].starts_with("missing.yml: cannot be read: "), "{errors:?}");
    let errors = Call::with_args("").env("SESHUN_CONFIG", "").errors();
    assert_eq!(errors, ["SESHUN_CONFIG: is empty; allowed is a file's path, builtin, or no such variable"]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let file = "\
server:
  listen: here
  lisen: 1
servre:
  listen: 2
limits:
  fields: 0
  head:
session: 30d
timeouts:
  idle: [1, 2]
";
    let call = Call::with_file(file).env("SESHUN_MEMORY_MAX", "all").env("SESHUN_LIMITS_OUTPUT", "");
    let args = Args { cores: Some("many".into()), ..call.args.clone() };
    let errors = Call { args, ..call }.errors();
    let expected = [
        "config.yml:2: server.listen is \"here\"; allowed is an IPv4 or IPv6 address with a port, as in \
         127.0.0.1:8385 or [::1]:8385",
        "config.yml:3: server.lisen is no key; server has listen, cores, driver",
        "config.yml:4: servre is no section; allowed are server, admin, auth, session, journal, memory, limits, \
         timeouts",
        "config.yml:7: limits.fields is \"0\"; allowed is a number from 1 to 256",
        "config.yml:8: limits.head has no value; allowed is a size from 1kb to 1mb",
        "config.yml:9: session is a section: its keys stand below it, one a line",
        "config.yml:11: timeouts.idle is a list; allowed is a time from 100ms to 1d, as in 500ms or 30s",
        "SESHUN_MEMORY_MAX: memory.max is \"all\"; allowed is a share from 1% to 100% or a size from 16mb to 16384gb",
        "SESHUN_LIMITS_OUTPUT: limits.output is empty; allowed is a size from 64kb to 64mb",
        "--cores: server.cores is \"many\"; allowed is auto or a number from 1 to 256",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn a_mistake_is_told_although_a_later_layer_sets_the_key() {
    let errors = Call::with_file("server: { cores: many }").env("SESHUN_SERVER_CORES", "1").errors();
    assert_eq!(errors, ["config.yml:1: server.cores is \"many\"; allowed is auto or a number from 1 to 256"]);
}

#[test]
fn a_syntax_error_is_told_alone() {
    let errors = Call::with_file("server:\n  listen: [1\nlimits: { fields: 0 }\n")
        .env("SESHUN_MEMORY_MAX", "x")
        .errors();
    assert!(errors.len() == 1 && errors[0].starts_with("config.yml:"), "{errors:?}");
    let errors = Call::with_file("limits:\n  fields: 1\n  fields: 2\n").errors();
    assert_eq!(errors, ["config.yml:3: limits.fields is given twice, first on line 2"]);
    let errors = Call::with_file("limits: &x\n  fields: 1\n").errors();
    assert!(errors[0].contains("an anchor is not read here"), "{errors:?}");
}

#[test]
fn a_list_is_no_configuration() {
    assert_eq!(
        Call::with_file("- server\n").errors(),
        ["config.yml:1: sections and their keys are expected"]
    );
    let errors = Call::with_file("server: [listen, cores]\n").errors();
    assert_eq!(errors, ["config.yml:1: server is a section: its keys stand below it, one a line"]);
}

#[test]
fn keys_that_contradict_each_other_are_both_named_with_their_places() {
    let call = Call::with_file("session:\n  ttl: 12h\n").env("SESHUN_SESSION_MAX_TTL", "1h");
    assert_eq!(
        call.errors(),
        ["config.yml:2: session.ttl (12h, config.yml:2) must not be longer than session.max_ttl (1h, \
          SESHUN_SESSION_MAX_TTL)"]
    );
    assert_eq!(
        Call::with_file("limits:\n  head: 4kb\n").errors(),
        [
            "config.yml:2: limits.target (8kb, default) must be smaller than limits.head (4kb, config.yml:2), of which \
          it is a part"
        ]
    );
    assert_eq!(
        Call::with_file("").env("SESHUN_ADMIN_LISTEN", "127.0.0.1:8385").errors(),
        [
            "SESHUN_ADMIN_LISTEN: server.listen (127.0.0.1:8385, default) must have another port than admin.listen \
          (127.0.0.1:8385, SESHUN_ADMIN_LISTEN)"
        ]
    );
}

#[test]
fn a_key_with_a_fault_of_its_own_contradicts_no_other() {
    let errors = Call::with_file("session:\n  ttl: 31d\n  max_ttl: forever\n").errors();
    assert!(errors.len() == 1 && errors[0].starts_with("config.yml:3: session.max_ttl "), "{errors:?}");
}

#[test]
fn the_example_master_key_is_refused_where_others_can_reach_it() {
    let errors = Call::with_args("--config builtin --listen 0.0.0.0:8385").errors();
    assert!(
        errors.len() == 1
            && errors[0]
                .starts_with("--listen: server.listen (0.0.0.0:8385, --listen) must be a loopback address")
            && errors[0].contains("openssl rand -hex 32")
            && !errors[0].contains(config::EXAMPLE_MASTER_KEY),
        "{errors:?}"
    );
    let own = Call::with_args("--listen 0.0.0.0:8385").env("SESHUN_AUTH_MASTER_KEYS", "0123456789abcdef");
    assert!(own.load().unwrap().warnings.is_empty());
}

#[test]
fn the_example_master_key_warns_at_each_start_in_one_line() {
    let warnings = Call::with_args("--config builtin").load().unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("openssl rand -hex 32") && !warnings[0].contains('\n'), "{warnings:?}");
    assert!(!warnings[0].contains(config::EXAMPLE_MASTER_KEY));
}

#[test]
fn an_unknown_variable_of_ours_is_a_warning_and_no_more() {
    let call = Call::with_args("--config builtin")
        .env("SESHUN_SERVICE_HOST", "10.0.0.1")
        .env("SESHUN_PORT", "tcp://10.0.0.1:8385")
        .env("PATH", "/bin")
        .env("seshun_server_listen", "x")
        .env("SESHUN_AUTH_MASTER_KEYS", "0123456789abcdef");
    let warnings = call.load().unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "SESHUN_PORT is no setting and has no effect",
            "SESHUN_SERVICE_HOST is no setting and has no effect"
        ]
    );
}

#[test]
fn no_error_and_no_print_repeats_a_master_key() {
    let secret = "s3cr3t-s3cr3t-s3cr3t";
    let files = [
        format!("auth: {{ master_keys: ['{secret}!'] }}"),
        format!("auth: {{ master_keys: '{secret}' }}"),
        format!("auth: {{ master_keys: {{ {secret}: 1 }} }}"),
        format!("auth: {{ {secret}: 1 }}"),
        format!("auth: {secret}"),
        format!("auth: ['{secret}']"),
        format!("auth:\n  master_keys:\n    - '{secret}\n"),
        format!("auth:\n  master_keys: [{secret}, *{secret}]\n"),
        format!("auth: {{ master_keys: [!{secret} x] }}"),
    ];
    for file in files {
        let call = Call::with_file(&file);
        let error = call.load().expect_err(&file);
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{file}: {error}");
    }
    let loaded = Call::with_file(&format!("auth: {{ master_keys: [{secret}] }}")).load().unwrap();
    assert!(!format!("{} {loaded:?}", loaded.config.to_yaml()).contains("s3cr3t"));
}

#[test]
fn a_bad_master_key_is_told_with_the_line_it_stands_on() {
    let errors = Call::with_file("auth:\n  master_keys:\n    - 0123456789abcdef\n    - short\n").errors();
    assert_eq!(
        errors,
        ["config.yml:4: auth.master_keys key 2 is refused: a master key has 16 to 512 characters"]
    );
}

#[test]
fn what_is_printed_is_what_is_in_force() {
    let yaml =
        Call::with_args("--config builtin --cores 2").env("SESHUN_ADMIN_LISTEN", "off").config().to_yaml();
    for line in
        ["  cores: 2", "  max: 75%", "  ttl: 30d", "  query_key: true", "  - (hidden)", "  head: 16kb"]
    {
        assert!(yaml.lines().any(|found| found == line), "{line:?} is not in:\n{yaml}");
    }
    let back = yaml.replace("(hidden)", config::EXAMPLE_MASTER_KEY);
    let expected = Call::with_args("--config builtin --cores 2 --admin-listen off").config();
    let read_back = Call::with_file(&back);
    let mut config = read_back.config();
    assert_eq!(config.journal.dir, read_back.path("./data"), "a path in a file counts from its folder");
    config.journal.dir = expected.journal.dir.clone();
    assert_eq!(config, expected);
}

#[test]
fn the_journals_folder_counts_from_whoever_names_it() {
    let in_file = Call::with_file("journal: { dir: lib/seshun }");
    assert_eq!(in_file.config().journal.dir, in_file.path("lib/seshun"));
    let absolute = Call::with_file("journal: { dir: /var/lib/seshun }");
    assert_eq!(absolute.config().journal.dir, Path::new("/var/lib/seshun"));
    let by_flag = Call::with_file("journal: { dir: lib/seshun }");
    let args = Args { data_dir: Some("here".into()), ..by_flag.args.clone() };
    assert_eq!(Call { args, ..by_flag }.config().journal.dir, Path::new("here"));
    let by_variable = Call::with_file("journal: { strict: true }").env("SESHUN_JOURNAL_DIR", "there");
    assert_eq!(by_variable.config().journal.dir, Path::new("there"));
    assert_eq!(Call::with_args("").config().journal.dir, Path::new("./data"));
}

#[test]
fn the_journals_modes_are_three_and_memory_is_warned_of() {
    let modes = [
        ("memory", JournalMode::Memory, 1),
        ("everysec", JournalMode::EverySecond, 0),
        ("always", JournalMode::Always, 0),
    ];
    for (text, mode, warnings) in modes {
        let loaded = Call::with_file(&format!("journal: {{ mode: {text} }}")).load().unwrap();
        assert_eq!(loaded.config.journal.mode, mode);
        let about_memory = loaded.warnings.iter().filter(|warning| warning.contains("journal.mode"));
        assert_eq!(about_memory.count(), warnings, "{text}");
    }
    let errors = Call::with_file("journal:\n  mode: fsync\n  dir: ''\n  downtime_max: 11y\n").errors();
    let expected = [
        "config.yml:2: journal.mode is \"fsync\"; allowed is memory, everysec or always",
        "config.yml:3: journal.dir is empty; allowed is a folder's path, as in ./data or /var/lib/seshun",
        "config.yml:4: journal.downtime_max is \"11y\"; allowed is a time from 0s to 3650d, as in 500ms or 30s",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn a_file_of_nothing_but_mistakes_is_told_in_part() {
    let file: String = (0..5_000).map(|number| format!("x{number}: 1\n")).collect();
    let errors = Call::with_file(&file).errors();
    assert!(errors.len() == 101 && errors[100] == "and 4900 more", "{}", errors.len());
}
