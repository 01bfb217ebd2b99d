//! What an accepted connection asks for: each message is checked, answered or counted.

use std::cell::Cell;
use std::sync::Arc;

use openclaw_protocol::call::{self, Problem};
use openclaw_protocol::methods;
use openclaw_protocol::protocol::{self, ErrorCode, close, errors, limits, texts};
use openclaw_protocol::rt::{self, NonEmptyString, Violation};
use openclaw_protocol::types::{ErrorShape, InvalidParamsDetails, InvalidParamsIssue};

use super::{Link, Phase};
use crate::connection::ending::Ending;
use crate::limits::MAX_SECOND_STAGES;

impl Link {
    /// A message after hello-ok (contract 1.5). The order of its checks: a frame, allowed, known, its params.
    pub(super) fn handle_request(&mut self, text: &str) -> Option<Ending> {
        let Phase::Open(caller) = &self.phase else {
            return None;
        };
        if self.outbox.is_over() {
            // Dismissed in this very turn: what was read before is not carried out any more.
            return Some(Ending::ClosedByHub);
        }
        let version = caller.protocol;
        let is_newest = version == protocol::VERSION;
        let denial = Cell::new(None);
        let authorize = |name: &str| {
            if is_newest {
                methods::authorize(caller.role, &caller.scopes, name)
            } else {
                methods::authorize_at(version, caller.role, &caller.scopes, name)
            }
        };
        let gate = |name: &str| match authorize(name) {
            Ok(method) if !method.spec().handshake => Some(method),
            Ok(_) => {
                denial.set(Some(errors::CONNECT_REPEATED.error()));
                None
            }
            Err(refusal) => {
                denial.set(Some(refusal.error()));
                None
            }
        };
        let read = if is_newest {
            call::read_request(text, gate)
        } else {
            call::read_request_at(text, version, gate)
        };
        match read {
            Ok(request) => {
                let id = &*request.id;
                let Some(call) = request.params else {
                    let error = denial
                        .take()
                        .unwrap_or_else(|| errors::INTERNAL_ERROR.error());
                    self.answer_error(id, &error);
                    return None;
                };
                let method = call.method();
                tracing::trace!(conn = caller.conn_id, id, method = method.name(), "request");
                if self.requests.lacks_room_for(method) {
                    let text = format!(
                        "{MAX_SECOND_STAGES} requests of this connection are not finished yet"
                    );
                    self.answer_error(id, &ErrorCode::Unavailable.error(text));
                    return None;
                }
                let service = Arc::clone(&self.shared.service);
                match service.call(caller.clone(), id.to_owned(), call) {
                    Ok(mut future) => {
                        if !is_newest {
                            future =
                                Box::pin(
                                    async move { method.spec().answer_at(version, future.await) },
                                );
                        }
                        if let Some(frame) = self.requests.start(method, id, future) {
                            self.outbox.send(frame);
                        }
                    }
                    Err(_) => self.answer_error(id, &errors::CONNECT_REPEATED.error()),
                }
                None
            }
            Err(Problem::Params {
                id,
                method,
                violations,
            }) => {
                let known = errors::INVALID_PARAMS;
                let problems = rt::describe(&violations);
                let error = known.with(&[("method", method.name()), ("problems", &problems)]);
                self.answer_error(&id, &with_issues(error, violations));
                None
            }
            Err(Problem::Frame { id, violations }) => {
                let error = errors::INVALID_FRAME.with(&[("problems", &rt::describe(&violations))]);
                // An empty id would make the response one that its own definition refuses.
                let id = id.as_deref().filter(|id| !id.is_empty());
                let id = id.unwrap_or(texts::UNKNOWN_REQUEST_ID);
                self.answer_error(id, &with_issues(error, violations));
                self.bad_frame()
            }
            Err(Problem::NotJson) => self.bad_frame(),
        }
    }

    /// Counts a message that was no request (odd 33).
    fn bad_frame(&mut self) -> Option<Ending> {
        self.shared.counters.bad_frame();
        self.bad_frames += 1;
        (self.bad_frames > limits::BAD_FRAMES_MAX)
            .then(|| self.close(close::TOO_MANY_BAD_FRAMES, Ending::TooManyBadFrames))
    }

    fn answer_error(&self, id: &str, error: &ErrorShape) {
        self.outbox.send(rt::error_frame(id, error, None::<&()>));
    }
}

/// Adds the violations as data.
pub fn with_issues(mut error: ErrorShape, violations: Vec<Violation>) -> ErrorShape {
    let issue = |violation: Violation| {
        let keyword = NonEmptyString::or(violation.keyword, "schema");
        InvalidParamsIssue::new(
            violation.path,
            keyword,
            NonEmptyString::or(violation.message, "is invalid"),
        )
    };
    let details = InvalidParamsDetails::new(violations.into_iter().map(issue).collect());
    error.details = serde_json::to_value(details).ok();
    error
}
