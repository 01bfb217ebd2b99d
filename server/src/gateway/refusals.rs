//! How many were refused and why, in the log: one line for all of a minute, none when nobody was, and one for all of the
//! gateway's life when it stops.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::connection::Shared;
use crate::http::Admission;
use crate::limits::REFUSALS_REPORT;

type Counts = BTreeMap<&'static str, u64>;

/// Reports until the task is ended.
pub(super) async fn report(admission: Arc<Admission>, shared: Arc<Shared>) {
    let mut told = Counts::new();
    let mut beat = tokio::time::interval(REFUSALS_REPORT);
    loop {
        beat.tick().await;
        let counts = counts(&admission, &shared);
        if let Some(news) = news(&told, &counts) {
            tracing::info!("since the last report: {news}");
        }
        told = counts;
    }
}

/// Says how many there were since the start.
pub(super) fn sum_up(admission: &Admission, shared: &Shared) {
    if let Some(all) = news(&Counts::new(), &counts(admission, shared)) {
        tracing::info!("since the start: {all}");
    }
}

fn counts(admission: &Admission, shared: &Shared) -> Counts {
    let mut counts = admission.turned_away();
    counts.extend(shared.counters.refusals());
    counts
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
        let some = Counts::from([("refused: a", 2), ("turned away: b", 1)]);
        let more = Counts::from([("refused: a", 5), ("turned away: b", 1)]);
        for (told, counts, expected) in [
            (&none, &none, None),
            (&none, &some, Some("refused: a (2), turned away: b (1)")),
            (&some, &some, None),
            (&some, &more, Some("refused: a (3)")),
        ] {
            assert_eq!(news(told, counts).as_deref(), expected);
        }
    }
}
