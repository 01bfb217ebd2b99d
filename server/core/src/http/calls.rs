//! Which requests of a connection an agent is working for. A connection that waits for one may stay plain HTTP for
//! longer than others: [`super::serve`] asks, [`super::turn`] counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The calls of one connection. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<AtomicUsize>);

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub struct Call(Calls);

impl Calls {
    /// One more.
    pub fn begin(&self) -> Call {
        self.0.fetch_add(1, Ordering::Relaxed);
        Call(self.clone())
    }

    /// Is there any?
    pub fn are_under_way(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_until_it_is_dropped() {
        let calls = Calls::default();
        let both = (calls.begin(), calls.clone().begin());
        assert!(calls.are_under_way());
        drop(both.0);
        assert!(calls.are_under_way());
        drop(both.1);
        assert!(!calls.are_under_way());
    }
}
