//! The device's key: its file, its id, and what it signs at connect (contract 2.4 and 2.5).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use ed25519_dalek::pkcs8::{EncodePublicKey as _, spki};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::files;

/// Where the file is, below the home folder's `.openclaw`. Unlike other state it does not follow
/// an override of the state folder.
pub const IDENTITY_FILE: &str = "identity/device.json";

/// The one version of the file there is.
const FILE_VERSION: u64 = 1;

/// An Ed25519 key pair that stands for this device, and the id that follows from it.
#[derive(Clone)]
pub struct DeviceIdentity {
    key: SigningKey,
    device_id: String,
}

/// The identity cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("device identity {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is there but holds no key of ours. It is left alone, since it may be the only
    /// copy of a key that a gateway knows.
    #[error(
        "device identity {} is damaged ({why}); restore it, or move it away to become a new device",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No random numbers for a new key.
    #[error("cannot make a device key: {0}")]
    Random(io::Error),
}

/// The file, as the original client writes it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    version: u64,
    device_id: String,
    public_key_pem: String,
    private_key_pem: String,
    created_at_ms: u64,
}

impl DeviceIdentity {
    /// Reads the identity file at `path`, or makes it (0600) with a new key when there is none.
    /// Blocks on disk.
    ///
    /// # Errors
    /// See [`IdentityError`]; a damaged file is never replaced.
    pub fn load_or_create(path: &Path, clock: &Clock) -> Result<Self, IdentityError> {
        if let Some(identity) = Self::load(path)? {
            return Ok(identity);
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| IdentityError::Random(io::Error::other(e)))?;
        let identity = Self::from_seed(&seed);
        match files::create(path, &identity.to_file(clock.now_ms(), path)?) {
            Ok(()) => Ok(identity),
            // Another process was faster; there can be only one.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match Self::load(path)? {
                Some(identity) => Ok(identity),
                None => Err(IdentityError::File {
                    path: path.to_owned(),
                    source: e,
                }),
            },
            Err(source) => Err(IdentityError::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads the identity file at `path`; `None` when there is no such file. Blocks on disk.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_file(&text)
                .map(Some)
                .map_err(|why| IdentityError::Damaged {
                    path: path.to_owned(),
                    why,
                }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The identity of a known seed: for tests and recorded sessions.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let device_id = hex(&Sha256::digest(key.verifying_key().as_bytes()));
        Self { key, device_id }
    }

    /// Lower-case hexadecimal SHA-256 of the public key: 64 characters.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The public key as the wire has it: base64url of its 32 bytes, without padding.
    #[must_use]
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    /// The signature over a payload text, base64url without padding.
    #[must_use]
    pub fn sign(&self, payload: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(payload.as_bytes()).to_bytes())
    }

    fn to_file(&self, now_ms: u64, path: &Path) -> Result<String, IdentityError> {
        let damaged = |why: String| IdentityError::Damaged {
            path: path.to_owned(),
            why,
        };
        // Without the public key inside, which is what OpenSSL, and so the original client, reads.
        let private = KeypairBytes {
            secret_key: self.key.to_bytes(),
            public_key: None,
        };
        let file = File {
            version: FILE_VERSION,
            device_id: self.device_id.clone(),
            public_key_pem: self
                .key
                .verifying_key()
                .to_public_key_pem(LineEnding::LF)
                .map_err(|e: spki::Error| damaged(e.to_string()))?,
            private_key_pem: private
                .to_pkcs8_pem(LineEnding::LF)
                .map_err(|e| damaged(e.to_string()))?
                .to_string(),
            created_at_ms: now_ms,
        };
        let mut text = serde_json::to_string_pretty(&file).map_err(|e| damaged(e.to_string()))?;
        text.push('\n');
        Ok(text)
    }

    fn from_file(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if file.version != FILE_VERSION {
            return Err(format!("version {} is not known", file.version));
        }
        let key = SigningKey::from_pkcs8_pem(&file.private_key_pem)
            .map_err(|e| format!("privateKeyPem: {e}"))?;
        let identity = Self::from_seed(&key.to_bytes());
        let public = identity
            .key
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|e: spki::Error| e.to_string())?;
        if public.trim_end() != file.public_key_pem.trim_end() {
            return Err("publicKeyPem does not belong to privateKeyPem".to_owned());
        }
        // A wrong deviceId is harmless: the id follows from the key.
        Ok(identity)
    }
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceIdentity")
            .field("device_id", &self.device_id)
            .finish_non_exhaustive()
    }
}

/// What a device signs at connect.
#[derive(Debug, Clone, Copy)]
pub struct SignedFields<'a> {
    /// Id of the device.
    pub device_id: &'a str,
    /// `client.id` as sent.
    pub client_id: &'a str,
    /// `client.mode` as sent.
    pub client_mode: &'a str,
    /// Effective role: `operator` when none is sent.
    pub role: &'a str,
    /// Scopes exactly as sent, none when none are sent.
    pub scopes: &'a [&'a str],
    /// Milliseconds since the epoch, equal to `device.signedAt`.
    pub signed_at: u64,
    /// `auth.token` as sent, or empty. Passwords are not signed.
    pub token: &'a str,
    /// The challenge's nonce. With one the second version of the text is made, else the first.
    pub nonce: Option<&'a str>,
}

