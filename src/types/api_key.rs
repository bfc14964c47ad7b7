//! The secrets: a bucket's API key and the operator's master keys.
//!
//! Both are compared in constant time and neither can be printed by accident. Made keys
//! have one fixed, public length, so they are compared as they are; master keys have any
//! length and are hashed first, so that not even their length can be measured.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The random bytes that an API key is made of: 256 bits.
pub type ApiKeyBytes = [u8; 32];

/// The length of an API key as text: 32 bytes in base64url without padding.
pub const API_KEY_LEN: usize = 43;

/// The bytes of a key that are compared at once.
const WORD_LEN: usize = size_of::<u64>();

/// The shortest master key that is taken, in characters.
const MASTER_KEY_LEN_MIN: usize = 16;
/// The longest master key that is taken, in characters.
const MASTER_KEY_LEN_MAX: usize = 512;

/// A bucket's API key: 43 characters of base64url over 32 random bytes.
#[derive(Clone, Copy)]
pub struct ApiKey([u8; API_KEY_LEN]);

impl ApiKey {
    /// The key made of these random bytes: base64url (RFC 4648, section 5) without padding.
    pub fn from_random(bytes: &ApiKeyBytes) -> Self {
        let mut text = [0; API_KEY_LEN];
        let encoded = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        debug_assert_eq!(encoded, Ok(API_KEY_LEN), "32 bytes fill 43 characters");
        Self(text)
    }

    /// The key that `text` spells, or nothing where it cannot be a key that was made here.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; API_KEY_LEN] = text.try_into().ok()?;
        text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).then_some(Self(text))
    }

    /// Whether a client that sent `presented` has this key. Constant time for keys of our length.
    pub fn is(&self, presented: &[u8]) -> bool {
        let Ok(presented) = presented.try_into() else { return false };
        let pairs = words(&self.0).into_iter().zip(words(presented));
        pairs.fold(Choice::from(1), |equal, (own, shown)| equal & own.ct_eq(&shown)).into()
    }

    /// The text, for the one answer that hands it out.
    pub fn expose(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A key's text in pieces that are compared at once, a sixth of the work of doing so byte by byte.
/// Some bytes are in two of them.
fn words(text: &[u8; API_KEY_LEN]) -> [u64; API_KEY_LEN.div_ceil(WORD_LEN)] {
    std::array::from_fn(|number| {
        let start = (number * WORD_LEN).min(API_KEY_LEN - WORD_LEN);
        u64::from_ne_bytes(std::array::from_fn(|byte| text[start + byte]))
    })
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for ApiKey {}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// Why a text cannot be a master key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Too easily guessed, or longer than a header should be.
    #[error("a master key has {MASTER_KEY_LEN_MIN} to {MASTER_KEY_LEN_MAX} characters")]
    Length,
    /// It could not be sent as a header, a bearer token and a query alike.
    #[error("a master key is made of letters, digits and . _ ~ -")]
    Character,
}

/// An operator's key. Only its SHA-256 is kept.
#[derive(Clone, Copy)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// The master key that `text` spells: 16 to 512 characters of `[A-Za-z0-9._~-]`.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        if !(MASTER_KEY_LEN_MIN..=MASTER_KEY_LEN_MAX).contains(&text.len()) {
            return Err(MasterKeyError::Length);
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        if !text.bytes().all(is_allowed) {
            return Err(MasterKeyError::Character);
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    /// Whether a client that sent `presented` has this key. The time taken tells nothing of the key.
    pub fn is(&self, presented: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        self.0.ct_eq(&digest).into()
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for MasterKey {}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_base64url() {
        assert_eq!(ApiKey::from_random(&[0; 32]).expose(), "A".repeat(43));
        assert_eq!(ApiKey::from_random(&[0xff; 32]).expose(), format!("{}8", "_".repeat(42)));
        let counting: ApiKeyBytes = std::array::from_fn(|byte| byte as u8);
        // `python3 -c "import base64;print(base64.urlsafe_b64encode(bytes(range(32))))"`
        assert_eq!(ApiKey::from_random(&counting).expose(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    }

    #[test]
    fn a_key_is_itself_and_nothing_else() {
        let key = ApiKey::from_random(&[7; 32]);
        let other = ApiKey::from_random(&[8; 32]);
        assert!(key.is(key.expose().as_bytes()));
        for presented in ["", "x", other.expose(), &key.expose()[1..], &format!("{}=", key.expose())] {
            assert!(!key.is(presented.as_bytes()), "{presented}");
        }
        for place in 0..API_KEY_LEN {
            let mut almost = key.0;
            almost[place] ^= 1;
            assert!(!key.is(&almost), "byte {place} counts");
        }
        assert_eq!(ApiKey::parse(key.expose().as_bytes()), Some(key));
        assert_eq!(ApiKey::parse(b"short"), None);
        assert_eq!(ApiKey::parse("+".repeat(43).as_bytes()), None);
    }

    #[test]
    fn master_keys_have_a_length_and_an_alphabet() {
        let key = MasterKey::parse("0123456789abcdef").unwrap();
        assert!(key.is(b"0123456789abcdef"));
        assert!(!key.is(b"0123456789abcdeF") && !key.is(b""));
        assert_eq!(MasterKey::parse("0123456789abcde"), Err(MasterKeyError::Length));
        assert_eq!(MasterKey::parse(&"a".repeat(513)), Err(MasterKeyError::Length));
        assert_eq!(MasterKey::parse("0123456789 abcdef"), Err(MasterKeyError::Character));
    }

    #[test]
    fn no_secret_can_be_printed() {
        let key = ApiKey::from_random(&[7; 32]);
        let master = MasterKey::parse("0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?} {master:?}"), "ApiKey(..) MasterKey(..)");
    }
}
