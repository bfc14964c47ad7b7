//! What two keys must not say together, and what is worth a warning.
//!
//! Each key's own range is judged with the key; here are the pairs. A clash names both
//! keys and where each was set, since either may be the one to change.

use std::net::{IpAddr, SocketAddr};

use super::kind::show_memory;
use super::units::{show_size, show_span};
use super::{Config, Fault, JournalMode, MemoryMax, Place};

/// Two keys that cannot both be as they are.
pub(super) struct Clash {
    /// Both, as `section.key`.
    pub(super) keys: [&'static str; 2],
    /// What each says, in the same order. No secret in it.
    values: [String; 2],
    /// What is asked of the first key as seen from the second, as in "must not be above".
    rule: &'static str,
    /// What else helps, as a clause; or nothing.
    advice: &'static str,
}

impl Clash {
    /// The clash as one fault, told where the key that was written is.
    pub(super) fn into_fault(self, first: Place, second: Place) -> Fault {
        debug_assert!(
            first != Place::Default || second != Place::Default,
            "{} and {} have defaults that agree",
            self.keys[0],
            self.keys[1]
        );
        let [key, other] = self.keys;
        let [value, other_value] = &self.values;
        let sentence = format!(
            "{key} ({value}, {first}) {} {other} ({other_value}, {second}){}",
            self.rule, self.advice
        );
        let place = if first == Place::Default { second } else { first };
        Fault { place, sentence }
    }
}

/// Every clash in `config`.
pub(super) fn clashes(config: &Config) -> Vec<Clash> {
    let found = [
        ttl_over_max(config),
        target_over_head(config),
        payload_over_memory(config),
        one_port_for_two(config),
        exposed_example_key(config, "server.listen", Some(config.server.listen)),
        exposed_example_key(config, "admin.listen", config.admin.listen),
    ];
    found.into_iter().flatten().collect()
}

/// What an operator should know although nothing is wrong.
pub(super) fn warnings(config: &Config) -> impl Iterator<Item = String> {
    const EXAMPLE_KEY: &str = "auth.master_keys has the example master key, which is public and works from \
                               loopback only; make your own with `openssl rand -hex 32`";
    const MEMORY_ONLY: &str =
        "journal.mode is memory: a restart, a crash or a power cut loses all sessions and API keys";
    let example_key = config.auth.has_example_key().then_some(EXAMPLE_KEY);
    let memory_only = (config.journal.mode == JournalMode::Memory).then_some(MEMORY_ONLY);
    example_key.into_iter().chain(memory_only).map(str::to_owned)
}

fn ttl_over_max(config: &Config) -> Option<Clash> {
    let (ttl, max) = (config.session.ttl, config.session.max_ttl);
    (ttl > max).then(|| Clash {
        keys: ["session.ttl", "session.max_ttl"],
        values: [ttl, max].map(|ttl| show_span(ttl.as_millis())),
        rule: "must not be longer than",
        advice: "",
    })
}

fn target_over_head(config: &Config) -> Option<Clash> {
    let (target, head) = (config.limits.target, config.limits.head);
    (target >= head).then(|| Clash {
        keys: ["limits.target", "limits.head"],
        values: [target, head].map(show_size),
        rule: "must be smaller than",
        advice: ", of which it is a part",
    })
}

fn payload_over_memory(config: &Config) -> Option<Clash> {
    let payload = config.session.max_payload;
    match config.memory.max {
        MemoryMax::Bytes(max) if payload > max => Some(Clash {
            keys: ["session.max_payload", "memory.max"],
            values: [show_size(payload), show_memory(config.memory.max)],
            rule: "must not be larger than",
            advice: ", which holds all sessions",
        }),
        MemoryMax::Bytes(_) | MemoryMax::Percent(_) => None,
    }
}

fn one_port_for_two(config: &Config) -> Option<Clash> {
    let (server, admin) = (config.server.listen, config.admin.listen?);
    overlap(server, admin).then(|| Clash {
        keys: ["server.listen", "admin.listen"],
        values: [server, admin].map(|address| address.to_string()),
        rule: "must have another port than",
        advice: "",
    })
}

/// Whether one connection could reach either. Port 0 picks a port of its own.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = |address: SocketAddr| address.ip().to_canonical().is_unspecified();
    let same_ip = one.ip().to_canonical() == other.ip().to_canonical();
    one.port() == other.port() && one.port() != 0 && (same_ip || is_any(one) || is_any(other))
}

