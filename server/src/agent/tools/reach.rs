//! What tools reach of the gateway beyond conversations. It is filled in once everything is built: jobs run agents, and agents
//! set jobs.

use std::sync::{Arc, OnceLock};

use crate::cron::Cron;
use crate::nodes::Nodes;
use crate::pairing::Pairing;

/// The parts that tools reach.
#[derive(Clone)]
pub struct Reached {
    /// Jobs that run by the clock.
    pub cron: Cron,
    /// Connected devices.
    pub nodes: Nodes,
    /// Known devices.
    pub pairing: Pairing,
}

/// What tools reach, once it is there. Clones share it. Tools that need more than is there are not offered.
#[derive(Clone, Default)]
pub struct Reach(Arc<OnceLock<Reached>>);

impl Reach {
    /// Lets tools reach `parts`. Only the first call counts.
    pub fn fill(&self, parts: Reached) {
        // A second one would be a mistake that changes nothing.
        let _ = self.0.set(parts);
    }

    pub(super) fn parts(&self) -> Option<&Reached> {
        self.0.get()
    }
}
