//! Questions joined with the store, the clock and the hub.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ExecApprovalDecision, ExecApprovalRequest, ExecApprovalRequestParams,
    ExecApprovalRequestResult, ExecApprovalRequestedEvent, ExecApprovalResolvedEvent,
};

use super::ApprovalError;
use super::book::{Asked, Book, Standing};
use super::record::{Decided, Question};
use crate::clock::Clock;
use crate::hub::EventSink;
use crate::store::{Store, StoreError, Table};

/// The questions of this gateway. Clones share them.
#[derive(Clone)]
pub struct Approvals {
    inner: Arc<Inner>,
}

struct Inner {
    book: Mutex<Book>,
    store: Store,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
}

impl Approvals {
    /// Reads what was stored. Questions whose time is over are dropped.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(
        store: Store,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, StoreError> {
        let mut questions = Vec::new();
        store.read(|reader| {
            reader.scan(Table::ExecApprovals, b"", |_, question: Question| {
                questions.push(question);
                ControlFlow::Continue(())
            })
        })?;
        let book = Book::restore(questions, clock.now_ms());
        Ok(Self {
            inner: Arc::new(Inner {
                book: Mutex::new(book),
                store,
                clock,
                events,
            }),
        })
    }

    /// Questions that wait, oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<ExecApprovalRequestedEvent> {
        let now_ms = self.inner.clock.now_ms();
        let book = self.inner.book();
        let waiting = book.waiting(now_ms);
        waiting.into_iter().map(Question::event).collect()
    }

    /// Asks, and waits until somebody decides or the time is over, which gives no decision. Dropping the future leaves
    /// the question as it is.
    ///
    /// # Errors
    /// [`ApprovalError::Pending`], [`ApprovalError::Full`], or trouble with the store; nobody was asked then.
    pub async fn ask(
        &self,
        params: ExecApprovalRequestParams,
    ) -> Result<ExecApprovalRequestResult, ApprovalError> {
        let now_ms = self.inner.clock.now_ms();
        let question = question(params, now_ms);
        let asked = self.inner.book().ask(question.clone(), now_ms)?;
        let (question, asker, is_new) = match asked {
            Asked::Decided(question) => {
                self.inner.remove(question.key());
                return Ok(question.answer());
            }
            Asked::Joined(question, asker) => (question, asker, false),
            Asked::New(asker) => (question, asker, true),
        };
        // From here on somebody waits, until this is dropped.
        let _place = Awaiting {
            inner: &self.inner,
            id: &question.id,
            asker,
        };
        if is_new {
            let question = question.clone();
            self.run(|inner| inner.begin(question)).await?;
        } else {
            self.inner.announce(&question);
        }
        Ok(self.inner.answer(&question).await)
    }

    /// Decides a question; the first decision counts.
    ///
    /// # Errors
    /// [`ApprovalError::Decision`] before [`ApprovalError::Unknown`], or trouble with the store; the question waits on
    /// then.
    pub async fn resolve(
        &self,
        id: &str,
        decision: &str,
        by: Option<NonEmptyString>,
    ) -> Result<(), ApprovalError> {
        let decision: ExecApprovalDecision =
            decision.parse().map_err(|_| ApprovalError::Decision)?;
        let decided = Decided {
            decision,
            by,
            at_ms: self.inner.clock.now_ms(),
        };
        let question = self.inner.book().decide(id, decided.clone())?;
        self.run(|inner| inner.decide(question, decided)).await
    }

    /// Runs a change as a task of its own, so that it is finished even when the caller goes away.
    async fn run<F>(&self, change: impl FnOnce(Arc<Inner>) -> F) -> Result<(), ApprovalError>
    where
        F: Future<Output = Result<(), ApprovalError>> + Send + 'static,
    {
        tokio::spawn(change(Arc::clone(&self.inner)))
            .await
            .unwrap_or(Err(ApprovalError::Interrupted))
    }
}

/// Somebody waits for a question. Dropped with the future of whoever asked.
struct Awaiting<'a> {
    inner: &'a Inner,
    id: &'a str,
    asker: u64,
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.inner.book().leave(self.id, self.asker);
    }
}

impl Inner {
    fn book(&self) -> MutexGuard<'_, Book> {
        // No code under this lock can panic half way through a change.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a new question, then tells of it.
    async fn begin(self: Arc<Self>, question: Question) -> Result<(), ApprovalError> {
        if let Err(error) = self.put(question.clone()).await {
            self.book().forget(&question.id);
            return Err(error);
        }
        self.book().announce(&question.id);
        self.announce(&question);
        Ok(())
    }

