//! Group `device`: `device.pair.*` and `device.token.*` (contract 3.3).

use openclaw_protocol::protocol::{ErrorCode, Role, errors};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::DeviceMethods;
use openclaw_protocol::types::{
    DevicePairApproveParams, DevicePairApproveResult, DevicePairListParams, DevicePairListResult,
    DevicePairRejectParams, DevicePairRejectResult, DeviceTokenRevokeParams,
    DeviceTokenRevokeResult, DeviceTokenRotateParams, DeviceTokenRotateResult, ErrorShape,
};
use openclaw_protocol::{methods, protocol::Scope};

use super::Methods;
use crate::connection::Caller;
use crate::hub::Admitted as _;
use crate::pairing::{Actor, PairingError};

impl DeviceMethods<Caller> for Methods {
    async fn device_pair_list(
        &self,
        _: &Caller,
        _: DevicePairListParams,
    ) -> Result<DevicePairListResult, ErrorShape> {
        let (pending, paired) = self.pairing.list();
        Ok(DevicePairListResult::new(
            pending.iter().map(Into::into).collect(),
            paired.iter().map(Into::into).collect(),
        ))
    }

    async fn device_pair_approve(
        &self,
        caller: &Caller,
        params: DevicePairApproveParams,
    ) -> Result<DevicePairApproveResult, ErrorShape> {
        let approved = self
            .pairing
            .approve(&params.request_id, actor(caller))
            .await;
        let (device, _) = approved.map_err(refusal)?;
        Ok(DevicePairApproveResult::new(
            params.request_id,
            (&device).into(),
        ))
    }

    async fn device_pair_reject(
        &self,
        _: &Caller,
        params: DevicePairRejectParams,
    ) -> Result<DevicePairRejectResult, ErrorShape> {
        let rejected = self.pairing.reject(&params.request_id).await;
        let device_id = rejected.map_err(refusal)?.device_id;
        Ok(DevicePairRejectResult::new(
            params.request_id,
            NonEmptyString::or(device_id, "unknown"),
        ))
    }

    async fn device_token_rotate(
        &self,
        caller: &Caller,
        params: DeviceTokenRotateParams,
    ) -> Result<DeviceTokenRotateResult, ErrorShape> {
        let role = role(&params.role)?;
        let scopes = params
            .scopes
            .map(|scopes| scopes.into_iter().map(String::from).collect());
        let rotated = self
            .pairing
            .rotate(&params.device_id, role, scopes, actor(caller))
            .await;
        let grant = rotated.map_err(refusal)?;
        self.dismiss_own(caller, &params.device_id, role);
        let scopes = grant.scopes.iter().map(String::as_str);
        Ok(DeviceTokenRotateResult::new(
            params.device_id,
            params.role,
            grant.token,
            scopes.filter_map(NonEmptyString::new).collect(),
            grant.issued_at_ms,
        ))
    }

    async fn device_token_revoke(
        &self,
        caller: &Caller,
        params: DeviceTokenRevokeParams,
    ) -> Result<DeviceTokenRevokeResult, ErrorShape> {
        let role = role(&params.role)?;
        let revoked = self
            .pairing
            .revoke(&params.device_id, role, actor(caller))
            .await;
        let revoked_at_ms = revoked.map_err(refusal)?;
        self.dismiss_own(caller, &params.device_id, role);
        Ok(DeviceTokenRevokeResult::new(
            params.device_id,
            params.role,
            revoked_at_ms,
        ))
    }
}

impl Methods {
    /// Ends the caller's own connection too if it is one of those whose token died, behind the answer: that is queued
    /// in the same poll in which the handler ends, and the task made here is polled after it, on the same thread.
    fn dismiss_own(&self, caller: &Caller, device_id: &str, role: Role) {
        if caller.device_id.as_deref() != Some(device_id) || caller.role != role {
            return;
        }
        let (hub, device_id) = (std::sync::Arc::clone(&self.hub), device_id.to_owned());
        tokio::spawn(async move { hub.dismiss(&device_id, role, None) });
    }
}

/// The caller as who may hand out its own scopes, an admin all of them (odd 7).
fn actor(caller: &Caller) -> Actor {
    let is_admin = methods::grants(&caller.scopes, &[Scope::Admin]);
    Actor {
        scopes: (!is_admin).then(|| caller.scopes.clone()),
        conn_id: Some(caller.conn_id.clone()),
    }
}

/// A role that nobody has is granted to no device.
fn role(name: &str) -> Result<Role, ErrorShape> {
    Role::from_wire(name).ok_or_else(|| errors::DEVICE_UNKNOWN_ROLE.error())
}

fn refusal(error: PairingError) -> ErrorShape {
    match error {
        PairingError::UnknownRequest => errors::PAIRING_UNKNOWN_REQUEST.error(),
        PairingError::UnknownDevice => errors::DEVICE_UNKNOWN_ROLE.error(),
        PairingError::NotYours(scope) => errors::MISSING_SCOPE.with(&[("scope", &scope)]),
        PairingError::TooManyDevices | PairingError::TooManyScopes => {
            ErrorCode::Unavailable.error(error.to_string())
        }
        PairingError::Store(_) | PairingError::Random(_) | PairingError::Interrupted => {
            tracing::error!(%error, "pairing failed");
            errors::INTERNAL_ERROR.error()
        }
    }
}
