//! Members of patch requests, where `null` (clear) differs from absent (keep).
//!
//! Generated fields use it as `#[serde(default, deserialize_with = "…::patch::deserialize",
//! skip_serializing_if = "Option::is_none")] field: Option<Option<T>>`.

use serde::{Deserialize, Deserializer};

/// Reads a member that is present: `Some(None)` for `null`, `Some(Some(value))` otherwise.
/// Absence never calls this; `#[serde(default)]` makes it `None`.
///
/// # Errors
/// Whatever reading a `T` reports.
#[inline]
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
