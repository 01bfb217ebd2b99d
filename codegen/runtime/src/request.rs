//! The request envelope: id, method and params in one pass over the text.
//!
//! Called by the generated `call::read_request`. The accepting path allocates nothing but what the params
//! hold. It takes the envelope apart by hand where that is spelled as nearly every client does, and
//! otherwise decodes params in place when `method` came before them. The refusing path parses once more
//! into a [`Tree`] and lists everything that is wrong.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::older::leave_out_newer;
use crate::usual::{self, Usual};
use crate::violation::NEWEST;
use crate::{Node, Tree, Violation, violations, violations_at};

/// What decodes the params of each method; implemented by the generated `Call`.
pub trait ParamsOf: Sized {
    /// The protocol's method enum.
    type Method: Copy;

    /// Decodes and checks the value that comes next in the frame object.
    ///
    /// # Errors
    /// The value does not fit.
    fn in_place<'de, A: MapAccess<'de>>(
        method: Self::Method,
        map: &mut A,
    ) -> Result<Self, A::Error>;

    /// Decodes and checks params that stand alone.
    ///
    /// # Errors
    /// The text does not fit.
    fn alone(method: Self::Method, params: &str) -> Result<Self, serde_json::Error>;

    /// The params of a request without any, for a method that looks at none: there is nothing to read.
    fn absent(method: Self::Method) -> Option<Self>;

    /// The table of the params.
    fn table(method: Self::Method) -> &'static Node;
}

/// A valid request frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a, P> {
    /// Id chosen by the client, echoed in responses; at least one character.
    pub id: Cow<'a, str>,
    /// Method name; at least one character, not necessarily a known one.
    pub method: Cow<'a, str>,
    /// Decoded params; `None` where the gate did not let the method pass.
    pub params: Option<P>,
}

/// Why a text is not a request with valid params.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem<M> {
    /// Not JSON at all.
    NotJson,
    /// JSON, but not a request frame.
    Frame {
        /// The id, where the text has one that is a string.
        id: Option<String>,
        /// What is wrong with the frame.
        violations: Vec<Violation>,
    },
    /// A request frame whose params do not fit the method.
    Params {
        /// The id.
        id: String,
        /// The method.
        method: M,
        /// What is wrong with the params.
        violations: Vec<Violation>,
    },
}

/// Params of a request that has none.
const NO_PARAMS: &str = "{}";

/// Reads one request frame; see the generated `call::read_request` for the rules.
///
/// `frame` is the table of the request frame, read only when something is wrong.
///
/// # Errors
/// What is wrong with the text.
pub fn read_request<'a, P: ParamsOf>(
    text: &'a str,
    frame: &'static Node,
    gate: impl Fn(&str) -> Option<P::Method>,
) -> Result<Request<'a, P>, Problem<P::Method>> {
    let usual = usual::split(text).and_then(|usual| Some((gate(usual.method)?, usual)));
    let request = match usual {
        // If its params do not fit, another parser would say the same.
        Some((method, usual)) => read_usual(method, &usual),
        None => read_any(text, &gate),
    };
    match request {
        Some(request) => Ok(request),
        None => diagnose(text, frame, NEWEST, &gate),
    }
}

/// Reads a valid request that is spelled as usual, of a method that the gate lets pass.
fn read_usual<'a, P: ParamsOf>(method: P::Method, usual: &Usual<'a>) -> Option<Request<'a, P>> {
    let params = match usual.params {
        Some(params) => P::alone(method, params),
        None => of_none(method),
    };
    Some(Request {
        id: Cow::Borrowed(usual.id),
        method: Cow::Borrowed(usual.method),
        params: Some(params.ok()?),
    })
}

/// Reads a valid request.
fn read_any<'a, P: ParamsOf>(
    text: &'a str,
    gate: &impl Fn(&str) -> Option<P::Method>,
) -> Option<Request<'a, P>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let envelope = Envelope {
        gate,
        params: PhantomData,
    };
    let request = (&mut deserializer).deserialize_map(envelope).ok()?;
    deserializer.end().ok()?;
    Some(request)
}

/// The params of a request that has none.
fn of_none<P: ParamsOf>(method: P::Method) -> Result<P, serde_json::Error> {
    match P::absent(method) {
        Some(params) => Ok(params),
        None => P::alone(method, NO_PARAMS),
    }
}

/// As [`read_request`], for a client of an older protocol `version`: members of params that are newer than
/// that are refused where the object is closed, and left out where it is open.
///
/// Slower than [`read_request`]: the text is always parsed into a [`Tree`].
///
/// # Errors
/// As [`read_request`].
#[cold]
pub fn read_request_at<'a, P: ParamsOf>(
    text: &str,
    frame: &'static Node,
    version: u64,
    gate: impl Fn(&str) -> Option<P::Method>,
) -> Result<Request<'a, P>, Problem<P::Method>> {
    diagnose(text, frame, version, &gate)
}

