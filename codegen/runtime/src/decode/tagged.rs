//! Tagged unions, decoded in place.
//!
//! Senders mostly write the tag first; the variant is then known before any other
//! member is read. Members that come before the tag are kept as borrowed source text
//! and replayed behind it.

use std::borrow::Cow;
use std::fmt;
use std::vec;

use serde::Deserialize;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor,
};
use serde_json::value::RawValue;

use super::access::CheckedMap;
use super::misfit;
use super::union::with_text;
use crate::node::{Extra, Node, Variant, variant};

/// Chooses the variant of the object that comes next and reads it as that.
pub(super) struct TaggedVisitor<V> {
    pub(super) tag: &'static str,
    pub(super) variants: &'static [Variant],
    pub(super) nullable: bool,
    /// Open arrays and objects around the object.
    pub(super) depth: usize,
    pub(super) visitor: V,
}

impl<V> TaggedVisitor<V> {
    /// Whether some variant has room for a member `key` beside the tag and `count` others.
    /// This bounds what is kept of a bad text: closed variants hold few members.
    fn can_hold(&self, key: &str, count: usize) -> bool {
        self.variants.iter().any(|(_, node)| match node {
            Node::Obj(object) => match object.extra {
                Extra::Closed => {
                    count + 2 <= object.props.len() && object.props.position(key, count).is_some()
                }
                Extra::Any | Extra::Each(_) => true,
            },
            _ => false,
        })
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for TaggedVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        if self.nullable {
            self.visitor.visit_unit()
        } else {
            Err(misfit())
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<V::Value, A::Error> {
        let mut before = Vec::new();
        loop {
            match members.next_key_seed(TagOr(self.tag))? {
                Some(KeyKind::Tag) => break,
                Some(KeyKind::Other(key)) if self.can_hold(&key, before.len()) => {
                    before.push((key, members.next_value()?));
                }
                _ => return Err(misfit()),
            }
        }
        let name = members.next_value::<Text<'de>>()?.0;
        let Some((name, Node::Obj(object))) = variant(self.variants, &name) else {
            return Err(misfit());
        };
        let depth = self.depth + 1;
        let replay = Replay {
            tag: Some(self.tag),
            name,
            before: before.into_iter(),
            live: members,
            value: Source::Live,
            depth,
        };
        self.visitor
            .visit_map(CheckedMap::new(object, depth, replay))
    }
}

/// The members of an object whose tag was read already, tag first.
struct Replay<'de, A> {
    /// The tag's key until it has been handed out.
    tag: Option<&'static str>,
    /// The tag's value.
    name: &'static str,
    before: vec::IntoIter<(Cow<'de, str>, &'de RawValue)>,
    live: A,
    /// Where the value of the last key comes from.
    value: Source<'de>,
    /// Open arrays and objects around the values.
    depth: usize,
}

enum Source<'de> {
    Tag,
    Before(&'de RawValue),
    Live,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Replay<'de, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        if let Some(tag) = self.tag.take() {
            self.value = Source::Tag;
            return seed
                .deserialize(BorrowedStrDeserializer::new(tag))
                .map(Some);
        }
        if let Some((key, value)) = self.before.next() {
            self.value = Source::Before(value);
            return seed.deserialize(key.into_deserializer()).map(Some);
        }
        self.value = Source::Live;
        self.live.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value {
            Source::Live => self.live.next_value_seed(seed),
            Source::Tag => seed.deserialize(BorrowedStrDeserializer::new(self.name)),
            Source::Before(value) => {
                with_text(value.get(), self.depth, |parser| seed.deserialize(parser))
                    .map_err(A::Error::custom)
            }
        }
    }
}

/// A string, borrowed unless it contains escapes.
#[derive(Deserialize)]
struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

/// Reads a key, and keeps it unless it is the tag.
struct TagOr(&'static str);

enum KeyKind<'de> {
    Tag,
    Other(Cow<'de, str>),
}

impl<'de> DeserializeSeed<'de> for TagOr {
    type Value = KeyKind<'de>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<KeyKind<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TagOr {
    type Value = KeyKind<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    #[inline]
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<KeyKind<'de>, E> {
        Ok(if key == self.0 {
            KeyKind::Tag
        } else {
            KeyKind::Other(Cow::Borrowed(key))
        })
    }

    fn visit_str<E>(self, key: &str) -> Result<KeyKind<'de>, E> {
        Ok(if key == self.0 {
            KeyKind::Tag
        } else {
            KeyKind::Other(Cow::Owned(key.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Obj;
    use crate::props::{Prop, Props};

    const fn prop(name: &'static str) -> Prop {
        Prop {
            name,
            node: &Node::Any,
            required: 0,
        }
    }

    #[test]
    fn closed_variants_bound_what_is_kept() {
        static SMALL: Node = Node::Obj(&Obj {
            props: Props::new(&[prop("kind"), prop("a")]),
            required: &[],
            mask: 0,
            newer: &[],
            extra: Extra::Closed,
        });
        static LARGE: Node = Node::Obj(&Obj {
            props: Props::new(&[prop("kind"), prop("b"), prop("c"), prop("d")]),
            required: &[],
            mask: 0,
            newer: &[],
            extra: Extra::Closed,
        });
        static OPEN: Node = Node::Obj(&Obj {
            props: Props::new(&[prop("kind")]),
            required: &[],
            mask: 0,
            newer: &[],
            extra: Extra::Any,
        });
        static CLOSED: [Variant; 2] = [("small", &SMALL), ("large", &LARGE)];
        static MIXED: [Variant; 2] = [("small", &SMALL), ("open", &OPEN)];
        let visitor = |variants| TaggedVisitor {
            tag: "kind",
            variants,
            nullable: false,
            depth: 0,
            visitor: (),
        };
        let closed = visitor(&CLOSED);
        for (key, count, holds) in [
            ("a", 0, true),
            ("a", 1, false),
            ("b", 0, true),
            ("d", 2, true),
            ("d", 3, false),
            ("x", 0, false),
        ] {
            assert_eq!(closed.can_hold(key, count), holds, "{key} beside {count}");
        }
        let open = visitor(&MIXED);
        assert!(open.can_hold("x", 1_000));
    }
}
