//! Requests of one connection that are being handled. They run concurrently, all on the connection's task; what takes
//! long hands itself to other threads and waits here.
//!
//! A request that is answered at once, as nearly all are, never gets into the sets: it is polled where it was read.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::stream::{FuturesUnordered, StreamExt};
use openclaw_protocol::methods::{AnswerSpec, Method};
use openclaw_protocol::protocol::errors;
use openclaw_protocol::rt::{self, Answer, BoxFuture};

use crate::limits::{MAX_IN_FLIGHT, MAX_SECOND_STAGES};

/// The requests under way. Holds no memory while there are none.
#[derive(Default)]
pub(super) struct Requests {
    first: Option<Box<FuturesUnordered<Guarded<Answer>>>>,
    second: Option<Box<FuturesUnordered<Guarded<Vec<u8>>>>>,
}

impl Requests {
    /// Begins a request. Returns its answer if that is there at once.
    pub(super) fn start(
        &mut self,
        method: Method,
        id: &str,
        mut future: BoxFuture<'static, Answer>,
    ) -> Option<Vec<u8>> {
        // The sets poll what is new to them, and with a real waker; so this one need not wake anybody.
        match poll_guarded(
            &mut future,
            &mut Context::from_waker(Waker::noop()),
            method,
            id,
        ) {
            Poll::Ready(answer) => Some(self.settle(method, id, answer)),
            Poll::Pending => {
                let id = id.to_owned();
                self.first
                    .get_or_insert_default()
                    .push(Guarded { future, method, id });
                None
            }
        }
    }

    /// The text of the next frame that is ready.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        if let Some(set) = &mut self.first {
            match set.poll_next_unpin(cx) {
                Poll::Ready(Some((method, id, answer))) => {
                    return Poll::Ready(self.settle(method, &id, answer));
                }
                Poll::Ready(None) => self.first = None,
                Poll::Pending => {}
            }
        }
        if let Some(set) = &mut self.second {
            match set.poll_next_unpin(cx) {
                Poll::Ready(Some((_, _, frame))) => return Poll::Ready(frame),
                Poll::Ready(None) => self.second = None,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// Are there so many that no further one should be read?
    pub(super) fn is_full(&self) -> bool {
        self.first
            .as_ref()
            .is_some_and(|set| set.len() >= MAX_IN_FLIGHT)
    }

    /// Is there no room for a request of `method` because too many wait for their second response?
    pub(super) fn lacks_room_for(&self, method: Method) -> bool {
        matches!(method.spec().answer, AnswerSpec::Staged { .. })
            && self
                .second
                .as_ref()
                .is_some_and(|set| set.len() >= MAX_SECOND_STAGES)
    }

    /// The first or only frame of an answer; the rest of it joins the second set. That may exceed its bound by what
    /// was under way when it was reached, [`MAX_IN_FLIGHT`] at most.
    fn settle(&mut self, method: Method, id: &str, answer: Answer) -> Vec<u8> {
        match answer {
            Answer::One(frame) => frame,
            Answer::Two { first, then } => {
                self.second.get_or_insert_default().push(Guarded {
                    future: then,
                    method,
                    id: id.to_owned(),
                });
                first
            }
        }
    }
}

/// A future of a request; a panic in it becomes its outcome.
struct Guarded<T> {
    future: BoxFuture<'static, T>,
    method: Method,
    id: String,
}

impl<T: Fallback> Future for Guarded<T> {
    type Output = (Method, String, T);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        poll_guarded(&mut this.future, cx, this.method, &this.id)
            .map(|outcome| (this.method, std::mem::take(&mut this.id), outcome))
    }
}

/// What stands in for the outcome of a request that panicked.
trait Fallback {
    fn of(frame: Vec<u8>) -> Self;
}

impl Fallback for Answer {
    fn of(frame: Vec<u8>) -> Self {
        Self::One(frame)
    }
}

impl Fallback for Vec<u8> {
    fn of(frame: Vec<u8>) -> Self {
        frame
    }
}

