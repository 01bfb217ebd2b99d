//! What texts about an agent's picture mean. Asked by `agents.list` and `agent.identity.get`, which show pictures in their
//! own ways.

use std::path::Path;

/// Is this an address that clients load by themselves?
pub(super) fn is_address(avatar: &str) -> bool {
    let lower = avatar.to_lowercase();
    ["http://", "https://", "data:"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
}

/// Media type of a picture, by the ending of its name; none for what is no picture.
pub(super) fn media_type(name: &str) -> Option<&'static str> {
    let ending = Path::new(name).extension()?.to_str()?.to_lowercase();
    Some(match ending.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "avif" => "image/avif",
        _ => return None,
    })
}
