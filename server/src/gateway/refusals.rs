//! How many were refused and why, in the log: one line for all of a minute, none when nobody was, and one for all of the
//! gateway's life when it stops.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_protocol::types::RefusalReason;

use crate::limits::REFUSALS_REPORT;
use crate::refusals::Refusals;

type Counts = BTreeMap<RefusalReason, u64>;

/// Reports until the task is ended.
pub(super) async fn report(refusals: Arc<Refusals>) {
    let mut told = Counts::new();
    let mut beat = tokio::time::interval(REFUSALS_REPORT);
    loop {
        beat.tick().await;
        let counts = refusals.all();
        if let Some(news) = news(&told, &counts) {
            tracing::info!("refused since the last report: {news}");
        }
        told = counts;
    }
}

/// Says how many there were since the start.
pub(super) fn sum_up(refusals: &Refusals) {
    if let Some(all) = news(&Counts::new(), &refusals.all()) {
        tracing::info!("refused since the start: {all}");
    }
}

/// What has been added.
fn news(told: &Counts, counts: &Counts) -> Option<String> {
    let added: Vec<String> = counts
        .iter()
        .map(|(name, count)| (name, count - told.get(name).unwrap_or(&0).min(count)))
        .filter(|(_, added)| *added > 0)
        .map(|(name, added)| format!("{name} ({added})"))
        .collect();
    (!added.is_empty()).then(|| added.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let none = Counts::new();
        let (a, b) = (RefusalReason::NotJson, RefusalReason::OtherUser);
        let some = Counts::from([(a, 2), (b, 1)]);
        let more = Counts::from([(a, 5), (b, 1)]);
        for (told, counts, expected) in [
            (&none, &none, None),
            (&none, &some, Some("other-user (1), not-json (2)")),
            (&some, &some, None),
            (&some, &more, Some("not-json (3)")),
        ] {
            assert_eq!(news(told, counts).as_deref(), expected);
        }
    }
}
