//! Who a device is: its Ed25519 key, the id derived from the key, and the signature over the connect request
//! (contract 2.4, 2.5, checks 7a to 7f of 2.3).
//!
//! Pure; the handshake calls [`Claim::verify`]. A [`VerifiedDevice`] cannot be made in any other way, so whatever
//! takes one (device tokens, pairing) knows that the peer holds the key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{PUBLIC_KEY_LENGTH, Signature, VerifyingKey};

use crate::hex::sha256_hex;

/// base64url, lenient on input: the reference decoder takes padding and stray trailing bits, and clients have come to
/// send both alphabets (contract 2.4).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// DER of an Ed25519 SubjectPublicKeyInfo up to the key itself (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Bytes that are enough for what nearly every device signs.
const USUAL_PAYLOAD: usize = 384;

/// A device whose signature over this very connection's request was verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifiedDevice {
    id: String,
    public_key: String,
    key: VerifyingKey,
}

impl VerifiedDevice {
    /// Lower-case hex SHA-256 of the raw key, 64 characters.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// base64url of the raw key without padding, whatever form the client sent: the form that is stored.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The key itself, ready to check signatures with.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// A device for tests of what follows the verification. Where `raw` is no key, another stands for it.
    #[cfg(test)]
    pub(crate) fn of_key(raw: [u8; PUBLIC_KEY_LENGTH]) -> Self {
        Self {
            id: sha256_hex(raw),
            public_key: BASE64.encode(raw),
            key: VerifyingKey::from_bytes(&raw)
                .unwrap_or_else(|_| ed25519_dalek::SigningKey::from_bytes(&raw).verifying_key()),
        }
    }
}

/// What a client says about its device in `connect`, with all that its signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// `device.id`
    pub device_id: &'a str,
    /// `device.publicKey`
    pub public_key: &'a str,
    /// `device.signature`
    pub signature: &'a str,
    /// `device.signedAt`, ms
    pub signed_at: u64,
    /// `device.nonce`
    pub nonce: Option<&'a str>,
    /// `client.id` as sent (odd 57)
    pub client_id: &'a str,
    /// `client.mode` as sent
    pub client_mode: &'a str,
    /// The effective role
    pub role: &'a str,
    /// `scopes` as sent: neither sorted nor defaulted
    pub scopes: &'a [String],
    /// `auth.token` as sent
    pub token: Option<&'a str>,
}

/// What the server knows when it judges a claim.
#[derive(Debug, Clone, Copy)]
pub struct Challenge<'a> {
    /// The connection's challenge nonce.
    pub nonce: &'a str,
    /// The claim must carry it: the connection is not local, or a policy asks for it everywhere.
    pub nonce_required: bool,
    /// Now, ms.
    pub now_ms: u64,
    /// How far `signedAt` may be off, ms.
    pub max_skew_ms: u64,
}

/// Why a claim is refused, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// 7a: the id is not the one of the key, or the key cannot be read at all.
    #[error("device id does not belong to the public key")]
    Mismatch,
    /// 7b: signed too long ago, or in the future.
    #[error("signature is older or newer than allowed")]
    Expired,
    /// 7c
    #[error("nonce is missing")]
    NonceRequired,
    /// 7d
    #[error("nonce is not the one of the challenge")]
    NonceMismatch,
    /// 7e: wrong signature, or a key that is no point of the curve.
    #[error("signature does not verify")]
    SignatureInvalid,
    /// 7f: a key of small order, for which anybody can make signatures. The reference accepts it.
    #[error("public key is weak")]
    WeakKey,
}

