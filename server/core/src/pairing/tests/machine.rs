//! Handshakes, pairing and tokens as a state machine without sockets, disk or tasks: the handshake, the rules and the
//! book are the real ones, around them a disk that is two maps, connections that are a list, and dice that choose what
//! happens next. Connects are decided in one step, planned in another and written in a third, with anything in between:
//! approvals, refusals, rotations, revocations, what is written behind, requests that expire, clients that leave, writes
//! that fail, records that are damaged, and restarts, also between the disk and the answer.
//!
//! What must hold: a connection has no role and scope that no operator, and no local connect, granted; a token that was
//! revoked or replaced opens nothing; no connection outlives a revocation; a request ends in exactly one way; a restart
//! loses nothing that was written, and once everything is written, memory and disk are the same. `OPENCLAW_MACHINE_SEED`
//! sets where the dice begin; it is printed.
//!
//! That the checks can fail is checked too: `world::broken` breaks each law by hand.
//!
//! `world` is what happens, `known` what is known to have happened, `door` the handshake.

mod door;
mod known;
mod world;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;

use world::{BREACHES, World};

/// Steps of a run.
const STEPS: u64 = 200_000;
/// Steps of one world. Later nearly everything is granted to everybody, and nothing happens any more.
const WORLD_STEPS: u64 = 200;
/// Everything that is to be met, and met at least so often in a run, whatever the seed.
const OFTEN: u64 = 200;
/// What is counted.
const OUTCOMES: [&str; 25] = [
    "approvals",
    "decisions too late",
    "connections",
    "connections through the handshake",
    "connects that wait again",
    "connects whose client has left",
    "damaged records",
    "dead tokens refused",
    "expired requests",
    "failed writes",
    "forged signatures refused",
    "requests",
    "requests that made room",
    "restarts",
    "revocations",
    "revocations that end connections",
    "rotations",
    "rotations refused",
    "refusals",
    "silent approvals",
    "stops after a write",
    "tokens made",
    "tokens that opened",
    "wrong secrets refused",
    "written behind",
];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.throw(times) == 0
    }

    fn index(&mut self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.throw(count as u64) as usize)
    }
}

#[test]
fn the_checks_see_every_breach() {
    for (what, breach) in BREACHES {
        let mut world = World::new(Dice(1));
        for step in 0.. {
            assert!(step < 50 * WORLD_STEPS, "nothing to break: {what}");
            world.step();
            world.settle();
            if breach(&mut world) {
                break;
            }
        }
        let seen = std::panic::catch_unwind(AssertUnwindSafe(|| world.check_all()));
        assert!(seen.is_err(), "{what} is not seen");
    }
}

#[test]
fn no_interleaving_admits_what_nobody_granted() {
    let seed = std::env::var("OPENCLAW_MACHINE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| RandomState::new().hash_one("seed"));
    println!("{STEPS} steps, OPENCLAW_MACHINE_SEED={seed}");
    let mut seeds = Dice(seed);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..STEPS / WORLD_STEPS {
        let mut world = World::new(Dice(seeds.throw(u64::MAX)));
        for step in 0..WORLD_STEPS {
            world.step();
            if step % 8 == 0 {
                world.check();
            }
        }
        world.settle();
        for (what, count) in world.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    println!("{counts:#?}");
    assert_eq!(
        counts
            .keys()
            .copied()
            .collect::<std::collections::BTreeSet<_>>(),
        OUTCOMES.into()
    );
    for (what, count) in counts {
        assert!(count >= OFTEN, "{what}: only {count} times");
    }
}