fn exposed_example_key(config: &Config, key: &'static str, listen: Option<SocketAddr>) -> Option<Clash> {
    let listen = listen?;
    let is_exposed = config.auth.has_example_key() && !is_loopback(listen.ip());
    is_exposed.then(|| Clash {
        keys: [key, "auth.master_keys"],
        values: [listen.to_string(), "the example master key".into()],
        rule: "must be a loopback address with",
        advice: ", which is public: make your own with `openssl rand -hex 32`",
    })
}

/// Whether only this machine reaches it; an IPv4 address in IPv6 form counts as what it is.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ByteCount, Ttl};

    fn listening(server: &str, admin: Option<&str>) -> Config {
        let mut config = Config::default();
        config.server.listen = server.parse().unwrap();
        config.admin.listen = admin.map(|address| address.parse().unwrap());
        config
    }

    fn keys(config: &Config) -> Vec<[&'static str; 2]> {
        clashes(config).into_iter().map(|clash| clash.keys).collect()
    }

    #[test]
    fn the_defaults_agree_with_each_other() {
        assert_eq!(keys(&Config::default()), [[""; 2]; 0]);
    }

    #[test]
    fn equal_limits_are_allowed_where_they_make_sense() {
        let mut config = Config::default();
        config.session.max_ttl = config.session.ttl;
        config.session.max_payload = ByteCount::from_mib(16);
        config.memory.max = MemoryMax::Bytes(ByteCount::from_mib(16));
        assert_eq!(keys(&config), [[""; 2]; 0]);
    }

    #[test]
    fn pairs_that_contradict_each_other_clash() {
        let mut config = Config::default();
        config.session.max_ttl = Ttl::from_secs(1).unwrap();
        config.limits.target = config.limits.head;
        config.session.max_payload = ByteCount::from_mib(17);
        config.memory.max = MemoryMax::Bytes(ByteCount::from_mib(16));
        let expected = [
            ["session.ttl", "session.max_ttl"],
            ["limits.target", "limits.head"],
            ["session.max_payload", "memory.max"],
        ];
        assert_eq!(keys(&config), expected);
    }

    #[test]
    fn two_listeners_share_no_port_that_a_client_could_reach_twice() {
        let cases = [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "[::]:1", true),
            ("127.0.0.1:1", "[::ffff:127.0.0.1]:1", true),
            ("127.0.0.1:1", "[::1]:1", false),
        ];
        for (server, admin, clash) in cases {
            let found = one_port_for_two(&listening(server, Some(admin))).is_some();
            assert_eq!(found, clash, "{server} {admin}");
        }
        assert!(one_port_for_two(&listening("127.0.0.1:1", None)).is_none());
    }

    #[test]
    fn the_example_key_is_refused_wherever_others_can_reach_it() {
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(keys(&listening(address, None)), [[""; 2]; 0], "{address}");
        }
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"] {
            assert_eq!(keys(&listening(address, None)), [["server.listen", "auth.master_keys"]], "{address}");
            let admin = listening("127.0.0.1:2", Some(address));
            assert_eq!(keys(&admin), [["admin.listen", "auth.master_keys"]], "{address}");
        }
    }

    #[test]
    fn a_key_of_ones_own_may_be_exposed_and_warns_of_nothing() {
        let mut config = listening("0.0.0.0:1", Some("0.0.0.0:2"));
        assert_eq!(warnings(&config).count(), 1);
        config.auth.master_keys[0].is_example = false;
        assert_eq!(keys(&config), [[""; 2]; 0]);
        assert_eq!(warnings(&config).count(), 0);
        config.journal.mode = JournalMode::Memory;
        assert!(warnings(&config).all(|warning| warning.contains("journal.mode is memory")));
        assert_eq!(warnings(&config).count(), 1);
    }

    #[test]
    fn a_clash_is_told_at_the_key_that_was_written() {
        let mut config = Config::default();
        config.session.max_ttl = Ttl::from_secs(60).unwrap();
        let clash = ttl_over_max(&config).unwrap();
        let fault = clash.into_fault(Place::Default, Place::Flag("--x"));
        assert_eq!(
            fault.to_string(),
            "--x: session.ttl (30d, default) must not be longer than session.max_ttl (1m, --x)"
        );
    }
}