/// Finds out what the fast pass stumbled over. A text that is valid after all (`params: null`) is read.
#[cold]
fn diagnose<'a, P: ParamsOf>(
    text: &str,
    frame: &'static Node,
    version: u64,
    gate: &impl Fn(&str) -> Option<P::Method>,
) -> Result<Request<'a, P>, Problem<P::Method>> {
    let tree = match Tree::parse(text) {
        Ok(tree) => tree,
        Err(error) => {
            // Valid JSON with a duplicate key is refused as a frame: half of its readers would see
            // another value than the rest.
            return Err(match serde_json::from_str::<serde_json::Value>(text) {
                Err(_) => Problem::NotJson,
                Ok(value) => Problem::Frame {
                    id: value
                        .get("id")
                        .and_then(|id| id.as_str())
                        .map(str::to_owned),
                    violations: vec![Violation {
                        path: String::new(),
                        keyword: "json",
                        message: error.to_string(),
                    }],
                },
            });
        }
    };
    let text_of = |key| tree.get(key).and_then(Tree::as_str);
    let violations = violations(frame, &tree);
    let (Some(id), Some(name), true) = (text_of("id"), text_of("method"), violations.is_empty())
    else {
        return Err(Problem::Frame {
            id: text_of("id").map(str::to_owned),
            violations,
        });
    };
    let request = |params| Request {
        id: Cow::Owned(id.to_owned()),
        method: Cow::Owned(name.to_owned()),
        params,
    };
    let Some(method) = gate(name) else {
        return Ok(request(None));
    };
    let empty = Tree::Object(Vec::new());
    let params = match tree.get("params") {
        None | Some(Tree::Null) => &empty,
        Some(params) => params,
    };
    let table = P::table(method);
    let violations = violations_at(table, version, params);
    if violations.is_empty() {
        let mut params = params.clone();
        if version != NEWEST {
            leave_out_newer(table, version, &mut params);
        }
        let error = match P::alone(method, &params.to_value().to_string()) {
            Ok(params) => return Ok(request(Some(params))),
            Err(error) => error,
        };
        return Err(Problem::Params {
            id: id.to_owned(),
            method,
            violations: vec![Violation {
                path: String::new(),
                keyword: "json",
                message: error.to_string(),
            }],
        });
    }
    Err(Problem::Params {
        id: id.to_owned(),
        method,
        violations,
    })
}

struct Envelope<'g, G, P> {
    gate: &'g G,
    params: PhantomData<P>,
}

#[cold]
fn refuse<E: de::Error>() -> E {
    E::custom("not a request frame")
}

impl<'de, G, P> Visitor<'de> for Envelope<'_, G, P>
where
    P: ParamsOf,
    G: Fn(&str) -> Option<P::Method>,
{
    type Value = Request<'de, P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kind = false;
        let mut id: Option<Cow<'de, str>> = None;
        // The name, and what the gate says of it.
        let mut method: Option<(Cow<'de, str>, Option<P::Method>)> = None;
        let mut params: Option<P> = None;
        // Params that came before the method, or that nobody may have decoded.
        let mut raw: Option<&'de RawValue> = None;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Type if !kind => {
                    if map.next_value_seed(Text)? != "req" {
                        return Err(refuse());
                    }
                    kind = true;
                }
                Key::Id if id.is_none() => id = Some(map.next_value_seed(Text)?),
                Key::Method if method.is_none() => {
                    let name = map.next_value_seed(Text)?;
                    let known = (self.gate)(&name);
                    method = Some((name, known));
                }
                Key::Params if params.is_none() && raw.is_none() => match &method {
                    Some((_, Some(known))) => params = Some(P::in_place(*known, &mut map)?),
                    _ => raw = Some(map.next_value()?),
                },
                // Unknown or duplicate.
                _ => return Err(refuse()),
            }
        }
        let (Some(id), Some((method, known)), true) = (id, method, kind) else {
            return Err(refuse());
        };
        if id.is_empty() || method.is_empty() {
            return Err(refuse());
        }
        if let (None, Some(known)) = (&params, known) {
            let decoded = match raw {
                Some(raw) => P::alone(known, raw.get()),
                None => of_none(known),
            };
            params = Some(decoded.map_err(de::Error::custom)?);
        }
        Ok(Request { id, method, params })
    }
}

enum Key {
    Type,
    Id,
    Method,
    Params,
    Other,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    #[inline]
    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "type" => Key::Type,
            "id" => Key::Id,
            "method" => Key::Method,
            "params" => Key::Params,
            _ => Key::Other,
        })
    }
}

/// A string, borrowed from the text where it holds no escapes.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    #[inline]
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
