//! Which connections get copies of a conversation's chat and agent events (contract 8.5). A subscription belongs to its
//! connection and ends with it. Plain data; the hub holds it under its lock.

use std::collections::{BTreeSet, HashMap};

use super::registry::Key;
use crate::limits::{MAX_SUBSCRIPTION_BYTES, MAX_SUBSCRIPTIONS};

/// All subscriptions, by both ends.
#[derive(Debug, Default)]
pub(super) struct Copies {
    by_session: HashMap<String, Vec<Key>>,
    by_member: HashMap<Key, BTreeSet<String>>,
}

impl Copies {
    /// Adds a subscription, which may be there already. False when the member has [`MAX_SUBSCRIPTIONS`], or the key is
    /// longer than [`MAX_SUBSCRIPTION_BYTES`].
    pub(super) fn subscribe(&mut self, member: Key, session_key: &str) -> bool {
        let own = self.by_member.entry(member).or_default();
        if own.contains(session_key) {
            return true;
        }
        if own.len() >= MAX_SUBSCRIPTIONS || session_key.len() > MAX_SUBSCRIPTION_BYTES {
            if own.is_empty() {
                self.by_member.remove(&member);
            }
            return false;
        }
        own.insert(session_key.to_owned());
        let subscribers = self.by_session.entry(session_key.to_owned());
        subscribers.or_default().push(member);
        true
    }

    /// Removes a subscription, if it is there.
    pub(super) fn unsubscribe(&mut self, member: Key, session_key: &str) {
        let Some(own) = self.by_member.get_mut(&member) else {
            return;
        };
        if own.remove(session_key) {
            if own.is_empty() {
                self.by_member.remove(&member);
            }
            self.forget(member, session_key);
        }
    }

    /// Removes all subscriptions of a member.
    pub(super) fn leave(&mut self, member: Key) {
        for session_key in self.by_member.remove(&member).into_iter().flatten() {
            self.forget(member, &session_key);
        }
    }

    /// Who gets copies of this conversation's events; its key is compared as it is.
    pub(super) fn of(&self, session_key: &str) -> &[Key] {
        self.by_session.get(session_key).map_or(&[], Vec::as_slice)
    }

    /// Who gets copies of anything.
    pub(super) fn members(&self) -> impl Iterator<Item = Key> {
        self.by_member.keys().copied()
    }

    fn forget(&mut self, member: Key, session_key: &str) {
        if let Some(subscribers) = self.by_session.get_mut(session_key) {
            subscribers.retain(|subscriber| *subscriber != member);
            if subscribers.is_empty() {
                self.by_session.remove(session_key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_come_and_go() {
        let (one, two) = (Key::of_test(1), Key::of_test(2));
        let mut copies = Copies::default();
        assert!(copies.subscribe(one, "main") && copies.subscribe(one, "main"));
        assert!(copies.subscribe(two, "main") && copies.subscribe(two, "other"));
        assert_eq!(copies.of("main"), [one, two]);
        assert!(copies.of("Main").is_empty(), "no other spelling");
        copies.unsubscribe(one, "other");
        copies.unsubscribe(one, "main");
        copies.unsubscribe(one, "main");
        assert_eq!(copies.of("main"), [two]);
        assert_eq!(copies.members().collect::<Vec<_>>(), [two]);
        copies.leave(two);
        copies.leave(two);
        assert!(copies.by_session.is_empty() && copies.by_member.is_empty());
    }

    #[test]
    fn subscriptions_are_bounded() {
        let member = Key::of_test(1);
        let mut copies = Copies::default();
        let longest = "k".repeat(MAX_SUBSCRIPTION_BYTES);
        assert!(!copies.subscribe(member, &format!("{longest}k")));
        assert_eq!(copies.members().count(), 0, "a refusal leaves nothing");
        assert!(copies.subscribe(member, &longest));
        for n in 1..MAX_SUBSCRIPTIONS {
            assert!(copies.subscribe(member, &n.to_string()));
        }
        assert!(!copies.subscribe(member, "one too many"));
        assert!(copies.subscribe(member, "1"), "it is there already");
        copies.unsubscribe(member, "1");
        assert!(copies.subscribe(member, "one too many"));
    }
}