    fn announce(&self, question: &Question) {
        self.events
            .emit(Event::ExecApprovalRequested(question.event()));
    }

    /// Stores a decision, then tells of it.
    async fn decide(
        self: Arc<Self>,
        question: Question,
        decided: Decided,
    ) -> Result<(), ApprovalError> {
        let id = question.id.clone();
        if let Err(error) = self.put(question).await {
            self.book().settle(&id, None);
            return Err(error);
        }
        let mut event = ExecApprovalResolvedEvent::new(id.clone(), decided.decision, decided.at_ms);
        event.resolved_by = decided.by.clone();
        // The event before the asker's answer, as the original has it.
        self.events.emit(Event::ExecApprovalResolved(event));
        self.book().settle(&id, Some(decided));
        Ok(())
    }

    /// The answer to a question that is asked: its decision, or none when its time is over.
    async fn answer(self: &Arc<Self>, asked: &Question) -> ExecApprovalRequestResult {
        let id = &*asked.id;
        loop {
            // Not in the match itself, whose arms lock the book again.
            let standing = self.book().standing(id);
            let (changed, until_ms, is_deciding) = match standing {
                Standing::Answer(question) => {
                    self.done(id);
                    return question.answer();
                }
                // Only whoever waits ends a question that is awaited, so this is not reached.
                Standing::Gone => return asked.answer(),
                Standing::Wait {
                    changed,
                    until_ms,
                    is_deciding,
                } => (changed, until_ms, is_deciding),
            };
            let mut told = std::pin::pin!(changed.notified());
            told.as_mut().enable();
            // What changed between the look and the subscription is seen by a second look.
            if matches!(self.book().standing(id), Standing::Answer(_)) {
                continue;
            }
            if is_deciding {
                told.await;
                continue;
            }
            let left = Duration::from_millis(until_ms.saturating_sub(self.clock.now_ms()));
            if tokio::time::timeout(left, told).await.is_err()
                && let Some(question) = self.expire(id)
            {
                return question.answer();
            }
        }
    }

    /// Ends a question whose time is over, unless it is being decided at this moment.
    fn expire(self: &Arc<Self>, id: &str) -> Option<Question> {
        let mut book = self.book();
        if !matches!(
            book.standing(id),
            Standing::Wait {
                is_deciding: false,
                ..
            }
        ) {
            return None;
        }
        let question = book.forget(id)?;
        drop(book);
        self.remove(question.key());
        Some(question)
    }

    /// An answer is handed out: the id is free.
    fn done(self: &Arc<Self>, id: &str) {
        let question = self.book().forget(id);
        if let Some(question) = question {
            self.remove(question.key());
        }
    }

    /// Removes a record behind the caller's back: should it survive, its id is asked for again with the same question
    /// or it dies of age.
    fn remove(self: &Arc<Self>, key: [u8; 32]) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let mut keys = inner.book().take_stale();
            keys.push(key);
            let removed = inner.store.write(move |writer| {
                for key in &keys {
                    writer.delete(Table::ExecApprovals, key)?;
                }
                Ok::<(), StoreError>(())
            });
            if let Err(error) = removed.await {
                tracing::warn!(%error, "questions that are over stay in the store");
            }
        });
    }

    async fn put(&self, question: Question) -> Result<(), ApprovalError> {
        let stale = self.book().take_stale();
        let written = self.store.write(move |writer| {
            for key in &stale {
                writer.delete(Table::ExecApprovals, key)?;
            }
            writer.put(Table::ExecApprovals, &question.key(), &question)
        });
        Ok(written.await?)
    }
}

fn question(params: ExecApprovalRequestParams, now_ms: u64) -> Question {
    let timeout = params
        .timeout_ms
        .unwrap_or(limits::EXEC_APPROVAL_TIMEOUT_MS)
        .min(limits::EXEC_APPROVAL_MAX_MS);
    Question {
        id: params
            .id
            .unwrap_or_else(|| NonEmptyString::or(uuid::Uuid::new_v4().to_string(), "question")),
        request: ExecApprovalRequest::new(
            params.command,
            params.cwd,
            params.host,
            params.security,
            params.ask,
            params.agent_id,
            params.resolved_path,
            params.session_key,
        ),
        created_at_ms: now_ms,
        expires_at_ms: now_ms.saturating_add(timeout),
        decided: None,
    }
}