impl Claim<'_> {
    /// The text that the client has signed: version 2 with a nonce, version 1 without.
    #[must_use]
    pub fn payload(&self) -> String {
        let nonce = self.effective_nonce();
        let version = if nonce.is_some() { "v2" } else { "v1" };
        let mut text = String::with_capacity(USUAL_PAYLOAD);
        for field in [
            version,
            self.device_id,
            self.client_id,
            self.client_mode,
            self.role,
        ] {
            text.push_str(field);
            text.push('|');
        }
        for (index, scope) in self.scopes.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(scope);
        }
        text.push('|');
        text.push_str(itoa::Buffer::new().format(self.signed_at));
        text.push('|');
        text.push_str(self.token.unwrap_or_default());
        if let Some(nonce) = nonce {
            text.push('|');
            text.push_str(nonce);
        }
        text
    }

    /// Checks 7a to 7f. `kept` may have the key of the device with an id from before, which saves reading it anew: a
    /// tenth of what a check of a signature costs.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(
        &self,
        challenge: &Challenge<'_>,
        kept: impl FnOnce(&str) -> Option<VerifyingKey>,
    ) -> Result<VerifiedDevice, IdentityError> {
        let key = decode_key(self.public_key).ok_or(IdentityError::Mismatch)?;
        let id = sha256_hex(&key);
        if id != self.device_id {
            return Err(IdentityError::Mismatch);
        }
        if challenge.now_ms.abs_diff(self.signed_at) > challenge.max_skew_ms {
            return Err(IdentityError::Expired);
        }
        match self.effective_nonce() {
            None if challenge.nonce_required => return Err(IdentityError::NonceRequired),
            Some(nonce) if nonce != challenge.nonce => return Err(IdentityError::NonceMismatch),
            _ => {}
        }
        let key = match kept(&id).filter(|kept| kept.as_bytes() == key.as_slice()) {
            Some(kept) => kept,
            None => read_key(&key)?,
        };
        verify_signature(&key, self.payload().as_bytes(), self.signature)?;
        Ok(VerifiedDevice {
            id,
            public_key: BASE64.encode(key.as_bytes()),
            key,
        })
    }

    /// A blank nonce counts as none, and blanks around one do not matter.
    fn effective_nonce(&self) -> Option<&str> {
        self.nonce.map(str::trim).filter(|nonce| !nonce.is_empty())
    }
}

/// The point of the curve that a raw key stands for.
fn read_key(raw: &[u8]) -> Result<VerifyingKey, IdentityError> {
    let raw = raw
        .try_into()
        .map_err(|_| IdentityError::SignatureInvalid)?;
    VerifyingKey::from_bytes(raw).map_err(|_| IdentityError::SignatureInvalid)
}

fn verify_signature(
    key: &VerifyingKey,
    payload: &[u8],
    signature: &str,
) -> Result<(), IdentityError> {
    const INVALID: IdentityError = IdentityError::SignatureInvalid;
    // Strict verification refuses weak keys too; which of the two it was is only looked into when it failed.
    let refusal = || {
        if key.is_weak() {
            IdentityError::WeakKey
        } else {
            INVALID
        }
    };
    let signature = decode(signature).ok_or_else(refusal)?;
    let signature = Signature::from_slice(&signature).map_err(|_| refusal())?;
    key.verify_strict(payload, &signature)
        .map_err(|_| refusal())
}

/// The raw key out of base64url, base64 or a PEM document. It need not have 32 bytes: the id of a key of any length is
/// compared first, as the reference does.
fn decode_key(text: &str) -> Option<Vec<u8>> {
    if !text.contains("BEGIN") {
        return decode(text);
    }
    let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (body, _) = rest.split_once("-----END PUBLIC KEY-----")?;
    let der = decode(body)?;
    match der.strip_prefix(&SPKI_PREFIX) {
        Some(raw) if raw.len() == PUBLIC_KEY_LENGTH => Some(raw.to_vec()),
        _ => Some(der),
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut symbols = Vec::with_capacity(text.len());
    symbols.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    for symbol in &mut symbols {
        *symbol = match *symbol {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        };
    }
    BASE64.decode(symbols).ok()
}

#[cfg(test)]
mod tests;
