//! Kinds of value: how each is read, shown and described.
//!
//! A kind knows the field of [`Config`] that it fills and the range that it allows. The
//! same range is judged by and told in the error, so the two cannot drift apart. A value
//! that is not allowed leaves the field as it was.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde_yaml::Value;

use super::units::{parse_size, parse_span, show_size, show_span};
use super::{Config, ConfiguredMasterKey, Cores, DriverChoice, EXAMPLE_MASTER_KEY, JournalMode, MemoryMax};
use crate::types::{ByteCount, MasterKey, Millis, ShardCount, Ttl};

/// The most master keys that are taken: each costs a comparison a request.
const MASTER_KEYS_MAX: usize = 16;
/// The longest value that an error repeats in full, in characters.
const SHOWN_LEN_MAX: usize = 40;
/// The smallest `memory.max` that is given as a size.
const MEMORY_MIN: ByteCount = ByteCount::from_mib(16);
/// The largest: 16 TiB, more than any machine has.
const MEMORY_MAX: ByteCount = ByteCount::from_mib(16 << 20);
/// What stands for a master key wherever one would be printed. No master key itself.
pub(super) const HIDDEN_KEY: &str = "(hidden)";

/// A value as it was written.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    /// In a file.
    Tree(&'a Value),
    /// In the environment or on the command line; lists by comma.
    Text(&'a str),
}

/// Where a kind's value is kept.
pub(super) type Field<T> = fn(&mut Config) -> &mut T;

/// The smallest and the largest value, both allowed.
pub(super) type Range<T> = (T, T);

/// A kind of value, with its field and range.
pub(super) enum Kind {
    /// An IP address with a port.
    Address(Field<SocketAddr>),
    /// The same, or `off`.
    AddressOrOff(Field<Option<SocketAddr>>),
    /// `auto` or a number of cores.
    Cores(Field<Cores>),
    /// `auto`, `io_uring` or `epoll`.
    Driver(Field<DriverChoice>),
    /// `memory`, `everysec` or `always`.
    Mode(Field<JournalMode>),
    /// A folder's path.
    Folder(Field<PathBuf>),
    /// A list of secrets.
    MasterKeys(Field<Vec<ConfiguredMasterKey>>),
    /// `true` or `false`.
    Switch(Field<bool>),
    /// A TTL.
    Ttl(Field<Ttl>),
    /// A share or a size.
    Memory(Field<MemoryMax>),
    /// A size.
    Size(Field<ByteCount>, Range<ByteCount>),
    /// A number.
    Count(Field<u32>, Range<u32>),
    /// A small number.
    SmallCount(Field<u16>, Range<u16>),
    /// A time.
    Span(Field<Millis>, Range<Millis>),
}

/// A value that is not allowed.
#[derive(Debug)]
pub(super) struct Wrong {
    /// The item of the list that is wrong, from 0, where it is one item.
    pub(super) item: Option<usize>,
    /// What is wrong and what is allowed, to follow the key's name.
    pub(super) what: String,
}

impl Kind {
    /// Reads `raw` into the field of `config`.
    pub(super) fn read(&self, raw: Raw, config: &mut Config) -> Result<(), Vec<Wrong>> {
        if let Self::MasterKeys(field) = self {
            *field(config) = read_master_keys(raw)?;
            return Ok(());
        }
        let text = raw.scalar();
        let is_read = text.as_deref().is_some_and(|text| self.read_scalar(text, config).is_some());
        if is_read {
            return Ok(());
        }
        let what = format!("{}; allowed is {}", raw.describe(), self.allowed());
        Err(vec![Wrong { item: None, what }])
    }

    fn read_scalar(&self, text: &str, config: &mut Config) -> Option<()> {
        match self {
            Self::Address(field) => *field(config) = text.parse().ok()?,
            Self::AddressOrOff(field) => {
                *field(config) = if text == "off" { None } else { Some(text.parse().ok()?) };
            }
            Self::Cores(field) => *field(config) = parse_cores(text)?,
            Self::Driver(field) => *field(config) = parse_driver(text)?,
            Self::Mode(field) => *field(config) = parse_mode(text)?,
            Self::Folder(field) => *field(config) = parse_folder(text)?,
            Self::Switch(field) => *field(config) = text.parse().ok()?,
            Self::Ttl(field) => *field(config) = parse_ttl(text)?,
            Self::Memory(field) => *field(config) = parse_memory(text)?,
            Self::Size(field, range) => *field(config) = within(parse_size(text)?, range)?,
            Self::Count(field, range) => *field(config) = within(parse_count(text)?, range)?,
            Self::SmallCount(field, range) => *field(config) = within(parse_count(text)?, range)?,
            Self::Span(field, range) => *field(config) = within(parse_span(text)?, range)?,
            Self::MasterKeys(_) => return None,
        }
        Some(())
    }

    /// What is allowed, in words.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Address(_) => {
                "an IPv4 or IPv6 address with a port, as in 127.0.0.1:8385 or [::1]:8385".into()
            }
            Self::AddressOrOff(_) => {
                "an IPv4 or IPv6 address with a port, as in 127.0.0.1:8386, or off".into()
            }
            Self::Cores(_) => format!("auto or a number from 1 to {}", ShardCount::MAX),
            Self::Driver(_) => "auto, io_uring or epoll".into(),
            Self::Mode(_) => "memory, everysec or always".into(),
            Self::Folder(_) => "a folder's path, as in ./data or /var/lib/seshun".into(),
            Self::MasterKeys(_) => format!("a list of 1 to {MASTER_KEYS_MAX} keys"),
            Self::Switch(_) => "true or false".into(),
            Self::Ttl(_) => {
                format!("whole seconds from 1s to {}, as in 30d or 12h", show_span(Ttl::MAX.as_millis()))
            }
            Self::Memory(_) => format!(
                "a share from 1% to 100% or a size from {} to {}",
                show_size(MEMORY_MIN),
                show_size(MEMORY_MAX)
            ),
            Self::Size(_, (min, max)) => format!("a size from {} to {}", show_size(*min), show_size(*max)),
            Self::Count(_, (min, max)) => format!("a number from {min} to {max}"),
            Self::SmallCount(_, (min, max)) => format!("a number from {min} to {max}"),
            Self::Span(_, (min, max)) => {
                format!("a time from {} to {}, as in 500ms or 30s", show_span(*min), show_span(*max))
            }
        }
    }

    /// The value of `config` as a file would have it, with every secret hidden.
    pub(super) fn show(&self, config: &mut Config) -> Value {
        match self {
            Self::Address(field) => field(config).to_string().into(),
            Self::AddressOrOff(field) => {
                field(config).map_or("off".into(), |address| address.to_string()).into()
            }
            Self::Cores(field) => show_cores(*field(config)),
            Self::Driver(field) => field(config).to_string().into(),
            Self::Mode(field) => field(config).to_string().into(),
            Self::Folder(field) => field(config).display().to_string().into(),
            Self::MasterKeys(field) => vec![Value::from(HIDDEN_KEY); field(config).len()].into(),
            Self::Switch(field) => (*field(config)).into(),
            Self::Ttl(field) => show_span(field(config).as_millis()).into(),
            Self::Memory(field) => show_memory(*field(config)).into(),
            Self::Size(field, _) => show_size(*field(config)).into(),
            Self::Count(field, _) => (*field(config)).into(),
            Self::SmallCount(field, _) => (*field(config)).into(),
            Self::Span(field, _) => show_span(*field(config)).into(),
        }
    }
}

