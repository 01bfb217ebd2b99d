//! What the client's handles and its task share: the present connection and the calls that wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_protocol::types::HelloOk;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::error::{CallError, Disconnect};
use crate::events::Notice;
use crate::link::Outgoing;
use crate::wire::Response;

/// Most calls that may wait for answers at a time, second stages included. Far above what one
/// program has in flight; a program over it has lost count.
pub const MAX_PENDING: usize = 1024;

/// What a waiting call gets.
pub(crate) type Settled = Result<Response, Disconnect>;

/// Shared by handles and task. The lock is held for a few map operations, never over an await.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where frames of the present connection go; `None` while there is none.
    outbox: Option<mpsc::Sender<Outgoing>>,
    hello: Arc<HelloOk>,
    waiting: HashMap<String, Waiter>,
    next_id: u64,
    /// `None` once the client has ended, which ends its consumers.
    notices: Option<broadcast::Sender<Notice>>,
}

/// The answers that a call still waits for, in order.
#[derive(Debug)]
struct Waiter {
    next: oneshot::Sender<Settled>,
    last: Option<oneshot::Sender<Settled>>,
}

/// A call that waits for its answers. Dropping it makes the client forget the call: answers that still
/// come are ignored.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) id: String,
    pub(crate) first: oneshot::Receiver<Settled>,
    pub(crate) last: Option<oneshot::Receiver<Settled>>,
    shared: Arc<Shared>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.lock().waiting.remove(&self.id);
    }
}

