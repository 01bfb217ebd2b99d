//! Which broadcasts a caller may see, by its role, scopes and protocol version. Asked by [`super::registry`] when somebody
//! is let in.

use openclaw_protocol::events::EventKind;
use openclaw_protocol::methods;
use openclaw_protocol::protocol::{Role, Scope};

use super::older::{Share, share};
use crate::connection::Caller;

/// One bit for each kind of event.
pub(super) type Audience = u64;

const _: () = assert!(EventKind::ALL.len() <= Audience::BITS as usize);

/// What a node gets of the broadcasts where nobody gets more than they may ask about: it has copies of the conversations
/// that it wants, and answers to what it asks.
const OF_NODES: [EventKind; 4] = [
    EventKind::Tick,
    EventKind::Shutdown,
    EventKind::Health,
    EventKind::VoicewakeChanged,
];

/// What an operator gets whose scopes show nothing: that the connection lives, and that it is about to end.
const OF_ALL_OPERATORS: [EventKind; 2] = [EventKind::Tick, EventKind::Shutdown];

/// The bit of a kind.
pub(super) fn bit(kind: EventKind) -> Audience {
    1 << kind as usize
}

/// The broadcasts that a caller may see (contract 7.2, odd 19): as they are, and with less in them.
pub(super) fn of(caller: &Caller, is_narrow: bool) -> (Audience, Audience) {
    let (mut whole, mut reduced) = (0, 0);
    for kind in EventKind::ALL {
        let spec = kind.spec();
        let may_see = spec.broadcast
            && spec.roles.contains(&caller.role)
            && (spec.scopes.is_empty() || methods::grants(&caller.scopes, spec.scopes))
            && (!is_narrow || may_ask_about(caller, kind));
        match share(spec.since, spec.newest_member, caller.protocol) {
            Share::Whole if may_see => whole |= bit(kind),
            Share::Reduced if may_see => reduced |= bit(kind),
            _ => {}
        }
    }
    (whole, reduced)
}

/// Could a caller learn of this by asking, or has it to know?
fn may_ask_about(caller: &Caller, kind: EventKind) -> bool {
    match caller.role {
        Role::Node => OF_NODES.contains(&kind),
        Role::Operator => {
            !kind.spec().scopes.is_empty()
                || OF_ALL_OPERATORS.contains(&kind)
                || methods::grants(&caller.scopes, &[Scope::Read])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_more_than_they_may_ask_about() {
        let seen = |role: Role, scopes: &[&str], is_narrow: bool| -> Vec<&'static str> {
            let caller = Caller::of_test("x", |info| {
                info.role = role;
                info.scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
            });
            let (whole, reduced) = of(&caller, is_narrow);
            let kinds = EventKind::ALL.into_iter();
            kinds
                .filter(|kind| (whole | reduced) & bit(*kind) != 0)
                .map(|kind| kind.spec().name)
                .collect()
        };
        let (node, operator) = (Role::Node, Role::Operator);
        let mut of_node = seen(node, &[], true);
        of_node.sort_unstable();
        assert_eq!(of_node, ["health", "shutdown", "tick", "voicewake.changed"]);
        for scope in ["operator.read", "operator.write", "operator.admin"] {
            assert_eq!(
                seen(operator, &[scope], true),
                seen(operator, &[scope], false),
                "{scope}"
            );
        }
        for (scope, own) in [
            ("operator.pairing", "device.pair.requested"),
            ("operator.approvals", "exec.approval.requested"),
        ] {
            let narrow = seen(operator, &[scope], true);
            for (name, expected) in [
                (own, true),
                ("tick", true),
                ("shutdown", true),
                ("chat", false),
                ("agent", false),
                ("cron", false),
                ("presence", false),
                ("heartbeat", false),
                ("health", false),
            ] {
                assert_eq!(narrow.contains(&name), expected, "{scope} {name}");
                assert!(seen(operator, &[scope], false).contains(&name), "{name}");
            }
        }
        assert!(
            seen(node, &[], false).contains(&"chat"),
            "as the original does"
        );
    }
}
