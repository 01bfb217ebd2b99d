//! Lanes: one run at a time in a session, the others queued in the order in which they were accepted.
//!
//! A place is taken when a run is accepted, without waiting, so that the order of acceptance is the order of running
//! and a full lane is refused at once. Every lane that exists has a run in it; empty ones are forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Runs of one session that may wait behind the running one. A person does not type so many ahead; a client in a loop
/// is told to stop.
pub(super) const MAX_QUEUED_PER_LANE: usize = 32;

/// All lanes, by canonical session key. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    lanes: Arc<Mutex<HashMap<String, Lane>>>,
}

/// The waiting runs of a session whose first run is under way.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    next_id: u64,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    wake: oneshot::Sender<()>,
}

/// The session has [`MAX_QUEUED_PER_LANE`] runs waiting already.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "too many runs are waiting in this session (limit {MAX_QUEUED_PER_LANE}); try again when some have ended"
)]
pub(super) struct LaneFull;

/// A place in a lane, from acceptance until the run has ended. Dropping it lets the next one go.
#[derive(Debug)]
pub(super) struct Place {
    lanes: Lanes,
    key: String,
    state: PlaceState,
}

#[derive(Debug)]
enum PlaceState {
    Waiting {
        id: u64,
        turn: oneshot::Receiver<()>,
    },
    Running,
}

impl Lanes {
    /// Takes the next place in the lane of `key`.
    pub(super) fn take(&self, key: &str) -> Result<Place, LaneFull> {
        let mut lanes = self.lock();
        let state = match lanes.get_mut(key) {
            None => {
                lanes.insert(key.to_owned(), Lane::default());
                PlaceState::Running
            }
            Some(lane) if lane.waiting.len() >= MAX_QUEUED_PER_LANE => return Err(LaneFull),
            Some(lane) => {
                let (wake, turn) = oneshot::channel();
                let id = lane.next_id;
                lane.next_id += 1;
                lane.waiting.push_back(Waiting { id, wake });
                PlaceState::Waiting { id, turn }
            }
        };
        Ok(Place {
            lanes: self.clone(),
            key: key.to_owned(),
            state,
        })
    }

    /// Whether a run of this session is under way or waiting.
    pub(super) fn is_busy(&self, key: &str) -> bool {
        self.lock().contains_key(key)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the lane to the first waiting run, or forgets the lane.
    fn pass_on(&self, key: &str) {
        let mut lanes = self.lock();
        let Some(lane) = lanes.get_mut(key) else {
            return;
        };
        while let Some(next) = lane.waiting.pop_front() {
            // Fails for a place that is being dropped at this moment; its own drop finds nothing left to do.
            if next.wake.send(()).is_ok() {
                return;
            }
        }
        lanes.remove(key);
    }
}

impl Place {
    /// Waits until all runs before this one have ended. Safe to cancel.
    pub(super) async fn turn(&mut self) {
        if let PlaceState::Waiting { turn, .. } = &mut self.state {
            // The sender lives in the lane until it is used: an error cannot happen, and would mean "go".
            let _ = turn.await;
            self.state = PlaceState::Running;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match &mut self.state {
            PlaceState::Running => self.lanes.pass_on(&self.key),
            PlaceState::Waiting { id, turn } => {
                {
                    let mut lanes = self.lanes.lock();
                    if let Some(lane) = lanes.get_mut(&self.key) {
                        lane.waiting.retain(|waiting| waiting.id != *id);
                    }
                }
                // The turn may have come between the last poll and now.
                turn.close();
                if turn.try_recv().is_ok() {
                    self.lanes.pass_on(&self.key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn has_turn(place: &mut Place) -> bool {
        place.turn().now_or_never().is_some()
    }

    #[test]
    fn one_at_a_time_in_order() {
        let lanes = Lanes::default();
        let mut first = lanes.take("s").unwrap();
        let mut second = lanes.take("s").unwrap();
        let mut third = lanes.take("s").unwrap();
        let mut other = lanes.take("t").unwrap();
        assert!(has_turn(&mut first) && has_turn(&mut other));
        assert!(!has_turn(&mut second) && !has_turn(&mut third));
        drop(first);
        assert!(has_turn(&mut second) && !has_turn(&mut third));
        drop(second);
        assert!(has_turn(&mut third));
        drop(third);
        assert!(!lanes.is_busy("s") && lanes.is_busy("t"));
    }

    #[test]
    fn a_place_that_is_given_up_holds_nobody() {
        let lanes = Lanes::default();
        let first = lanes.take("s").unwrap();
        let second = lanes.take("s").unwrap();
        let mut third = lanes.take("s").unwrap();
        drop(second);
        drop(first);
        assert!(has_turn(&mut third));
        // The turn comes to a place that nobody polls any more.
        let fourth = lanes.take("s").unwrap();
        let mut fifth = lanes.take("s").unwrap();
        drop(third);
        drop(fourth);
        assert!(has_turn(&mut fifth));
        drop(fifth);
        assert!(!lanes.is_busy("s"));
    }

    #[test]
    fn the_queue_of_a_lane_is_bounded() {
        let lanes = Lanes::default();
        let running = lanes.take("s").unwrap();
        let mut queued: Vec<Place> = (0..MAX_QUEUED_PER_LANE)
            .map(|_| lanes.take("s").unwrap())
            .collect();
        assert_eq!(lanes.take("s").unwrap_err(), LaneFull);
        queued.pop();
        assert!(lanes.take("s").is_ok());
        drop((running, queued));
        assert!(!lanes.is_busy("s"));
    }
}