fn poll_guarded<T: Fallback>(
    future: &mut BoxFuture<'static, T>,
    cx: &mut Context<'_>,
    method: Method,
    id: &str,
) -> Poll<T> {
    // A future that panicked is never polled again, so nobody sees what it left behind.
    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(outcome) => outcome,
        Err(panic) => {
            tracing::error!(
                method = method.name(),
                panic = text_of(&*panic),
                "a handler panicked"
            );
            let error = errors::INTERNAL_ERROR.error();
            Poll::Ready(T::of(rt::error_frame(id, &error, None::<&()>)))
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const METHOD: Method = Method::Health;

    fn one(text: &str) -> Answer {
        Answer::One(text.as_bytes().to_vec())
    }

    fn poll(requests: &mut Requests) -> Option<String> {
        match requests.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => Some(String::from_utf8(frame).unwrap()),
            Poll::Pending => None,
        }
    }

    /// Starts a request that ends when the sender is used.
    fn start(requests: &mut Requests, id: &str) -> oneshot::Sender<Answer> {
        let (sender, receiver) = oneshot::channel();
        let future: BoxFuture<'static, Answer> = Box::pin(async move { receiver.await.unwrap() });
        assert_eq!(requests.start(METHOD, id, future), None);
        sender
    }

    #[test]
    fn an_answer_that_is_there_is_returned() {
        let mut requests = Requests::default();
        assert_eq!(
            requests.start(METHOD, "1", Box::pin(async { one("x") })),
            Some(b"x".to_vec())
        );
        assert!(requests.first.is_none());
    }

    #[test]
    fn answers_come_as_they_are_ready() {
        let mut requests = Requests::default();
        let (a, b) = (start(&mut requests, "a"), start(&mut requests, "b"));
        assert_eq!(poll(&mut requests), None);
        b.send(one("b")).ok().unwrap();
        assert_eq!(poll(&mut requests).as_deref(), Some("b"));
        a.send(one("a")).ok().unwrap();
        assert_eq!(poll(&mut requests).as_deref(), Some("a"));
        assert_eq!(poll(&mut requests), None);
        assert!(requests.first.is_none(), "no memory is kept");
    }

    #[test]
    fn a_second_response_follows_the_first() {
        let mut requests = Requests::default();
        let (sender, receiver) = oneshot::channel::<Vec<u8>>();
        let answer = Answer::Two {
            first: b"first".to_vec(),
            then: Box::pin(async move { receiver.await.unwrap() }),
        };
        assert_eq!(
            requests.start(METHOD, "1", Box::pin(async { answer })),
            Some(b"first".to_vec())
        );
        assert_eq!(poll(&mut requests), None);
        sender.send(b"second".to_vec()).unwrap();
        assert_eq!(poll(&mut requests).as_deref(), Some("second"));
        assert_eq!(poll(&mut requests), None);
        assert!(requests.second.is_none());
    }

    #[test]
    fn a_panic_is_one_failed_request() {
        let expected = |id: &str| {
            let error = r#"{"code":"UNAVAILABLE","message":"internal error"}"#;
            format!(r#"{{"type":"res","id":"{id}","ok":false,"error":{error}}}"#)
        };
        let mut requests = Requests::default();
        let at_once: BoxFuture<'static, Answer> = Box::pin(async { panic!("boom {}", 1) });
        assert_eq!(
            requests.start(METHOD, "1", at_once),
            Some(expected("1").into_bytes())
        );
        let (sender, receiver) = oneshot::channel::<()>();
        let later: BoxFuture<'static, Answer> = Box::pin(async move {
            let _ = receiver.await;
            panic!("boom")
        });
        assert_eq!(requests.start(METHOD, "2", later), None);
        let answer = Answer::Two {
            first: b"ok".to_vec(),
            then: Box::pin(async { std::panic::panic_any(7) }),
        };
        assert!(
            requests
                .start(METHOD, "3", Box::pin(async { answer }))
                .is_some()
        );
        drop(sender);
        assert_eq!(poll(&mut requests), Some(expected("2")));
        assert_eq!(poll(&mut requests), Some(expected("3")));
        assert_eq!(poll(&mut requests), None);
    }

    #[test]
    fn requests_under_way_are_bounded() {
        let mut requests = Requests::default();
        let mut senders: Vec<_> = (1..MAX_IN_FLIGHT)
            .map(|_| start(&mut requests, "x"))
            .collect();
        assert!(!requests.is_full());
        senders.push(start(&mut requests, "x"));
        assert!(requests.is_full());
        senders.pop().unwrap().send(one("x")).ok().unwrap();
        assert!(poll(&mut requests).is_some());
        assert!(!requests.is_full());
    }

    #[test]
    fn second_responses_are_bounded() {
        let mut requests = Requests::default();
        let staged = |requests: &mut Requests| {
            let answer = Answer::Two {
                first: Vec::new(),
                then: Box::pin(std::future::pending()),
            };
            requests.start(Method::Agent, "x", Box::pin(async { answer }));
        };
        for _ in 1..MAX_SECOND_STAGES {
            staged(&mut requests);
        }
        assert!(!requests.lacks_room_for(Method::Agent));
        staged(&mut requests);
        assert!(requests.lacks_room_for(Method::Agent));
        assert!(
            !requests.lacks_room_for(Method::Health),
            "others have nothing to do with it"
        );
    }
}
