//! What a run says, for the HTTP request that asked for it. [`Taps`] stands before the hub: it is the runs' event sink,
//! copies what the runs with an open [`Tap`] say, and passes everything on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_protocol::events::Event;
use openclaw_protocol::types::{AgentEvent, AgentStream};
use tokio::sync::watch;

use crate::hub::EventSink;

/// The open taps. As many as there are runs that HTTP requests wait for, and those are bounded with all runs.
pub struct Taps {
    sink: Arc<dyn EventSink>,
    /// Number of taps, so that without any nothing is locked.
    open: AtomicUsize,
    by_run: Mutex<HashMap<String, watch::Sender<String>>>,
}

/// What one run has said so far. Closed when dropped.
pub(super) struct Tap {
    taps: Arc<Taps>,
    run_id: String,
    text: watch::Receiver<String>,
}

impl Taps {
    /// Taps before `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn EventSink>) -> Self {
        Self {
            sink,
            open: AtomicUsize::new(0),
            by_run: Mutex::default(),
        }
    }

    /// Listens to a run that has not begun yet.
    pub(super) fn open(self: &Arc<Self>, run_id: &str) -> Tap {
        let (sender, text) = watch::channel(String::new());
        self.by_run().insert(run_id.to_owned(), sender);
        self.open.fetch_add(1, Ordering::Release);
        Tap {
            taps: Arc::clone(self),
            run_id: run_id.to_owned(),
            text,
        }
    }

    fn hear(&self, event: &AgentEvent) {
        let Some(delta) = &event.data.delta else {
            return;
        };
        if event.stream == AgentStream::Assistant
            && let Some(text) = self.by_run().get(&*event.run_id)
        {
            text.send_modify(|text| text.push_str(delta));
        }
    }

    fn by_run(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<String>>> {
        self.by_run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Taps {
    fn emit(&self, event: Event) {
        if self.open.load(Ordering::Acquire) > 0
            && let Event::Agent(event) = &event
        {
            self.hear(event);
        }
        self.sink.emit(event);
    }
}

impl Tap {
    /// Waits until the run has said something new.
    pub(super) async fn changed(&mut self) {
        if self.text.changed().await.is_err() {
            // The sender lives as long as this.
            std::future::pending().await
        }
    }

    /// All that was said, from byte `from` on.
    pub(super) fn since(&mut self, from: usize) -> String {
        let text = self.text.borrow_and_update();
        text.get(from..).unwrap_or_default().to_owned()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.taps.by_run().remove(&self.run_id);
        self.taps.open.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::rt::NonEmptyString;
    use openclaw_protocol::types::AgentEventData;

    use super::*;

    struct Count(AtomicUsize);

    impl EventSink for Count {
        fn emit(&self, _: Event) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn said(run: &str, stream: AgentStream, delta: Option<&str>) -> Event {
        let data = AgentEventData {
            delta: delta.map(str::to_owned),
            ..AgentEventData::default()
        };
        Event::Agent(AgentEvent::new(
            NonEmptyString::or(run, "x"),
            stream,
            1,
            data,
        ))
    }

    #[tokio::test]
    async fn a_tap_has_the_words_of_its_own_run() {
        let sink = Arc::new(Count(AtomicUsize::new(0)));
        let taps = Arc::new(Taps::new(Arc::clone(&sink) as Arc<dyn EventSink>));
        let mut tap = taps.open("mine");
        for event in [
            said("other", AgentStream::Assistant, Some("no")),
            said("mine", AgentStream::Assistant, Some("one ")),
            said("mine", AgentStream::Tool, Some("no")),
            said("mine", AgentStream::Lifecycle, None),
            said("mine", AgentStream::Assistant, Some("two")),
        ] {
            taps.emit(event);
        }
        tap.changed().await;
        assert_eq!(tap.since(0), "one two");
        assert_eq!(tap.since(4), "two");
        assert_eq!(tap.since(99), "");
        assert_eq!(sink.0.load(Ordering::Relaxed), 5, "everything is passed on");
        drop(tap);
        assert!(taps.by_run().is_empty());
        assert_eq!(taps.open.load(Ordering::Relaxed), 0);
        taps.emit(said("mine", AgentStream::Assistant, Some("late")));
    }
}
