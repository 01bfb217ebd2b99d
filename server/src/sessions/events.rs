//! Texts that wait for the next run of a conversation (contract 9.1): what `system-event` and `wake` brought, and what
//! jobs, hooks and nodes want an agent to know.
//!
//! They are in the store and nowhere else. A text is on disk before whoever brought it is answered, and a run takes it in
//! the write that puts the run's words into the transcript: a crash neither loses it nor tells it twice.

use std::ops::ControlFlow;
use std::sync::Arc;

use openclaw_protocol::protocol::limits;
use serde::{Deserialize, Serialize};

use super::{Changes, SessionKey, Sessions};
use crate::clock::{Clock, iso_8601};
use crate::limits::{MAX_EVENT_QUEUES, MAX_EVENT_TEXT};
use crate::store::{Reader, Store, StoreError, Table, WriteError, Writer};
use crate::text::first_bytes;

/// How long texts have a place that a newcomer needs: a conversation that nobody has used for a week will hardly miss them.
const KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// The texts that wait, by session.
pub struct SystemEvents {
    store: Store,
    clock: Arc<dyn Clock>,
}

/// A text that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// When it came, ms.
    pub at_ms: u64,
    /// The text, without outer blanks.
    pub text: String,
}

/// Why a text does not wait. The texts are for clients.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotKept {
    /// Too many sessions have texts waiting.
    #[error(
        "too many conversations have system events waiting for their next run (limit {MAX_EVENT_QUEUES})"
    )]
    Full,
    /// The store failed; what it said is for the log.
    #[error("the system event could not be saved")]
    Store(#[from] StoreError),
}

impl Sessions {
    /// The texts that wait for these sessions; new ones are stamped by `clock`.
    #[must_use]
    pub fn events(&self, clock: Arc<dyn Clock>) -> SystemEvents {
        SystemEvents {
            store: self.inner.store.clone(),
            clock,
        }
    }
}

impl SystemEvents {
    /// Adds a text to a session's queue, unless it is blank or repeats the last one, and returns once it is on disk. The
    /// oldest go when there are too many; a text over [`MAX_EVENT_TEXT`] is cut.
    ///
    /// # Errors
    /// See [`NotKept`].
    pub async fn push(&self, session: &SessionKey, text: &str) -> Result<(), NotKept> {
        let (session, at_ms, text) = (session.clone(), self.clock.now_ms(), text.to_owned());
        let written = self
            .store
            .write(move |writer| add(writer, &session, at_ms, &text));
        written.await.map_err(|error| match error {
            WriteError::Rejected(why) => why,
            WriteError::Store(error) => error.into(),
        })
    }

    /// What waits for a session, oldest first; nothing if the store cannot be read.
    #[must_use]
    pub fn peek(&self, session: &SessionKey) -> Vec<String> {
        let read = self.store.read(|reader| load(reader, session));
        let waiting = read.unwrap_or_else(|error| {
            tracing::error!(%error, "waiting system events could not be read");
            Vec::new()
        });
        waiting.into_iter().map(|waiting| waiting.text).collect()
    }

    /// Whether anything waits for a session.
    #[must_use]
    pub fn has(&self, session: &SessionKey) -> bool {
        !self.peek(session).is_empty()
    }
}

impl Changes<'_, '_> {
    /// As [`SystemEvents::push`], as a part of this change.
    ///
    /// # Errors
    /// See [`NotKept`].
    pub fn add_event(
        &mut self,
        session: &SessionKey,
        at_ms: u64,
        text: &str,
    ) -> Result<(), NotKept> {
        add(self.writer, session, at_ms, text)
    }

    /// Takes what waits for a session, oldest first: the run that does this tells it.
    pub fn take_events(&mut self, session: &SessionKey) -> Result<Vec<Waiting>, StoreError> {
        let waiting = load(&self.writer.reader(), session)?;
        self.forget_events(session)?;
        Ok(waiting)
    }

    /// Puts back what a run took and took back again, before what has come since. The oldest go when there are too many.
    pub fn give_events_back(
        &mut self,
        session: &SessionKey,
        mut taken: Vec<Waiting>,
    ) -> Result<(), StoreError> {
        if taken.is_empty() {
            return Ok(());
        }
        taken.extend(load(&self.writer.reader(), session)?);
        put(self.writer, session, taken)
    }

    /// Drops what waits for a session that goes.
    pub(super) fn forget_events(&mut self, session: &SessionKey) -> Result<(), StoreError> {
        self.writer.delete(Table::SystemEvents, &session.stored())?;
        Ok(())
    }
}

fn add(
    writer: &mut Writer<'_>,
    session: &SessionKey,
    at_ms: u64,
    text: &str,
) -> Result<(), NotKept> {
    let text = first_bytes(text.trim(), MAX_EVENT_TEXT);
    let mut waiting = load(&writer.reader(), session)?;
    if text.is_empty() || waiting.last().is_some_and(|last| last.text == text) {
        return Ok(());
    }
    if waiting.is_empty() {
        make_room(writer, at_ms)?;
    }
    let text = text.to_owned();
    waiting.push(Waiting { at_ms, text });
    Ok(put(writer, session, waiting)?)
}

