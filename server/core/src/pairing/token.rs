//! Device tokens: 32 lower-case hex digits that a device may show instead of the shared secret (contract 3.1, 3.4).
//!
//! hello-ok has to return the same token on every connect, yet no token may lie on disk in clear. So a token is derived,
//! not stored: the first half of HMAC-SHA256 over device id, role and a random salt, under a key that only this host
//! has. The record keeps the salt. A copy of the database without the key file opens nothing, and a new salt makes a
//! new token.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use openclaw_protocol::protocol::Role;
use openclaw_protocol::rt::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::hex::hex;

/// Bytes of the server's key: as many as its hash gives.
const KEY_BYTES: usize = 32;
/// Bytes of a salt: enough that no two are ever equal.
const SALT_BYTES: usize = 16;
/// Bytes of a token: the wire has 32 hex digits, the length of the uuid that the reference uses.
const TOKEN_BYTES: usize = 16;
/// Folder below the state directory for what nobody but the gateway may read.
const SECRETS_DIR: &str = "secrets";
/// The key file.
const KEY_FILE: &str = "device-tokens.key";
/// Set before the derivation's input, so that another derivation under the same key can never give a token.
const DOMAIN: &str = "v1";

/// The key from which all device tokens derive.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

/// What makes one token of a device and role differ from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; SALT_BYTES]);

/// Why there is no token key.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The key file or its folder cannot be read or made.
    #[error("cannot use {path}: {cause}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Random(#[from] getrandom::Error),
}

impl TokenKey {
    /// The key in `<state_dir>/secrets/device-tokens.key` (0600, made on the first start).
    ///
    /// A file of another length was cut short by a crash or meddled with: it is put aside, a new key is made and every
    /// device token thereby revoked. Clients then fall back to the shared secret and get a new token; refusing to
    /// start would leave them without a gateway.
    ///
    /// # Errors
    /// See [`TokenKeyError`].
    pub fn load_or_create(state_dir: &Path) -> Result<Self, TokenKeyError> {
        let dir = state_dir.join(SECRETS_DIR);
        let path = dir.join(KEY_FILE);
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |cause| TokenKeyError::File { path, cause }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(at(&dir))?;
        match fs::read(&path) {
            Ok(bytes) => {
                if let Ok(key) = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()) {
                    keep_private(&path).map_err(at(&path))?;
                    return Ok(Self::from_bytes(key));
                }
                let aside = path.with_extension("key.damaged");
                tracing::warn!(
                    path = %path.display(),
                    aside = %aside.display(),
                    length = bytes.len(),
                    "the key of the device tokens is damaged; making a new one, devices need the shared secret once"
                );
                fs::rename(&path, &aside).map_err(at(&path))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        create(&path, &key).map_err(at(&path))?;
        // The file's own content is synced; this makes its name as durable as the tokens handed out.
        File::open(&dir)
            .and_then(|dir| dir.sync_all())
            .map_err(at(&dir))?;
        Ok(Self::from_bytes(key))
    }

    /// A given key.
    #[must_use]
    pub fn from_bytes(key: [u8; KEY_BYTES]) -> Self {
        // HMAC pads a short key with zeros to the block of its hash; done here, it cannot fail.
        let mut block = [0; 64];
        block[..KEY_BYTES].copy_from_slice(&key);
        Self(Hmac::new(&block.into()))
    }

    /// The token of a device and role under a salt.
    #[must_use]
    pub fn token(&self, device_id: &str, role: Role, salt: Salt) -> SecretString {
        SecretString::new(self.text(device_id, role, salt))
    }

    /// Is `shown` that token? Takes the same time whatever is shown.
    #[must_use]
    pub fn matches(&self, shown: &str, device_id: &str, role: Role, salt: Salt) -> bool {
        let token = self.text(device_id, role, salt);
        token.as_bytes().ct_eq(shown.as_bytes()).into()
    }

    fn text(&self, device_id: &str, role: Role, salt: Salt) -> String {
        let mut mac = self.0.clone();
        for field in [DOMAIN, "|", device_id, "|", role.as_str(), "|"] {
            mac.update(field.as_bytes());
        }
        mac.update(&salt.0);
        hex(&mac.finalize().into_bytes()[..TOKEN_BYTES])
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey([redacted])")
    }
}

fn create(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

/// A key file that others could read (restored from a backup, say) is closed to them again.
fn keep_private(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format_args!("{:o}", mode & 0o777), "closing a key file to others");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

impl Salt {
    /// A salt of given bytes, which the caller has from the system's source of randomness.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SALT_BYTES]) -> Self {
        Self(bytes)
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; SALT_BYTES];
        let digits: Option<Vec<u8>> = text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
        let digits = digits.filter(|digits| digits.len() == SALT_BYTES * 2);
        let digits =
            digits.ok_or_else(|| D::Error::custom("a salt of 32 hex digits is expected"))?;
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn token(key: &TokenKey) -> SecretString {
        key.token("id", Role::Operator, Salt([1; 16]))
    }

    #[test]
    fn tokens_depend_on_every_part() {
        let key = TokenKey::from_bytes([1; 32]);
        let base = token(&key);
        // Computed once with another implementation of HMAC-SHA256.
        assert_eq!(base.expose(), EXPECTED);
        let others = [
            TokenKey::from_bytes([2; 32]).token("id", Role::Operator, Salt([1; 16])),
            key.token("ie", Role::Operator, Salt([1; 16])),
            key.token("id", Role::Node, Salt([1; 16])),
            key.token("id", Role::Operator, Salt([2; 16])),
        ];
        for other in others {
            assert_eq!(other.expose().len(), 32);
            assert_ne!(other, base);
            assert!(!key.matches(other.expose(), "id", Role::Operator, Salt([1; 16])));
        }
        assert!(key.matches(base.expose(), "id", Role::Operator, Salt([1; 16])));
        for shown in [
            "",
            &base.expose()[1..],
            &base.expose().to_uppercase(),
            &format!("{}0", base.expose()),
        ] {
            assert!(
                !key.matches(shown, "id", Role::Operator, Salt([1; 16])),
                "{shown:?}"
            );
        }
    }

    const EXPECTED: &str = "ee42fbff3ec09298c7eab06f1761f70b";

    #[test]
    fn the_key_file_is_made_once_and_kept_private() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("secrets/device-tokens.key");
        let first = token(&TokenKey::load_or_create(state.path()).unwrap());
        assert_eq!((mode(&path), fs::read(&path).unwrap().len()), (0o600, 32));
        assert_eq!(mode(path.parent().unwrap()), 0o700);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(
            token(&TokenKey::load_or_create(state.path()).unwrap()),
            first
        );
        assert_eq!(mode(&path), 0o600);

        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(
            token(&TokenKey::load_or_create(elsewhere.path()).unwrap()),
            first
        );
    }

