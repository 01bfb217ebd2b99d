//! On whose behalf devices are admitted and tokens changed. `methods` names the actor, `service` asks it.

use openclaw_protocol::protocol::{Role, Scope};

use super::PairingError;
use super::record::Device;

/// On whose behalf a token is changed. The default may do everything and has no connection.
#[derive(Debug, Clone, Default)]
pub struct Actor {
    /// The scopes that it may hand out; `None`: all of them.
    pub scopes: Option<Vec<String>>,
    /// Its connection, which is not closed: it has an answer to get first.
    pub conn_id: Option<String>,
}

impl Actor {
    /// The first of `scopes` that is not its own to give.
    pub(super) fn lacks<'s>(&self, scopes: &'s [String]) -> Option<&'s String> {
        let held = self.scopes.as_ref()?;
        scopes.iter().find(|scope| !held.contains(scope))
    }

    /// The first of `scopes` that it may neither grant to a device nor take from one. Whoever looks after devices
    /// admits those that read and write without holding these scopes itself, as the original's operators do; the right
    /// to decide about commands, to admit devices, or to do everything is given and taken by those alone who hold it.
    pub(super) fn may_not_decide<'s>(&self, scopes: &'s [String]) -> Option<&'s String> {
        let held = self.scopes.as_ref()?;
        let common = [Scope::Read.as_str(), Scope::Write.as_str()];
        scopes
            .iter()
            .find(|scope| !held.contains(scope) && !common.contains(&scope.as_str()))
    }

    /// Refuses to touch a token that has scopes which are not the actor's to take.
    pub(super) fn may_end(&self, device: &Device, role: Role) -> Result<(), PairingError> {
        let token = device.token(role);
        match token.and_then(|token| self.may_not_decide(&token.scopes)) {
            Some(scope) => Err(PairingError::NotYours(scope.clone())),
            None => Ok(()),
        }
    }
}