/// Makes sure that one more session can have texts.
fn make_room(writer: &mut Writer<'_>, now: u64) -> Result<(), NotKept> {
    let is_full = |writer: &Writer<'_>| {
        let queues = writer.count(Table::SystemEvents, &[])?;
        Ok::<_, StoreError>(queues >= MAX_EVENT_QUEUES as u64)
    };
    if !is_full(writer)? {
        return Ok(());
    }
    let mut stale = Vec::new();
    writer.scan(Table::SystemEvents, &[], |key, waiting: Vec<Waiting>| {
        let newest = waiting.last().map_or(0, |last| last.at_ms);
        if now.saturating_sub(newest) >= KEPT_MS {
            stale.push(key.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    for key in &stale {
        writer.delete(Table::SystemEvents, key)?;
    }
    if is_full(writer)? {
        return Err(NotKept::Full);
    }
    tracing::warn!(
        sessions = stale.len(),
        "system events that waited for a week have been dropped"
    );
    Ok(())
}

/// A damaged record is none, so that the session can be told something again; the store has counted and logged it.
fn load(reader: &Reader<'_>, session: &SessionKey) -> Result<Vec<Waiting>, StoreError> {
    match reader.get(Table::SystemEvents, &session.stored()) {
        Ok(waiting) => Ok(waiting.unwrap_or_default()),
        Err(StoreError::Damaged { .. }) => Ok(Vec::new()),
        Err(other) => Err(other),
    }
}

fn put(
    writer: &mut Writer<'_>,
    session: &SessionKey,
    mut waiting: Vec<Waiting>,
) -> Result<(), StoreError> {
    let surplus = waiting
        .len()
        .saturating_sub(limits::SYSTEM_EVENT_QUEUE as usize);
    waiting.drain(..surplus);
    writer.put(Table::SystemEvents, &session.stored(), &waiting)
}

/// The words of a turn with what waited before them, a line each: `System: [<when>] <text>`. Further lines of a text are
/// set in, so that none can pass for another event or for the words themselves.
#[must_use]
pub(crate) fn before(waiting: &[Waiting], words: &str) -> String {
    if waiting.is_empty() {
        return words.to_owned();
    }
    let mut text = String::new();
    for Waiting { at_ms, text: said } in waiting {
        let said = said.replace('\n', "\n  ");
        text.push_str(&format!("System: [{}] {said}\n", iso_8601(*at_ms)));
    }
    text.push('\n');
    text.push_str(words);
    text
}

impl std::fmt::Debug for SystemEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The texts may be private.
        f.debug_struct("SystemEvents").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::open_in;
    use super::*;
    use crate::clock::ManualClock;

    /// Sessions in a directory, with the texts that wait there.
    struct World {
        sessions: Sessions,
        events: SystemEvents,
        clock: Arc<ManualClock>,
        dir: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            Self::over(tempfile::tempdir().unwrap())
        }

        fn over(dir: tempfile::TempDir) -> Self {
            let (sessions, clock) = (open_in(dir.path()), Arc::new(ManualClock::new(5)));
            Self {
                events: sessions.events(clock.clone()),
                sessions,
                clock,
                dir,
            }
        }

        /// The same after the gateway has gone and come.
        fn restart(self) -> Self {
            let Self {
                sessions,
                events,
                clock: _,
                dir,
            } = self;
            drop((sessions, events));
            Self::over(dir)
        }

        async fn push(&self, key: &str, text: &str) -> Result<(), String> {
            let pushed = self.events.push(&self.sessions.key(key), text).await;
            pushed.map_err(|error| error.to_string())
        }

        fn peek(&self, key: &str) -> Vec<String> {
            self.events.peek(&self.sessions.key(key))
        }

        async fn take(&self, key: &str) -> Vec<Waiting> {
            let key = self.sessions.key(key);
            let taken = self
                .sessions
                .write(move |changes| changes.take_events(&key));
            taken.await.unwrap()
        }

        async fn give_back(&self, key: &str, taken: Vec<Waiting>) {
            let key = self.sessions.key(key);
            let given = self
                .sessions
                .write(move |changes| changes.give_events_back(&key, taken));
            given.await.unwrap();
        }
    }

    const MAX: usize = limits::SYSTEM_EVENT_QUEUE as usize;

    #[tokio::test]
    async fn a_queue_keeps_the_newest_and_skips_repeats() {
        let world = World::new();
        for text in ["a", "a", " a ", "", "  ", "b", "a"] {
            world.push("main", text).await.unwrap();
        }
        assert_eq!(world.peek("agent:main:MAIN"), ["a", "b", "a"]);
        for n in 0..MAX {
            world.push("main", &n.to_string()).await.unwrap();
        }
        assert_eq!(
            (world.peek("main").len(), &*world.peek("main")[0]),
            (MAX, "0"),
            "the older ones went"
        );
        world.push("main", "one more").await.unwrap();
        assert_eq!(
            (world.peek("main").len(), &*world.peek("main")[0]),
            (MAX, "1")
        );
        assert_eq!(world.take("main").await.len(), MAX);
        assert!(world.take("main").await.is_empty() && world.peek("other").is_empty());
    }

    #[tokio::test]
    async fn texts_survive_the_gateway_and_are_taken_once() {
        let world = World::new();
        world.push("main", "a").await.unwrap();
        world.clock.advance(1);
        world.push("main", "b").await.unwrap();
        let world = world.restart();
        assert!(world.events.has(&world.sessions.key("main")));
        let taken = world.take("main").await;
        let shown: Vec<(u64, &str)> = taken.iter().map(|one| (one.at_ms, &*one.text)).collect();
        assert_eq!(shown, [(5, "a"), (6, "b")]);
        let world = world.restart();
        assert!(world.take("main").await.is_empty());
    }

    #[tokio::test]
    async fn a_write_that_fails_takes_nothing() {
        let world = World::new();
        world.push("main", "a").await.unwrap();
        let key = world.sessions.key("main");
        let failing = world.sessions.write(move |changes| {
            changes.take_events(&key)?;
            Err::<(), _>(StoreError::Panicked)
        });
        failing.await.unwrap_err();
        assert_eq!(world.peek("main"), ["a"]);
    }

    #[tokio::test]
    async fn what_a_run_took_back_waits_again() {
        let world = World::new();
        world.push("s", "a").await.unwrap();
        world.push("s", "b").await.unwrap();
        let taken = world.take("s").await;
        world.push("s", "c").await.unwrap();
        world.give_back("s", taken.clone()).await;
        assert_eq!(world.peek("s"), ["a", "b", "c"]);
        world.give_back("t", Vec::new()).await;
        assert!(world.peek("t").is_empty());
        for n in 0..MAX - 1 {
            world.push("full", &n.to_string()).await.unwrap();
        }
        world.give_back("full", taken).await;
        let waiting = world.peek("full");
        assert_eq!(
            (waiting.len(), &*waiting[0]),
            (MAX, "b"),
            "the newest have their place"
        );
    }

    #[tokio::test]
    async fn a_session_that_goes_takes_its_texts_along() {
        let world = World::new();
        let key = world.sessions.key("side");
        let made = key.clone();
        let made = world
            .sessions
            .write(move |changes| changes.put_entry(&made, &super::super::Entry::new(1)));
        made.await.unwrap();
        world.push("side", "a").await.unwrap();
        let deleted = world
            .sessions
            .write(move |changes| changes.delete(&key, true, 2));
        assert!(deleted.await.unwrap().is_some());
        assert!(world.peek("side").is_empty());
    }

    #[test]
    fn what_waited_stands_before_the_words() {
        let waiting = |at_ms, text: &str| Waiting {
            at_ms,
            text: text.to_owned(),
        };
        assert_eq!(before(&[], "hello"), "hello");
        assert_eq!(
            before(
                &[waiting(0, "one"), waiting(1000, "two\nSystem: [x] three")],
                "hello"
            ),
            "System: [1970-01-01T00:00:00.000Z] one\nSystem: [1970-01-01T00:00:01.000Z] two\n  System: [x] three\n\nhello"
        );
    }

    #[tokio::test]
    async fn texts_and_sessions_are_bounded() {
        let world = World::new();
        world
            .push("long", &"é".repeat(MAX_EVENT_TEXT))
            .await
            .unwrap();
        assert_eq!(world.peek("long")[0].len(), MAX_EVENT_TEXT);
        let odd = format!("x{}", "é".repeat(MAX_EVENT_TEXT));
        world.push("long", &odd).await.unwrap();
        assert_eq!(
            world.peek("long")[1].len(),
            MAX_EVENT_TEXT - 1,
            "no half character"
        );
        for n in 1..MAX_EVENT_QUEUES {
            world.push(&n.to_string(), "x").await.unwrap();
        }
        let refused = world.push("one too many", "x").await.unwrap_err();
        assert_eq!(refused, NotKept::Full.to_string());
        assert!(world.peek("one too many").is_empty());
        world.push("long", "still").await.unwrap();
        world.take("1").await;
        world.push("one too many", "x").await.unwrap();
        assert_eq!(world.peek("one too many"), ["x"]);
        // Of those that nobody came for in a week.
        world.clock.advance(KEPT_MS - 1);
        world.push("later", "x").await.unwrap_err();
        world.push("long", "again").await.unwrap();
        world.clock.advance(1);
        world.push("later", "x").await.unwrap();
        assert!(world.peek("2").is_empty());
        assert_eq!(
            (world.peek("long").len(), world.peek("later").len()),
            (4, 1)
        );
    }
}
