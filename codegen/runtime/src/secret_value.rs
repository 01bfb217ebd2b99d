//! An open value that may hold secrets. Generated types have it where the schema marks any value `x-secret`.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

/// Any JSON value that must not show up in logs: a config, the answer to a question.
///
/// `Debug` hides it whole and there is no `Display`. Comparison stops at the first difference: it is for
/// tests and not for judging credentials, which are a [`SecretString`](crate::SecretString). It does go
/// over the wire: `Serialize` writes the value.
#[derive(Clone, Default, PartialEq)]
pub struct SecretValue(Value);

impl SecretValue {
    /// Hides `value`.
    pub fn new(value: impl Into<Value>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &Value {
        &self.0
    }

    /// The same without a copy.
    #[must_use]
    pub fn into_exposed(self) -> Value {
        self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl From<Value> for SecretValue {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl Serialize for SecretValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SecretValue {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_hidden_but_travel() {
        for value in [
            json!({"token": "hunter2"}),
            json!(["hunter2"]),
            json!("hunter2"),
            json!(null),
        ] {
            let hidden = SecretValue::new(value.clone());
            assert_eq!(
                format!("{hidden:?} {:?}", Some(&hidden)),
                "[redacted] Some([redacted])"
            );
            assert_eq!(serde_json::to_value(&hidden).unwrap(), value);
            let read: SecretValue = serde_json::from_value(value.clone()).unwrap();
            assert!(read == hidden && *read.expose() == value);
            assert_eq!(read.into_exposed(), value);
        }
    }
}
