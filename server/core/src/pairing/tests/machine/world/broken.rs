//! Worlds in which one law is broken by hand. The checks have to see each: a check that cannot fail checks nothing.

use super::*;

/// What is broken, and how; false when this world has nothing to break it with yet.
type Breach = (&'static str, fn(&mut World) -> bool);

/// One breach for every law that the checks of a quiet world are about.
pub(in super::super) const BREACHES: [Breach; 12] = [
    ("a role that nobody granted", |world| {
        world.break_device(|device| {
            let missing = [Role::Node, Role::Operator];
            let missing = missing.iter().find(|role| !device.roles.contains(role));
            missing.map(|role| device.roles.push(*role)).is_some()
        })
    }),
    ("a role that is forgotten", |world| {
        world.break_device(|device| device.roles.pop().is_some())
    }),
    ("a scope that nobody granted", |world| {
        world.break_device(|device| {
            device.scopes.push("x".to_owned());
            true
        })
    }),
    ("a token for more than was granted", |world| {
        world.break_token(|token| {
            token.scopes.push("x".to_owned());
            true
        })
    }),
    ("a revoked token that is alive again", |world| {
        world.break_token(|token| token.revoked_at_ms.take().is_some())
    }),
    ("another token than was handed out", |world| {
        world.break_token(|token| {
            token.salt = Salt::from_bytes([0xff; 16]);
            token.revoked_at_ms.is_none()
        })
    }),
    ("a token that is forgotten", |world| {
        world.break_device(|device| {
            let count = device.tokens.len();
            device.tokens.retain(|token| token.revoked_at_ms.is_some());
            device.tokens.len() < count
        })
    }),
    ("words that are forgotten", |world| {
        world.break_device(|device| device.profile.display_name.take().is_some())
    }),
    ("a request that is forgotten", |world| {
        let now_ms = world.now_ms;
        world.break_book(|_, pending| {
            let alive = |request: &PendingPairing| rules::is_alive(request, now_ms);
            let found = pending.iter().position(alive);
            found.map(|index| pending.remove(index)).is_some()
        })
    }),
    ("a request that ended and is open again", |world| {
        let ended = |id: &&String| world.known.has_ended(id);
        let ended = world.known.requests.iter().find(ended).cloned();
        let now_ms = world.now_ms;
        ended.is_some_and(|id| {
            world.break_book(|_, pending| {
                let Some(mut request) = pending.first().cloned() else {
                    return false;
                };
                request.request_id = id;
                request.seen_at_ms = now_ms;
                pending.push(request);
                true
            })
        })
    }),
    ("a connection that outlives its token", |world| {
        let dead = world.devices.values().find_map(|device| {
            let mut tokens = device.tokens.iter();
            let token = tokens.find(|token| token.revoked_at_ms.is_some())?;
            Some((device.device_id.clone(), token.role))
        });
        dead.map(|place| world.open.push(place)).is_some()
    }),
    ("a disk that has something else", |world| {
        let device = world.devices.values_mut().next();
        device.map(|device| device.approved_at_ms += 1).is_some()
    }),
];

impl World {
    /// Replaces the book by one of changed records, if `change` changes any.
    fn break_book(
        &mut self,
        change: impl FnOnce(&mut Vec<Device>, &mut Vec<PendingPairing>) -> bool,
    ) -> bool {
        let mut devices: Vec<_> = self.book.devices().cloned().collect();
        devices.sort_by(|a, b| a.device_id.cmp(&b.device_id));
        let mut pending: Vec<_> = self.book.requests(0).cloned().collect();
        pending.sort_by(|a, b| a.request_id.cmp(&b.request_id));
        let is_broken = change(&mut devices, &mut pending);
        if is_broken {
            self.book = Book::new(devices, pending);
        }
        is_broken
    }

    fn break_device(&mut self, change: impl FnMut(&mut Device) -> bool) -> bool {
        self.break_book(|devices, _| {
            let mut whole = devices.iter_mut().filter(|device| !is_damaged(device));
            whole.any(change)
        })
    }

    fn break_token(&mut self, mut change: impl FnMut(&mut DeviceToken) -> bool) -> bool {
        self.break_device(|device| device.tokens.iter_mut().any(&mut change))
    }
}
