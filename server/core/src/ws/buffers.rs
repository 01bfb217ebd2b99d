//! Spare byte buffers of the thread.
//!
//! An outbox that has been written out owns no buffer, so that an idle connection costs none; what it used goes here
//! and serves the next connection, already grown. Only `outbox` calls this.

use std::cell::RefCell;

/// Spare buffers a thread keeps. A turn of the event loop fills the outboxes of the few connections that had
/// something to say; more would only hold memory after a burst.
const MAX_SPARE: usize = 16;

/// Buffers that grew larger are given back to the allocator: one large reply must not be paid for ever.
const MAX_SPARE_CAPACITY: usize = 64 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, grown already if there is one.
pub(super) fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes back a buffer that is not needed any more.
pub(super) fn give(mut buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    if capacity == 0 || capacity > MAX_SPARE_CAPACITY {
        return;
    }
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < MAX_SPARE {
            buffer.clear();
            spare.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    #[test]
    fn keeps_a_bounded_number_of_buffers_of_bounded_size() {
        give(Vec::new());
        assert_eq!(spare(), 0, "nothing to keep");
        give(Vec::with_capacity(MAX_SPARE_CAPACITY + 1));
        assert_eq!(spare(), 0, "one byte too large");
        for _ in 0..MAX_SPARE {
            give(Vec::with_capacity(MAX_SPARE_CAPACITY));
        }
        assert_eq!(spare(), MAX_SPARE);
        give(Vec::with_capacity(1));
        assert_eq!(spare(), MAX_SPARE, "one too many");
    }

    #[test]
    fn comes_back_empty_and_grown() {
        let mut buffer = take();
        buffer.extend_from_slice(b"left over");
        give(buffer);
        let again = take();
        assert!(again.is_empty() && again.capacity() >= 9);
    }
}
