//! From what a client sent to params that are right, or the refusal that names what is not.

use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::errors;
use openclaw_protocol::rt::{self, Node, NonEmptyString, Tree};
use openclaw_protocol::tables;
use openclaw_protocol::types::{CronAddParams, CronJobPatch, CronUpdateParams, ErrorShape};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::normalise;
use crate::connection::with_issues;

/// The params of `cron.add`.
///
/// # Errors
/// `INVALID_REQUEST` with every violation of `CronAddParams`.
pub fn new_job(request: Value) -> Result<CronAddParams, ErrorShape> {
    checked(
        Method::CronAdd,
        &tables::CRON_ADD_PARAMS,
        &normalise::new_job(request),
    )
}

/// The job and the change of `cron.update`.
///
/// # Errors
/// `INVALID_REQUEST` with every violation of `CronUpdateParams`, or as [`one_id`].
pub fn update(request: Value) -> Result<(NonEmptyString, CronJobPatch), ErrorShape> {
    let params: CronUpdateParams = checked(
        Method::CronUpdate,
        &tables::CRON_UPDATE_PARAMS,
        &normalise::update(request),
    )?;
    Ok((
        one_id(Method::CronUpdate, params.id, params.job_id)?,
        params.patch,
    ))
}

/// The one name of a job that a request may hold.
///
/// # Errors
/// `INVALID_REQUEST` for none and for both.
pub(crate) fn one_id(
    method: Method,
    id: Option<NonEmptyString>,
    job_id: Option<NonEmptyString>,
) -> Result<NonEmptyString, ErrorShape> {
    let known = match (id, job_id) {
        (Some(id), None) | (None, Some(id)) => return Ok(id),
        (None, None) => errors::CRON_ID_MISSING,
        (Some(_), Some(_)) => errors::CRON_ID_TWICE,
    };
    Err(known.with(&[("method", method.name())]))
}

fn checked<T: DeserializeOwned>(
    method: Method,
    node: &'static Node,
    value: &Value,
) -> Result<T, ErrorShape> {
    let text = value.to_string();
    match rt::decode(node, &text) {
        Ok(params) => Ok(params),
        Err(error) => {
            let violations = match Tree::parse(&text) {
                Ok(tree) => rt::violations(node, &tree),
                Err(_) => Vec::new(),
            };
            if violations.is_empty() {
                // The text is our own, so one of the two readers is wrong.
                tracing::error!(%error, method = method.name(), "params that violate nothing cannot be read");
                return Err(errors::INTERNAL_ERROR.error());
            }
            let problems = rt::describe(&violations);
            let shape =
                errors::INVALID_PARAMS.with(&[("method", method.name()), ("problems", &problems)]);
            Err(with_issues(shape, violations))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_name_everything_in_the_words_of_the_contract() {
        let check = |request: Value, expected: &str| {
            let error = new_job(request).unwrap_err();
            assert_eq!(
                *error.message,
                *format!("invalid cron.add params: {expected}")
            );
            assert!(error.details.is_some());
        };
        check(
            json!({}),
            "must have required property 'name'; must have required property 'schedule'; must have required property 'sessionTarget'; must have required property 'payload'",
        );
        let job = |more: Value| {
            let mut job = json!({"name": "a", "schedule": {"kind": "every", "everyMs": 1}, "payload": {"kind": "systemEvent", "text": "t"}});
            job.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            job
        };
        assert!(new_job(job(json!({}))).is_ok());
        check(
            job(json!({"name": ""})),
            "at /name: must NOT have fewer than 1 characters",
        );
        check(
            job(json!({"extra": 1})),
            "at root: unexpected property 'extra'",
        );
        check(json!("x"), "must be object");
        check(
            job(json!({"schedule": {"kind": "at", "atMs": -1}})),
            "at /schedule/atMs: must be >= 0; at /schedule: must match a schema in anyOf",
        );
    }

    #[test]
    fn one_name_of_a_job() {
        let check = |request: Value, expected: Result<&str, &str>| {
            let outcome = update(request).map(|(id, _)| id);
            assert_eq!(
                outcome
                    .as_ref()
                    .map(|id| id.as_str())
                    .map_err(|error| &*error.message),
                expected
            );
        };
        check(json!({"id": "a", "patch": {}}), Ok("a"));
        check(json!({"jobId": "a", "patch": {}}), Ok("a"));
        check(
            json!({"patch": {}}),
            Err(
                "invalid cron.update params: must have required property 'id'; must have required property 'jobId'; must match a schema in anyOf",
            ),
        );
        check(
            json!({"id": "a", "jobId": "a", "patch": {}}),
            Err(
                "invalid cron.update params: at root: unexpected property 'jobId'; at root: unexpected property 'id'; must match a schema in anyOf",
            ),
        );
        check(
            json!({"id": "a"}),
            Err("invalid cron.update params: must have required property 'patch'"),
        );
    }
}