    #[test]
    fn a_damaged_key_file_is_put_aside() {
        for length in [0, 31, 33] {
            let state = tempfile::tempdir().unwrap();
            let dir = state.path().join("secrets");
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("device-tokens.key"), vec![7; length]).unwrap();
            let made = token(&TokenKey::load_or_create(state.path()).unwrap());
            assert_eq!(
                token(&TokenKey::load_or_create(state.path()).unwrap()),
                made
            );
            assert_eq!(
                fs::read(dir.join("device-tokens.key.damaged"))
                    .unwrap()
                    .len(),
                length
            );
        }
    }

    #[test]
    fn a_state_directory_that_cannot_be_used_is_an_error() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("secrets"), "a file").unwrap();
        let error = TokenKey::load_or_create(state.path()).unwrap_err();
        assert!(error.to_string().contains("secrets"), "{error}");
    }

    #[test]
    fn salts_round_trip() {
        let salt = Salt(std::array::from_fn(|index| index as u8 * 17));
        let text = serde_json::to_string(&salt).unwrap();
        assert_eq!(text, r#""00112233445566778899aabbccddeeff""#);
        assert_eq!(serde_json::from_str::<Salt>(&text).unwrap(), salt);
        for bad in [
            r#""00""#,
            r#""0011223344556677889900aabbccddeef""#,
            r#""zz112233445566778899aabbccddeeff""#,
        ] {
            assert!(serde_json::from_str::<Salt>(bad).is_err(), "{bad}");
        }
    }
}
