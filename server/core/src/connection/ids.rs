//! Random ids of connections: the nonce of a challenge and the connection's id. A handshake needs both, so they are made
//! in batches: a system call for each would cost more than everything else about them.

use std::cell::RefCell;

use uuid::fmt::Hyphenated;
use uuid::{Builder, Uuid};

/// Ids made at a time. With this many, the system call counts for nothing.
const BATCH: usize = 16;

const SIZE: usize = size_of::<Uuid>();

thread_local! {
    static UNUSED: RefCell<Vec<Uuid>> = const { RefCell::new(Vec::new()) };
}

/// The text of a v4 UUID that nobody has had and nobody can guess.
pub(super) fn fresh() -> String {
    let id = UNUSED.with_borrow_mut(|unused| {
        if unused.is_empty() {
            make(unused);
        }
        unused.pop().unwrap_or_else(Uuid::new_v4)
    });
    let mut text = [0; Hyphenated::LENGTH];
    id.hyphenated().encode_lower(&mut text).to_owned()
}

/// Makes a batch, or nothing where the system has no randomness to give.
fn make(unused: &mut Vec<Uuid>) {
    let mut bytes = [0; SIZE * BATCH];
    if getrandom::fill(&mut bytes).is_ok() {
        let (ids, _) = bytes.as_chunks::<SIZE>();
        unused.extend(
            ids.iter()
                .map(|id| Builder::from_random_bytes(*id).into_uuid()),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_random_and_given_once() {
        let count = 3 * BATCH + 1;
        let ids: BTreeSet<_> = (0..count).map(|_| fresh()).collect();
        assert_eq!(ids.len(), count);
        let version = |id: &String| id.parse::<Uuid>().unwrap().get_version();
        assert!(
            ids.iter()
                .all(|id| version(id) == Some(uuid::Version::Random))
        );
        let left = UNUSED.with_borrow(Vec::len);
        assert_eq!(left, BATCH - 1, "made by the batch");
    }
}
