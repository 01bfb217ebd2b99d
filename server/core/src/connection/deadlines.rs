//! Equal waits of many tasks on one timer.
//!
//! Nearly every handshake ends long before its deadline. A timer of its own for each would wake the runtime's driver
//! each time one is set, which costs as much as a system call; here one timer stands for all of them, and is set again
//! only when it has run out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// All waits of one length.
#[derive(Debug)]
pub struct Deadlines {
    length: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those who wait, by age. The lengths are equal, so that this is the order of their deadlines too.
    waits: BTreeMap<u64, Wait>,
    last: u64,
    /// A task sleeps until the first deadline.
    is_watched: bool,
}

#[derive(Debug)]
struct Wait {
    at: Instant,
    waker: Option<Waker>,
}

/// One wait. Dropping it ends it.
#[derive(Debug)]
pub struct Deadline {
    all: Arc<Deadlines>,
    key: u64,
    at: Instant,
}

impl Deadlines {
    /// Waits of this length, none yet.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        Self {
            length,
            state: Mutex::default(),
        }
    }

    /// A wait that begins now. Has to be called within a runtime.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Deadline {
        let at = Instant::now() + self.length;
        let mut state = self.state();
        state.last += 1;
        let key = state.last;
        state.waits.insert(key, Wait { at, waker: None });
        if !std::mem::replace(&mut state.is_watched, true) {
            tokio::spawn(Arc::clone(self).watch(at));
        }
        Deadline {
            all: Arc::clone(self),
            key,
            at,
        }
    }

    /// Wakes those whose time is over until nobody waits any more.
    async fn watch(self: Arc<Self>, first: Instant) {
        let mut next = Some(first);
        while let Some(at) = next {
            sleep_until(at).await;
            next = self.wake(Instant::now());
        }
    }

    /// Wakes those whose time is over. The next deadline; without one nobody watches any more.
    fn wake(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let wakers: Vec<Waker> = state
            .waits
            .values_mut()
            .take_while(|wait| wait.at <= now)
            .filter_map(|wait| wait.waker.take())
            .collect();
        let next = state
            .waits
            .values()
            .map(|wait| wait.at)
            .find(|at| *at > now);
        state.is_watched = next.is_some();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock leaves a change half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deadline {
    /// Is the time over? If not, the task is woken when it is.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        if let Some(wait) = self.all.state().waits.get_mut(&self.key) {
            match &mut wait.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.all.state().waits.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    async fn over(deadline: Deadline) -> Duration {
        let begin = deadline.at - LENGTH;
        poll_fn(|cx| deadline.poll(cx)).await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_at_its_own_time() {
        let all = Arc::new(Deadlines::new(LENGTH));
        let first = tokio::spawn(over(all.begin()));
        tokio::time::advance(Duration::from_secs(4)).await;
        let dropped = all.begin();
        let second = tokio::spawn(over(all.begin()));
        drop(dropped);
        for wait in [first, second] {
            let took = wait.await.unwrap();
            assert!(
                took >= LENGTH && took < LENGTH + Duration::from_millis(5),
                "{took:?}"
            );
        }
        assert!(all.state().waits.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_watcher_comes_and_goes_with_the_waits() {
        let all = Arc::new(Deadlines::new(LENGTH));
        for _ in 0..3 {
            drop(all.begin());
            assert!(all.state().is_watched);
            assert_eq!(Arc::strong_count(&all), 2, "one watcher for all");
        }
        tokio::time::sleep(LENGTH * 2).await;
        assert!(!all.state().is_watched);
        assert_eq!(Arc::strong_count(&all), 1);
        assert!(
            over(all.begin()).await >= LENGTH,
            "a later wait is watched again"
        );
    }
}
