//! What the gateway knows of the machine it runs on, and what it takes of it.

use std::net::IpAddr;

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::PresenceEntry;

/// How the gateway describes its role in presence.
const MODE: &str = "gateway";
/// Why its own entry is there.
const REASON: &str = "self";

/// Name of the machine.
pub(super) fn name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// The machine's own addresses; none if the system does not tell.
pub(super) fn addresses() -> Vec<IpAddr> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).collect(),
        Err(error) => {
            tracing::warn!(%error, "the machine's addresses are not known");
            Vec::new()
        }
    }
}

/// Each client costs a descriptor, and many systems start with room for a thousand.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// The gateway's own presence entry (contract 9.1).
pub(super) fn own_presence(
    name: &str,
    addresses: &[IpAddr],
    version: &str,
    now_ms: u64,
) -> PresenceEntry {
    let address = addresses
        .iter()
        .find(|address| address.is_ipv4() && !address.is_loopback())
        .map(IpAddr::to_string);
    let at = address
        .as_ref()
        .map_or_else(String::new, |address| format!(" ({address})"));
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut entry = PresenceEntry::new(now_ms);
    entry.text = Some(format!(
        "Gateway: {name}{at} · app {version} · mode {MODE} · reason {REASON}"
    ));
    entry.host = NonEmptyString::new(name);
    entry.ip = address.and_then(NonEmptyString::new);
    entry.version = NonEmptyString::new(version);
    entry.platform = NonEmptyString::new(format!("{} {release}", std::env::consts::OS));
    entry.device_family = NonEmptyString::new(family());
    entry.model_identifier = NonEmptyString::new(std::env::consts::ARCH);
    entry.mode = NonEmptyString::new(MODE);
    entry.reason = NonEmptyString::new(REASON);
    entry
}

/// Kind of machine, as other clients name theirs.
fn family() -> &'static str {
    match std::env::consts::OS {
        "macos" => "Mac",
        "linux" => "Linux",
        other => other,
    }
}