impl Shared {
    pub(crate) fn new(hello: Arc<HelloOk>, notices: broadcast::Sender<Notice>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                outbox: None,
                hello,
                waiting: HashMap::new(),
                next_id: 0,
                notices: Some(notices),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hello of the present or last connection.
    pub(crate) fn hello(&self) -> Arc<HelloOk> {
        Arc::clone(&self.lock().hello)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.lock().outbox.is_some()
    }

    /// Tells all consumers. It does not matter whether there are any.
    pub(crate) fn notify(&self, notice: Notice) {
        if let Some(notices) = &self.lock().notices {
            let _ = notices.send(notice);
        }
    }

    pub(crate) fn has_consumers(&self) -> bool {
        let state = self.lock();
        state
            .notices
            .as_ref()
            .is_some_and(|n| n.receiver_count() > 0)
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Notice> {
        match &self.lock().notices {
            Some(notices) => notices.subscribe(),
            // One that has ended already.
            None => broadcast::channel(1).1,
        }
    }

    /// No notice will come any more.
    pub(crate) fn end(&self) {
        self.lock().notices = None;
    }

    /// A connection is there: calls may be sent into its outbox.
    pub(crate) fn attach(&self, hello: Arc<HelloOk>, outbox: mpsc::Sender<Outgoing>) {
        let mut state = self.lock();
        state.hello = hello;
        state.outbox = Some(outbox);
    }

    /// The connection is gone: no call can be sent, and none that waits will be answered.
    pub(crate) fn detach(&self, cause: &Disconnect) {
        let waiting = {
            let mut state = self.lock();
            state.outbox = None;
            std::mem::take(&mut state.waiting)
        };
        for waiter in waiting.into_values() {
            // A receiver that is gone has lost interest.
            let _ = waiter.next.send(Err(cause.clone()));
            if let Some(last) = waiter.last {
                let _ = last.send(Err(cause.clone()));
            }
        }
    }

    /// Takes up a call, and says where to send it. With `two_stage` its id stays known after the
    /// first answer.
    pub(crate) fn register(
        self: &Arc<Self>,
        two_stage: bool,
    ) -> Result<(Ticket, mpsc::Sender<Outgoing>), CallError> {
        let mut state = self.lock();
        let outbox = state.outbox.clone().ok_or(CallError::NotConnected)?;
        if state.waiting.len() >= MAX_PENDING {
            return Err(CallError::TooMany { limit: MAX_PENDING });
        }
        state.next_id += 1;
        let id = state.next_id.to_string();
        let (next, first) = oneshot::channel();
        let (last_sender, last) = two_stage.then(oneshot::channel).unzip();
        let waiter = Waiter {
            next,
            last: last_sender,
        };
        state.waiting.insert(id.clone(), waiter);
        let ticket = Ticket {
            id,
            first,
            last,
            shared: Arc::clone(self),
        };
        Ok((ticket, outbox))
    }

    /// Hands a response to the call that waits for it; one for nobody is ignored (contract 12).
    pub(crate) fn settle(&self, id: String, response: Response) {
        let receiver = {
            let mut state = self.lock();
            let Some(Waiter { next, last }) = state.waiting.remove(&id) else {
                return;
            };
            if let Some(last) = last {
                let waiter = Waiter {
                    next: last,
                    last: None,
                };
                state.waiting.insert(id, waiter);
            }
            next
        };
        let _ = receiver.send(Ok(response));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    fn shared() -> (Arc<Shared>, mpsc::Receiver<Outgoing>) {
        let (notices, _) = broadcast::channel(1);
        let (outbox, frames) = mpsc::channel(1);
        let hello = Arc::new(fake::hello());
        let shared = Shared::new(Arc::clone(&hello), notices);
        shared.attach(hello, outbox);
        (shared, frames)
    }

    fn answer(ok: bool) -> Response {
        Response {
            ok,
            payload: None,
            error: None,
        }
    }

    #[test]
    fn pending_calls_are_bounded() {
        let (shared, _frames) = shared();
        let mut tickets: Vec<Ticket> = (0..MAX_PENDING)
            .map(|_| shared.register(true).unwrap().0)
            .collect();
        let error = shared.register(false).unwrap_err();
        assert!(matches!(error, CallError::TooMany { limit: MAX_PENDING }));
        tickets.pop();
        shared.register(false).unwrap();
    }

    #[test]
    fn answers_find_their_calls_stage_by_stage() {
        let (shared, _frames) = shared();
        let (mut one, _) = shared.register(false).unwrap();
        let (mut two, _) = shared.register(true).unwrap();
        assert_ne!(one.id, two.id);
        shared.settle(two.id.clone(), answer(true));
        shared.settle("unknown".to_owned(), answer(true));
        shared.settle(one.id.clone(), answer(false));
        // A second answer to a call of one stage is for nobody.
        shared.settle(one.id.clone(), answer(true));
        assert!(!one.first.try_recv().unwrap().unwrap().ok);
        assert!(two.first.try_recv().unwrap().unwrap().ok);
        let mut last = two.last.take().unwrap();
        assert!(last.try_recv().is_err());
        shared.settle(two.id.clone(), answer(false));
        assert!(!last.try_recv().unwrap().unwrap().ok);
        assert!(shared.lock().waiting.is_empty());
    }

    #[test]
    fn a_dropped_call_is_forgotten() {
        let (shared, _frames) = shared();
        let (ticket, _) = shared.register(true).unwrap();
        let id = ticket.id.clone();
        drop(ticket);
        assert!(shared.lock().waiting.is_empty());
        shared.settle(id, answer(true));
    }

    #[test]
    fn the_end_of_the_connection_fails_every_call_and_stage() {
        let (shared, _frames) = shared();
        let (mut one, _) = shared.register(false).unwrap();
        let (mut two, _) = shared.register(true).unwrap();
        shared.settle(two.id.clone(), answer(true));
        shared.detach(&Disconnect::Silent);
        assert_eq!(
            one.first.try_recv().unwrap().unwrap_err(),
            Disconnect::Silent
        );
        assert!(two.first.try_recv().unwrap().is_ok());
        let mut last = two.last.take().unwrap();
        assert_eq!(last.try_recv().unwrap().unwrap_err(), Disconnect::Silent);
        assert!(!shared.is_connected());
        let error = shared.register(false).unwrap_err();
        assert!(matches!(error, CallError::NotConnected));
    }
}
