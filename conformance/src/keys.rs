//! The test devices: ed25519 seeds that everybody may know, and the signature of a `connect` (contract 2.4, 2.5).
//!
//! The importer asks how a recorded signature was made, the replayer makes it again over the nonce and time of today.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The file of test keys could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a map of name to seed, key and id.
    #[error("{path} does not hold test keys: {source}")]
    Parse {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A seed is not 32 bytes in hex.
    #[error("the seed of test device {0} is not 32 bytes in hex")]
    Seed(String),
}

/// How the device block of a recorded `connect` was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedWith {
    /// Name of the test device whose key signed.
    pub key: String,
    /// Form of the signed text.
    pub version: SignatureVersion,
    /// The scopes that were signed. Other than those requested in a session that tries exactly that.
    pub scopes: Vec<String>,
}

/// Form of the signed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureVersion {
    /// Without nonce.
    V1,
    /// With the nonce of the challenge.
    V2,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyEntry {
    seed_hex: String,
    public_key: String,
    device_id: String,
}

struct Device {
    key: SigningKey,
    public_key: String,
    device_id: String,
}

/// The test devices by name.
pub struct TestKeys(BTreeMap<String, Device>);

impl TestKeys {
    /// Reads the file of test keys.
    ///
    /// # Errors
    ///
    /// When it cannot be read or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeysError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| KeysError::Read {
            path: shown.clone(),
            source,
        })?;
        let entries: BTreeMap<String, KeyEntry> =
            serde_json::from_str(&text).map_err(|source| KeysError::Parse {
                path: shown,
                source,
            })?;
        let device = |(name, entry): (String, KeyEntry)| {
            let seed = seed(&entry.seed_hex).ok_or_else(|| KeysError::Seed(name.clone()))?;
            let key = SigningKey::from_bytes(&seed);
            Ok((
                name,
                Device {
                    key,
                    public_key: entry.public_key,
                    device_id: entry.device_id,
                },
            ))
        };
        entries
            .into_iter()
            .map(device)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Device ids and public keys: values that are the same in every run.
    pub fn constants(&self) -> impl Iterator<Item = &str> {
        self.0
            .values()
            .flat_map(|d| [d.device_id.as_str(), d.public_key.as_str()])
    }

    /// How the device block of these `connect` params was signed. None when no test key made the signature over any text
    /// that a client would sign.
    pub fn how_signed(&self, params: &Value) -> Option<SignedWith> {
        let device = params.get("device")?;
        let public_key = device.get("publicKey")?.as_str()?;
        let (name, signer) = self.0.iter().find(|(_, d)| d.public_key == public_key)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(device.get("signature")?.as_str()?)
            .ok()?;
        let signature = Signature::from_slice(&bytes).ok()?;
        let requested: Vec<String> = params
            .get("scopes")
            .and_then(|s| serde_json::from_value(s.clone()).ok())
            .unwrap_or_default();
        let known = [
            "operator.read",
            "operator.write",
            "operator.admin",
            "operator.approvals",
            "operator.pairing",
        ];
        let others = known.iter().map(|s| vec![(*s).to_owned()]);
        let candidates = [requested, Vec::new()].into_iter().chain(others);
        for scopes in candidates {
            for version in [SignatureVersion::V2, SignatureVersion::V1] {
                let text = signed_text(params, &signer.device_id, version, &scopes)?;
                if signer
                    .key
                    .verifying_key()
                    .verify(text.as_bytes(), &signature)
                    .is_ok()
                {
                    return Some(SignedWith {
                        key: name.clone(),
                        version,
                        scopes,
                    });
                }
            }
        }
        None
    }

    /// The signature over these `connect` params, made the way `with` says. None when there is no such key or the params
    /// lack what is signed.
    pub fn sign(&self, params: &Value, with: &SignedWith) -> Option<String> {
        let device = self.0.get(&with.key)?;
        let text = signed_text(params, &device.device_id, with.version, &with.scopes)?;
        Some(URL_SAFE_NO_PAD.encode(device.key.sign(text.as_bytes()).to_bytes()))
    }
}