impl SignedFields<'_> {
    /// The text that is signed: fields joined by `|` (contract 2.5).
    #[must_use]
    pub fn payload(&self) -> String {
        let version = if self.nonce.is_some() { "v2" } else { "v1" };
        let scopes = self.scopes.join(",");
        let signed_at = self.signed_at.to_string();
        let mut fields = vec![
            version,
            self.device_id,
            self.client_id,
            self.client_mode,
            self.role,
            &scopes,
            &signed_at,
            self.token,
        ];
        fields.extend(self.nonce);
        fields.join("|")
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> [u8; 32] {
        std::array::from_fn(|i| i as u8)
    }

    fn clock() -> Clock {
        Clock::from_fn(|| 1_769_900_000_000)
    }

    #[test]
    fn id_and_signatures_are_those_of_the_contract() {
        let id = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
        let identity = DeviceIdentity::from_seed(&seed());
        assert_eq!(identity.device_id(), id);
        assert_eq!(
            identity.public_key(),
            "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
        );

        let cli = SignedFields {
            device_id: id,
            client_id: "cli",
            client_mode: "cli",
            role: "operator",
            scopes: &["operator.read", "operator.write"],
            signed_at: 1_769_900_000_000,
            token: "tok",
            nonce: None,
        };
        let with_nonce = SignedFields {
            nonce: Some("11111111-2222-4333-8444-555555555555"),
            ..cli
        };
        let node = SignedFields {
            client_id: "node-host",
            client_mode: "node",
            role: "node",
            scopes: &[],
            token: "",
            ..cli
        };
        let cases = [
            (
                cli,
                format!("v1|{id}|cli|cli|operator|operator.read,operator.write|1769900000000|tok"),
                "S_0Cd0Es2eGK1W0odsHzXEEFfPBnkR0ig8Z3PqpeIVMTh7hWrkH6b9qOHfv7rDlr4nrs4G_K-pMKYHw0qjKmCg",
            ),
            (
                with_nonce,
                format!(
                    "v2|{id}|cli|cli|operator|operator.read,operator.write|1769900000000|tok|11111111-2222-4333-8444-555555555555"
                ),
                "PtEdQb_It_qQqfgVYxR6NgG-wFcWH_V03Bnk3j2brr_gtHW--4O46aSvq0qZWFzL602p21E48r5LOIcwhMyWAQ",
            ),
            (
                node,
                format!("v1|{id}|node-host|node|node||1769900000000|"),
                "XOez57W4Y_5jUOA5jd0qZVLuQ5bmmhZpZgsxsePYzw3HooHxzIIgBpOc93TjN-phS2i9aZR4uSkzokwx2MOPCw",
            ),
        ];
        for (fields, payload, signature) in cases {
            assert_eq!(fields.payload(), payload);
            assert_eq!(identity.sign(&payload), signature);
        }
    }

    #[test]
    fn the_file_is_the_original_clients() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(IDENTITY_FILE);
        let made = DeviceIdentity::load_or_create(&path, &clock()).unwrap();
        let file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(file["version"], 1);
        assert_eq!(file["deviceId"], made.device_id());
        assert_eq!(file["createdAtMs"], 1_769_900_000_000_u64);
        assert_eq!(file.as_object().unwrap().len(), 5);
        let again = DeviceIdentity::load_or_create(&path, &clock()).unwrap();
        assert_eq!(again.device_id(), made.device_id());
        assert_eq!(again.key, made.key);
    }

    /// The key of the contract's test vectors as Node's crypto module exports it.
    const NODE_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n-----END PUBLIC KEY-----\n";
    const NODE_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";

    #[test]
    fn keys_are_written_and_read_as_node_does() {
        let identity = DeviceIdentity::from_seed(&seed());
        let text = identity.to_file(5, Path::new("x")).unwrap();
        let file: File = serde_json::from_str(&text).unwrap();
        assert_eq!(file.public_key_pem, NODE_PUBLIC);
        assert_eq!(file.private_key_pem, NODE_PRIVATE);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays() {
        let file = |version: u64, public: &str, private: &str| {
            serde_json::json!({
                "version": version, "deviceId": "x", "publicKeyPem": public,
                "privateKeyPem": private, "createdAtMs": 1,
            })
            .to_string()
        };
        let other = DeviceIdentity::from_seed(&[9; 32]);
        let other: File = serde_json::from_str(&other.to_file(1, Path::new("x")).unwrap()).unwrap();
        let cases = [
            (file(1, NODE_PUBLIC, NODE_PRIVATE), None),
            (file(2, NODE_PUBLIC, NODE_PRIVATE), Some("version 2")),
            (file(1, NODE_PUBLIC, "no PEM"), Some("privateKeyPem")),
            (
                file(1, &other.public_key_pem, NODE_PRIVATE),
                Some("does not belong"),
            ),
            ("{}".to_owned(), Some("missing field")),
            (String::new(), Some("EOF")),
        ];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.json");
        for (text, problem) in cases {
            std::fs::write(&path, &text).unwrap();
            let outcome = DeviceIdentity::load_or_create(&path, &clock());
            match problem {
                None => assert_eq!(outcome.unwrap().key.to_bytes(), seed()),
                Some(words) => {
                    let error = outcome.unwrap_err().to_string();
                    assert!(error.contains(words), "{error}");
                    assert!(error.contains("device.json"), "{error}");
                }
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn an_unreadable_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = DeviceIdentity::load_or_create(dir.path(), &clock()).unwrap_err();
        assert!(matches!(error, IdentityError::File { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains(&dir.path().display().to_string())
        );
    }
}
