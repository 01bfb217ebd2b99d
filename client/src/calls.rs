//! Typed calls: the generated methods over this client.

use openclaw_protocol::client::{Staging, Transport};
use openclaw_protocol::methods::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::client::{Client, Stages};
use crate::error::CallError;

impl Transport for Client {
    type Error = CallError;

    async fn call<P, R>(&self, method: Method, params: &P) -> Result<R, CallError>
    where
        P: Serialize + Sync,
        R: DeserializeOwned + Send,
    {
        read(method, &self.request(method.name(), params).await?)
    }

    async fn call_staged<P, A, F>(
        &self,
        method: Method,
        params: &P,
    ) -> Result<Staging<A, F, CallError>, CallError>
    where
        P: Serialize + Sync,
        A: DeserializeOwned + Send + 'static,
        F: DeserializeOwned + Send + 'static,
    {
        let Stages { first, last } = self.request_staged(method.name(), params).await?;
        // The types tell the stages apart: each has a status of its own. A repeated key of a
        // request that has ended brings its final payload at once.
        if let Ok(first) = serde_json::from_str(first.get()) {
            let last = Box::pin(async move { read(method, &last.await?) });
            return Ok(Staging::Running { first, last });
        }
        read(method, &first).map(Staging::Ended)
    }
}

fn read<T: DeserializeOwned>(method: Method, payload: &RawValue) -> Result<T, CallError> {
    serde_json::from_str(payload.get()).map_err(|source| CallError::BadAnswer {
        method: method.name().to_owned(),
        source,
    })
}
