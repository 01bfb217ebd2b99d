//! What clients of an older protocol version get of an event. Asked when a connection is accepted, not when an event is
//! sent.

use std::borrow::Cow;

use openclaw_protocol::events::EventKind;

use crate::ws::EventFrame;

/// How much of an event a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it.
    Whole,
    /// It without members that are newer than the client's version.
    Reduced,
    /// Nothing: its version does not have the event, so it is not counted in its `seq` either.
    Nothing,
}

/// The share of a client of `version` in an event that exists `since` a version and has its newest member since
/// another.
pub(super) fn share(since: u64, newest_member: u64, version: u64) -> Share {
    if since > version {
        Share::Nothing
    } else if newest_member > version {
        Share::Reduced
    } else {
        Share::Whole
    }
}

/// An event's frame as a client of `version` gets it.
pub(super) fn frame_at(
    kind: EventKind,
    version: u64,
    frame: &EventFrame,
) -> Option<Cow<'_, EventFrame>> {
    let spec = kind.spec();
    match share(spec.since, spec.newest_member, version) {
        Share::Whole => Some(Cow::Borrowed(frame)),
        Share::Reduced => Some(Cow::Owned(frame.at(kind, version))),
        Share::Nothing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_decides_about_event_and_members() {
        for (since, newest_member, version, expected) in [
            (3, 0, 3, Share::Whole),
            (3, 4, 3, Share::Reduced),
            (3, 4, 4, Share::Whole),
            (4, 0, 3, Share::Nothing),
            (4, 4, 3, Share::Nothing),
            (4, 5, 4, Share::Reduced),
        ] {
            let found = share(since, newest_member, version);
            assert_eq!(
                found, expected,
                "since {since}, newest member {newest_member}, at {version}"
            );
        }
    }
}