fn seed(hex: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// The signer's own device id goes into the text, whatever `device.id` claims.
fn signed_text(
    params: &Value,
    device_id: &str,
    version: SignatureVersion,
    scopes: &[String],
) -> Option<String> {
    let text = |pointer: &str| params.pointer(pointer).and_then(Value::as_str);
    let signed_at = params.pointer("/device/signedAt")?.as_u64()?.to_string();
    let scopes = scopes.join(",");
    let mut parts = vec![
        match version {
            SignatureVersion::V1 => "v1",
            SignatureVersion::V2 => "v2",
        },
        device_id,
        text("/client/id")?,
        text("/client/mode")?,
        text("/role").unwrap_or("operator"),
        &scopes,
        &signed_at,
        text("/auth/token").unwrap_or_default(),
    ];
    if version == SignatureVersion::V2 {
        parts.push(text("/device/nonce").unwrap_or_default());
    }
    Some(parts.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys() -> TestKeys {
        TestKeys::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("keys.json")).unwrap()
    }

    fn params(scopes: &[&str], nonce: Option<&str>) -> Value {
        let mut device = json!({"id": "x", "signedAt": 1_769_900_000_000_u64,
            "publicKey": "_z0O0WMGnyks_8TYty4TYzoWBM9svAOTmWDi-cvVlms"});
        if let Some(nonce) = nonce {
            device["nonce"] = nonce.into();
        }
        json!({"client": {"id": "cli", "mode": "cli"}, "scopes": scopes, "auth": {"token": "tok"}, "device": device})
    }

    #[test]
    fn how_a_signature_was_made_is_found_again() {
        let keys = keys();
        for (requested, nonce, version, signed) in [
            (
                &["operator.read"][..],
                None,
                SignatureVersion::V1,
                &["operator.read"][..],
            ),
            (
                &["operator.read", "operator.write"],
                Some("n"),
                SignatureVersion::V2,
                &["operator.read", "operator.write"],
            ),
            (
                &["operator.admin"],
                Some("n"),
                SignatureVersion::V2,
                &["operator.read"],
            ),
            (&[], Some("n"), SignatureVersion::V2, &[]),
        ] {
            let with = SignedWith {
                key: "alpha".into(),
                version,
                scopes: signed.iter().map(|s| (*s).to_owned()).collect(),
            };
            let mut params = params(requested, nonce);
            params["device"]["signature"] = keys.sign(&params, &with).unwrap().into();
            assert_eq!(keys.how_signed(&params), Some(with));
        }
    }

    #[test]
    fn a_signature_that_no_client_would_make_is_not_explained() {
        let mut params = params(&[], None);
        params["device"]["signature"] = URL_SAFE_NO_PAD.encode([7; 64]).into();
        assert_eq!(keys().how_signed(&params), None);
    }

    #[test]
    fn the_test_vector_of_the_contract_holds() {
        // Contract 2.5: seed 00 01 … 1f, device id and v1 signature as printed there.
        let seed: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let id = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
        let device = Device {
            key: SigningKey::from_bytes(&seed),
            public_key: String::new(),
            device_id: id.into(),
        };
        let keys = TestKeys(BTreeMap::from([("vector".to_owned(), device)]));
        let scopes = vec!["operator.read".to_owned(), "operator.write".to_owned()];
        let with = SignedWith {
            key: "vector".into(),
            version: SignatureVersion::V1,
            scopes,
        };
        assert_eq!(
            keys.sign(&params(&[], None), &with).unwrap(),
            "S_0Cd0Es2eGK1W0odsHzXEEFfPBnkR0ig8Z3PqpeIVMTh7hWrkH6b9qOHfv7rDlr4nrs4G_K-pMKYHw0qjKmCg"
        );
    }
}
