//! A gateway that is killed (SIGKILL) at random moments while devices and nodes are paired, refused, given other tokens and
//! revoked. After each restart: what was acknowledged is there, what was revoked opens nothing, and what was under way
//! happened as a whole or not at all.
//!
//! `OPENCLAW_KILL_POINTS` sets how many kills, `OPENCLAW_KILL_SEED` where the dice begin; both are printed.

mod model;
mod play;

use std::time::Duration;

use openclaw_tests::{Gateway, Home};
use rustix::process::Signal;

use model::Model;
use play::Player;

use crate::dice::{Dice, setting};

/// Kills of a usual run. Each takes about 0.4 s, most of it the start of the gateway and the tries of all tokens.
const POINTS: u64 = 100;
/// The kill comes within this time of the first move. About as long as twenty moves take.
const WINDOW_MS: u64 = 150;

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_half_done() {
    let points = setting("OPENCLAW_KILL_POINTS", POINTS);
    let seed = setting("OPENCLAW_KILL_SEED", u64::from(std::process::id()));
    println!("{points} kills, OPENCLAW_KILL_SEED={seed}");
    let mut dice = Dice::new(seed);
    let home = Home::new();
    let mut model = Model::default();
    let mut moves = 0;
    for point in 0..points {
        let mut gateway = Gateway::start(&home, &["--token", "tok"]).await;
        let mut player = Player::new(gateway.port).await;
        player.settle(&mut model).await;
        let delay = Duration::from_millis(dice.throw(WINDOW_MS));
        let killing = async {
            tokio::time::sleep(delay).await;
            gateway.signal(Signal::KILL);
        };
        let playing = async {
            // Until the gateway is gone.
            while player.play(&mut model, &mut dice).await {
                moves += 1;
            }
        };
        tokio::join!(killing, playing);
        gateway.ended().await;
        println!(
            "kill {point} after {} ms, during {:?}",
            delay.as_millis(),
            model.under_way()
        );
    }
    let gateway = Gateway::start(&home, &["--token", "tok"]).await;
    Player::new(gateway.port).await.settle(&mut model).await;
    println!("{moves} moves were acknowledged");
    assert!(moves > points, "the kills came too early to show anything");
}