impl Raw<'_> {
    /// The one word that this is, as text; nothing for lists, sections and no value at all.
    fn scalar(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text.trim())),
            Self::Tree(Value::String(text)) => Some(Cow::Borrowed(text.trim())),
            Self::Tree(Value::Number(number)) => Some(Cow::Owned(number.to_string())),
            Self::Tree(Value::Bool(switch)) => Some(Cow::Owned(switch.to_string())),
            Self::Tree(Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_)) => None,
        }
    }

    /// What is there, for an error. Never asked of a secret.
    fn describe(&self) -> String {
        match (self.scalar(), self) {
            (Some(text), _) if text.is_empty() => "is empty".into(),
            (Some(text), _) if text.chars().count() > SHOWN_LEN_MAX => {
                let start: String = text.chars().take(SHOWN_LEN_MAX).collect();
                format!("is \"{}…\"", start.escape_debug())
            }
            (Some(text), _) => format!("is \"{}\"", text.escape_debug()),
            (None, Self::Tree(Value::Sequence(_))) => "is a list".into(),
            (None, Self::Tree(Value::Mapping(_))) => "has keys below it".into(),
            (None, _) => "has no value".into(),
        }
    }
}

/// The keys, or what is wrong with each. A key's text goes nowhere else.
fn read_master_keys(raw: Raw) -> Result<Vec<ConfiguredMasterKey>, Vec<Wrong>> {
    let items: Vec<Option<&str>> = match raw {
        Raw::Text(list) => list.split(',').map(|text| Some(text.trim())).collect(),
        // A number would lose leading zeros and digits on its way through the tree.
        Raw::Tree(Value::Sequence(items)) => items.iter().map(Value::as_str).collect(),
        Raw::Tree(_) => Vec::new(),
    };
    if !(1..=MASTER_KEYS_MAX).contains(&items.len()) {
        let what =
            format!("is not a list of 1 to {MASTER_KEYS_MAX} keys; make a key with `openssl rand -hex 32`");
        return Err(vec![Wrong { item: None, what }]);
    }
    let (mut keys, mut wrongs) = (Vec::new(), Vec::new());
    for (index, text) in items.into_iter().enumerate() {
        match read_master_key(text) {
            Ok(key) => keys.push(key),
            Err(why) => {
                wrongs.push(Wrong { item: Some(index), what: format!("key {} is refused: {why}", index + 1) })
            }
        }
    }
    if wrongs.is_empty() { Ok(keys) } else { Err(wrongs) }
}

