//! What holds the process group of a server's program, so that it can be ended from anywhere at any moment.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::child::Group;

/// Holds one group at a time; a new one ends the old one.
#[derive(Debug, Default)]
pub(super) struct Leash(Mutex<Held>);

#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    #[expect(dead_code, reason = "it is held for what its drop does")]
    Group(Group),
    /// The gateway is stopping.
    Cut,
}

impl Leash {
    /// Holds `group`. False when nothing may be started any more; the group has ended then.
    pub(super) fn hold(&self, group: Group) -> bool {
        let mut held = self.held();
        let may = !matches!(*held, Held::Cut);
        if may {
            *held = Held::Group(group);
        }
        may
    }

    /// Ends what is held.
    pub(super) fn let_go(&self) {
        let mut held = self.held();
        if matches!(*held, Held::Group(_)) {
            *held = Held::Nothing;
        }
    }

    /// Ends what is held, for good.
    pub(super) fn cut(&self) {
        *self.held() = Held::Cut;
    }

    /// Whether nothing may be started any more.
    pub(super) fn is_cut(&self) -> bool {
        matches!(*self.held(), Held::Cut)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
