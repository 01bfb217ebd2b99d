//! Members that are never refused: a wrong type counts as absent.
//!
//! A few methods of the protocol validate nothing (contract 6.3). Generated
//! `Deserialize` impls of such types read [`Members`] and take what fits.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::{Map, Value};

use crate::node::integral;
use crate::tree::Tree;

/// Something that may be an object with a member `name`.
pub trait Lookup {
    /// The member as a value of its own.
    fn lookup(&self, name: &str) -> Option<Value>;
}

impl Lookup for Value {
    fn lookup(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }
}

impl Lookup for Tree {
    fn lookup(&self, name: &str) -> Option<Value> {
        self.get(name).map(Tree::to_value)
    }
}

/// The member `name` of `source`; `None` when it is absent, when `source` is no
/// object, or when the member is no `T`.
pub fn member<T: DeserializeOwned>(source: &impl Lookup, name: &str) -> Option<T> {
    convert(source.lookup(name)?)
}

/// The members of a value of whatever kind; what is no object has none.
#[derive(Debug, Clone, Default)]
pub struct Members(Map<String, Value>);

impl Members {
    /// Takes the member `name` out; `None` when it is absent or no `T`.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        convert(self.0.remove(name)?)
    }
}

impl From<Value> for Members {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(members) => Self(members),
            _ => Self::default(),
        }
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

/// `value` as a `T`; like everywhere, `1.0` will do for an integer.
fn convert<T: DeserializeOwned>(value: Value) -> Option<T> {
    let integer = value
        .as_number()
        .filter(|number| number.is_f64())
        .and_then(|number| integral(number.as_f64()?));
    if let Some(integer) = integer
        && let Ok(target) = serde_json::from_value(integer.into())
    {
        return Some(target);
    }
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_type_counts_as_absent() {
        let json = r#"{"probe":true,"text":"x","n":3.0,"f":0.5,"big":1e30,"none":null}"#;
        let tree = Tree::parse(json).unwrap();
        let value = tree.to_value();
        assert_eq!(member::<bool>(&tree, "probe"), Some(true));
        assert_eq!(member::<bool>(&value, "probe"), Some(true));
        assert_eq!(member::<bool>(&value, "text"), None);
        assert_eq!(member::<String>(&value, "text").as_deref(), Some("x"));
        assert_eq!(member::<String>(&value, "absent"), None);
        assert_eq!(member::<String>(&value, "none"), None);
        assert_eq!(member::<u64>(&value, "n"), Some(3));
        assert_eq!(member::<f64>(&value, "n"), Some(3.0));
        assert_eq!(member::<u64>(&value, "f"), None);
        assert_eq!(member::<f64>(&value, "f"), Some(0.5));
        assert_eq!(member::<u64>(&value, "big"), None);
        assert_eq!(member::<Value>(&value, "none"), Some(Value::Null));
        assert_eq!(member::<Value>(&value, "f"), Some(json!(0.5)));
    }

    #[test]
    fn any_value_has_members() {
        for json in ["null", "[]", "7", "\"probe\"", "{}", r#"{"probe":"yes"}"#] {
            let mut members: Members = serde_json::from_str(json).unwrap();
            assert_eq!(members.take::<bool>("probe"), None, "{json}");
        }
        let mut members: Members = serde_json::from_str(r#"{"probe":true}"#).unwrap();
        assert_eq!(members.take::<bool>("probe"), Some(true));
        assert_eq!(members.take::<bool>("probe"), None);
    }
}
