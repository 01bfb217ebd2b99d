//! String types that generated structs use.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use subtle::ConstantTimeEq;

/// A string of at least one code point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonEmptyString(String);

/// A string that had to have content was empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must NOT have fewer than 1 characters")]
pub struct EmptyString;

impl NonEmptyString {
    /// `None` when `text` is empty.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        Self::try_from(text.into()).ok()
    }

    /// The text, or `fallback` where it is empty. The fallback is a constant of ours, never empty.
    pub fn or(text: impl Into<String>, fallback: &'static str) -> Self {
        debug_assert!(!fallback.is_empty());
        Self::new(text).unwrap_or_else(|| Self(fallback.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NonEmptyString {
    type Error = EmptyString;

    fn try_from(text: String) -> Result<Self, EmptyString> {
        if text.is_empty() {
            Err(EmptyString)
        } else {
            Ok(Self(text))
        }
    }
}

impl TryFrom<&str> for NonEmptyString {
    type Error = EmptyString;

    fn try_from(text: &str) -> Result<Self, EmptyString> {
        text.to_owned().try_into()
    }
}

impl FromStr for NonEmptyString {
    type Err = EmptyString;

    fn from_str(text: &str) -> Result<Self, EmptyString> {
        text.try_into()
    }
}

impl From<NonEmptyString> for String {
    fn from(text: NonEmptyString) -> Self {
        text.0
    }
}

impl Deref for NonEmptyString {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for NonEmptyString {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for NonEmptyString {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NonEmptyString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl PartialEq<str> for NonEmptyString {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for NonEmptyString {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl Serialize for NonEmptyString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NonEmptyString {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .try_into()
            .map_err(D::Error::custom)
    }
}

/// A string that must not show up in logs: tokens, passwords, keys.
///
/// `Debug` hides it and there is no `Display`; comparison takes time that does not
/// depend on the content. It does go over the wire: `Serialize` writes the text.
#[derive(Clone, Default)]
pub struct SecretString(String);

impl SecretString {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretString {}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for SecretString {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

impl Serialize for SecretString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretString {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn empty_texts_are_refused_on_every_way_in() {
        assert_eq!(NonEmptyString::new(""), None);
        assert_eq!(NonEmptyString::try_from(""), Err(EmptyString));
        assert_eq!(NonEmptyString::try_from(String::new()), Err(EmptyString));
        assert_eq!("".parse::<NonEmptyString>(), Err(EmptyString));
        assert!(serde_json::from_str::<NonEmptyString>("\"\"").is_err());
        assert!(serde_json::from_str::<NonEmptyString>("1").is_err());
    }

    #[test]
    fn non_empty_strings_are_used_like_strings() {
        let text = NonEmptyString::new("abc").unwrap();
        assert!(text == "abc" && text == *"abc" && text.starts_with('a'));
        assert_eq!(format!("{text:>5}|{text}"), "  abc|abc");
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"abc\"");
        assert_eq!(
            serde_json::from_str::<NonEmptyString>("\"a\\u0062c\"").unwrap(),
            text
        );
        assert!(BTreeSet::from([text.clone()]).contains("abc"));
        assert_eq!(String::from(text), "abc");
    }

    #[test]
    fn secrets_are_hidden_but_travel() {
        #[derive(Debug)]
        struct Auth {
            token: SecretString,
        }
        let auth = Auth {
            token: "hunter2".into(),
        };
        assert_eq!(format!("{auth:?}"), "Auth { token: [redacted] }");
        assert_eq!(auth.token.expose(), "hunter2");
        assert_eq!(serde_json::to_string(&auth.token).unwrap(), "\"hunter2\"");
        let read: SecretString = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(read, auth.token);
        for other in ["hunter3", "hunter", "", "hunter22"] {
            assert_ne!(read, SecretString::new(other), "{other}");
        }
    }
}
