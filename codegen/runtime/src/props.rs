//! The declared members of an object, and how one is found by its key.
//!
//! The generator writes the list; the index over it is made by the compiler.

use std::ops::Deref;

use crate::Node;

/// Places in the index of an object.
const SLOTS: usize = 32;

/// The most members that are indexed: with a quarter of the places free, most keys are found where they are looked for
/// first. The few objects with more are searched in order.
const MAX_INDEXED: usize = SLOTS / 4 * 3;

/// In the index: no member here.
const FREE: u8 = u8::MAX;

/// One declared member of an object.
pub struct Prop {
    /// The JSON key.
    pub name: &'static str,
    /// What its value must be.
    pub node: &'static Node,
    /// Its own bit within [`Obj::mask`](crate::Obj::mask), or 0 when it is optional.
    pub required: u64,
}

/// The declared members of an object, in schema order.
pub struct Props {
    list: &'static [Prop],
    /// Where members are in the list, by [`slot`] of their key or the places that follow it.
    index: [u8; SLOTS],
}

impl Props {
    /// These members, each key once.
    #[must_use]
    pub const fn new(list: &'static [Prop]) -> Self {
        let mut index = [FREE; SLOTS];
        let mut at = 0;
        while list.len() <= MAX_INDEXED && at < list.len() {
            let mut slot = slot(list[at].name.as_bytes());
            while index[slot] != FREE {
                slot = (slot + 1) % SLOTS;
            }
            index[slot] = at as u8;
            at += 1;
        }
        Self { list, index }
    }

    /// Where the member `key` is; the caller's next hint is the place after it.
    ///
    /// The member at `hint` is tried first: senders mostly write members in schema order.
    #[inline]
    pub(crate) fn position(&self, key: &str, hint: usize) -> Option<usize> {
        if self.is_at(hint, key) {
            return Some(hint);
        }
        if self.list.len() > MAX_INDEXED {
            return self.list.iter().position(|prop| prop.name == key);
        }
        let mut slot = slot(key.as_bytes());
        loop {
            match self.index[slot] {
                FREE => return None,
                at if self.is_at(usize::from(at), key) => return Some(usize::from(at)),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    #[inline]
    fn is_at(&self, at: usize, key: &str) -> bool {
        self.list.get(at).is_some_and(|prop| prop.name == key)
    }
}

impl Deref for Props {
    type Target = [Prop];

    #[inline]
    fn deref(&self) -> &[Prop] {
        self.list
    }
}

/// Where a key is looked for first: by its length and three of its letters, which tell nearly all keys of an object
/// apart.
#[inline]
const fn slot(key: &[u8]) -> usize {
    let len = key.len();
    if len == 0 {
        return 0;
    }
    let (first, middle, last) = (
        key[0] as usize,
        key[len / 2] as usize,
        key[len - 1] as usize,
    );
    (len + first * 3 + middle * 5 + last * 7) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &Node = &Node::Any;

    /// Members with these names.
    fn props(names: &[String]) -> Props {
        let prop = |name: &String| Prop {
            name: name.clone().leak(),
            node: ANY,
            required: 0,
        };
        Props::new(names.iter().map(prop).collect::<Vec<_>>().leak())
    }

    #[test]
    fn members_are_found_from_any_hint() {
        for count in [0, 1, 3, MAX_INDEXED, MAX_INDEXED + 1] {
            // The same letters again and again: many keys share a place.
            let names: Vec<_> = (0..count).map(|i| format!("a{i:02}a")).collect();
            let props = props(&names);
            for hint in 0..count + 2 {
                for (at, name) in names.iter().enumerate() {
                    assert_eq!(props.position(name, hint), Some(at), "{name} from {hint}");
                }
                for unknown in ["", "a", "a99a", "ä"] {
                    assert_eq!(props.position(unknown, hint), None, "{unknown} from {hint}");
                }
            }
        }
    }

    #[test]
    fn a_key_may_be_empty() {
        assert_eq!(props(&[String::new()]).position("", 1), Some(0));
    }
}
