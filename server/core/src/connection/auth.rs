//! The shared secret: token or password (contract 2.7, step 2 of its order of attempts, and odds 2 and 5).
//!
//! Pure; the handshake calls [`Auth::check`] and, when that refuses, asks the device store about `auth.token` as a
//! device token. Step 1 of 2.7 is in [`super::tailscale`]; how often may be tried is up to [`super::limiter`].

use openclaw_protocol::rt::SecretString;
use openclaw_protocol::types::ConnectAuth;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::words;

words! {
    /// `gateway.auth.mode` (contract 2.7).
    AuthMode {
        /// Clients show `gateway.auth.token`.
        Token = "token",
        /// Clients show `gateway.auth.password`.
        Password = "password",
    }
}

/// A configured secret. Only its hash is kept, and comparison takes the same time for every guess: the hash of the
/// guess is compared, so neither length nor content leaks (odd 5).
#[derive(Clone)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// `None` for an empty text, which counts as not configured.
    #[must_use]
    pub fn of(secret: &str) -> Option<Self> {
        (!secret.is_empty()).then(|| Self(Sha256::digest(secret).into()))
    }

    /// Is `guess` the secret?
    #[must_use]
    pub fn matches(&self, guess: &str) -> bool {
        Sha256::digest(guess).as_slice().ct_eq(&self.0).into()
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The configured way in; fixed at start.
#[derive(Debug, Clone)]
pub struct Auth {
    mode: AuthMode,
    secret: Option<SecretHash>,
}

/// What a client brought in `connect.auth`. Empty strings count as absent.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    token: Option<&'a str>,
    password: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// Credentials as sent.
    #[must_use]
    pub fn new(token: Option<&'a str>, password: Option<&'a str>) -> Self {
        Self {
            token: token.filter(|text| !text.is_empty()),
            password: password.filter(|text| !text.is_empty()),
        }
    }

    /// Those of a `connect`.
    #[must_use]
    pub fn of(auth: Option<&'a ConnectAuth>) -> Self {
        auth.map_or_else(Self::default, |auth| {
            Self::new(
                auth.token.as_ref().map(SecretString::expose),
                auth.password.as_ref().map(SecretString::expose),
            )
        })
    }

    /// `auth.token`
    #[must_use]
    pub fn token(&self) -> Option<&'a str> {
        self.token
    }

    /// Is there a token or a password?
    #[must_use]
    pub fn any(&self) -> bool {
        self.token.is_some() || self.password.is_some()
    }

    fn of_mode(&self, mode: AuthMode) -> Option<&'a str> {
        match mode {
            AuthMode::Token => self.token,
            AuthMode::Password => self.password,
        }
    }
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.is_some())
            .field("password", &self.password.is_some())
            .finish()
    }
}

/// Why the shared secret did not let a client in (contract 2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthError {
    /// Which secret was asked for.
    pub mode: AuthMode,
    /// What was wrong with it.
    pub fault: AuthFault,
}

/// What was wrong with the shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthFault {
    /// The gateway itself has none, so nobody can match it.
    NotConfigured,
    /// The client sent none.
    Missing,
    /// The client sent another one.
    Mismatch,
}

impl Auth {
    /// Clients come in with the secret of `mode`; without a secret nobody does.
    #[must_use]
    pub fn new(mode: AuthMode, secret: Option<&str>) -> Self {
        Self {
            mode,
            secret: secret.and_then(SecretHash::of),
        }
    }

    /// Which secret opens the gateway.
    #[must_use]
    pub fn mode(&self) -> AuthMode {
        self.mode
    }

    /// Did the client send something that could be the shared secret, whatever its value (odd 2)? A token always
    /// counts, since the reference lets a client without device in on any token *beside* the right password.
    #[must_use]
    pub fn offered(&self, credentials: &Credentials<'_>) -> bool {
        credentials.token.is_some() || credentials.of_mode(self.mode).is_some()
    }

    /// Compares the secret of the mode; the other one is not looked at.
    ///
    /// # Errors
    /// What to tell the client.
    pub fn check(&self, credentials: &Credentials<'_>) -> Result<(), AuthError> {
        let fault = match (&self.secret, credentials.of_mode(self.mode)) {
            (None, _) => AuthFault::NotConfigured,
            (Some(_), None) => AuthFault::Missing,
            (Some(secret), Some(guess)) if secret.matches(guess) => return Ok(()),
            (Some(_), Some(_)) => AuthFault::Mismatch,
        };
        Err(AuthError {
            mode: self.mode,
            fault,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix() {
        use AuthFault::{Mismatch, Missing, NotConfigured};
        use AuthMode::{Password, Token};

        // mode, secret, token sent, password sent, verdict, counts as offered
        let cases = [
            (Token, Some("tok"), Some("tok"), None, None, true),
            (Token, Some("tok"), Some("tok"), Some("x"), None, true),
            (Token, Some("tok"), Some("tox"), None, Some(Mismatch), true),
            (Token, Some("tok"), Some("to"), None, Some(Mismatch), true),
            (Token, Some("tok"), Some("tokk"), None, Some(Mismatch), true),
            (Token, Some("tok"), Some("TOK"), None, Some(Mismatch), true),
            (Token, Some("tok"), Some(" tok"), None, Some(Mismatch), true),
            // As long as "tok" in UTF-16 units, but not in bytes: an exception in the reference (odd 5).
            (Token, Some("tok"), Some("tök"), None, Some(Mismatch), true),
            (Token, Some("tök"), Some("tök"), None, None, true),
            (Token, Some("tok"), None, None, Some(Missing), false),
            (Token, Some("tok"), Some(""), None, Some(Missing), false),
            (Token, Some("tok"), None, Some("tok"), Some(Missing), false),
            (Token, None, Some("tok"), None, Some(NotConfigured), true),
            (Token, None, None, None, Some(NotConfigured), false),
            (Token, Some(""), Some(""), None, Some(NotConfigured), false),
            (Password, Some("pw"), None, Some("pw"), None, true),
            (Password, Some("pw"), Some("junk"), Some("pw"), None, true),
            (Password, Some("pw"), None, Some("no"), Some(Mismatch), true),
            (Password, Some("pw"), Some("pw"), None, Some(Missing), true),
            (Password, Some("pw"), None, Some(""), Some(Missing), false),
            (Password, Some("pw"), None, None, Some(Missing), false),
            (Password, None, None, Some("pw"), Some(NotConfigured), true),
        ];
        for (mode, secret, token, password, fault, offered) in cases {
            let auth = Auth::new(mode, secret);
            let credentials = Credentials::new(token, password);
            let expected = fault.map_or(Ok(()), |fault| Err(AuthError { mode, fault }));
            let case = (mode, secret, token, password);
            assert_eq!(auth.check(&credentials), expected, "{case:?}");
            assert_eq!(auth.offered(&credentials), offered, "{case:?}");
            assert_eq!(auth.mode(), mode);
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let auth = Auth::new(AuthMode::Token, Some("hunter2"));
        let credentials = Credentials::new(Some("hunter2"), Some("hunter2"));
        let text = format!("{auth:?} {credentials:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