fn read_master_key(text: Option<&str>) -> Result<ConfiguredMasterKey, String> {
    let text = text.ok_or("a master key is text: put it in quotation marks")?;
    let key = MasterKey::parse(text).map_err(|error| error.to_string())?;
    Ok(ConfiguredMasterKey { key, is_example: text == EXAMPLE_MASTER_KEY })
}

/// Digits alone: a sign or a fraction is no count.
fn parse_count<T: FromStr>(text: &str) -> Option<T> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { text.parse().ok() } else { None }
}

fn parse_cores(text: &str) -> Option<Cores> {
    match text {
        "auto" => Some(Cores::Auto),
        number => ShardCount::new(parse_count(number)?).map(Cores::Exactly),
    }
}

fn parse_driver(text: &str) -> Option<DriverChoice> {
    [DriverChoice::Auto, DriverChoice::IoUring, DriverChoice::Epoll]
        .into_iter()
        .find(|driver| driver.to_string() == text)
}

fn parse_mode(text: &str) -> Option<JournalMode> {
    [JournalMode::Memory, JournalMode::EverySecond, JournalMode::Always]
        .into_iter()
        .find(|mode| mode.to_string() == text)
}

fn parse_folder(text: &str) -> Option<PathBuf> {
    let is_path = !text.is_empty() && !text.contains('\0');
    is_path.then(|| text.into())
}

fn parse_ttl(text: &str) -> Option<Ttl> {
    let millis = parse_span(text)?.as_u64();
    if millis.is_multiple_of(1_000) { Ttl::from_secs(millis / 1_000) } else { None }
}

fn parse_memory(text: &str) -> Option<MemoryMax> {
    match text.strip_suffix('%') {
        Some(share) => within(parse_count(share.trim_end())?, &(1, 100)).map(MemoryMax::Percent),
        None => within(parse_size(text)?, &(MEMORY_MIN, MEMORY_MAX)).map(MemoryMax::Bytes),
    }
}

fn show_cores(cores: Cores) -> Value {
    match cores {
        Cores::Auto => cores.to_string().into(),
        Cores::Exactly(count) => count.get().into(),
    }
}

pub(super) fn show_memory(max: MemoryMax) -> String {
    match max {
        MemoryMax::Percent(share) => format!("{share}%"),
        MemoryMax::Bytes(size) => show_size(size),
    }
}

fn within<T: PartialOrd + Copy>(value: T, (min, max): &Range<T>) -> Option<T> {
    debug_assert!(min <= max, "a range allows something");
    (*min <= value && value <= *max).then_some(value)
}

#[cfg(test)]
mod tests;
